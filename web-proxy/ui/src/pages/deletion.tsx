// What has become of a deleted video: until when it can come back, and in the end the receipt of what is gone.
import { useEffect } from "preact/hooks";
import { getDeletion, restoreVideo } from "../api";
import { bytes, exact, moment } from "../format";
import { language, useText } from "../language";
import { useAction, useLoad } from "../loading";
import { go } from "../place";
import { usePolling } from "../polling";
import { pathOf } from "../router";
import { Empty, Loading } from "../parts/empty";
import { CheckIcon, TrashIcon } from "../parts/icons";
import { ProblemBox } from "../parts/problem_box";
import { useStore } from "../store";
import { changes } from "../trash";
import type { Deletion, Receipt } from "../types";

/** A purge takes moments; a worker that died is replaced within half a minute. */
const FOLLOW_MS = 180_000;

/** A purge planned further away than this isn't worth waiting for on the page. */
const SOON_MS = 120_000;

export function DeletionPage({ id }: { id: string }) {
  const t = useText();
  const loaded = useLoad((signal) => getDeletion(id, signal), id);
  const { value, problem } = loaded;
  const changed = useStore(changes);
  useEffect(() => {
    if (changed > 0) loaded.reload();
  }, [changed]);
  const polling = usePolling(value !== undefined && soon(value), FOLLOW_MS, async (signal) => loaded.put(await getDeletion(id, signal)));

  if (problem?.status === 404) {
    return (
      <Empty title={t.receipt.missing} text={t.receipt.missingText} testid="missing">
        <a class="button" href="/me">{t.receipt.back}</a>
      </Empty>
    );
  }
  return (
    <div class="narrow">
      <h1 tabIndex={-1}>{t.receipt.title}</h1>
      <ProblemBox problem={problem} onRetry={loaded.reload} />
      {!value && !problem && <Loading />}
      {value && (
        <div class="panel receipt" data-testid="deletion" data-state={value.state}>
          {value.state === "done" ? <Done id={id} receipt={value.receipt ?? null} /> : <Pending id={id} deletion={value} />}
          {polling.gaveUp && value.state !== "done" && (
            <p>{t.receipt.stillRunning} <button type="button" class="button" onClick={polling.again}>{t.receipt.look}</button></p>
          )}
        </div>
      )}
      <p><a href="/me">{t.receipt.back}</a></p>
    </div>
  );
}

function Pending({ id, deletion }: { id: string; deletion: Deletion }) {
  const t = useText();
  const back = useAction(async () => {
    await restoreVideo(id);
    go({ page: "watch", id });
  });
  const waiting = !soon(deletion);
  return (
    <>
      <p class="receipt-head" role="status"><TrashIcon /> <strong>{waiting ? t.receipt.scheduled : t.receipt.running}</strong></p>
      <p>{waiting ? t.receipt.scheduledText(moment(deletion.purgeAt ?? "", language.value)) : t.receipt.runningText}</p>
      {!waiting && <progress aria-label={t.receipt.running} />}
      {waiting && (
        <div class="actions">
          <button type="button" class="button" disabled={back.busy} onClick={() => void back.run()} data-testid="restore">{t.mine.restore}</button>
          <a class="button" href={pathOf({ page: "watch", id })}>{t.mine.watch}</a>
        </div>
      )}
      <ProblemBox problem={back.problem} />
    </>
  );
}

function Done({ id, receipt }: { id: string; receipt: Receipt | null }) {
  const t = useText();
  return (
    <>
      <p class="receipt-head success" role="status"><CheckIcon /> <strong>{t.receipt.done}</strong></p>
      <p>{t.receipt.doneText}</p>
      <dl class="receipt-list">
        <div><dt>{t.receipt.video}</dt><dd><code>{id}</code></dd></div>
        {receipt && (
          <>
            <div><dt>{t.receipt.objects}</dt><dd data-testid="receipt-objects" data-value={receipt.objects}>{exact(receipt.objects, language.value)}</dd></div>
            <div>
              <dt>{t.receipt.bytes}</dt>
              <dd data-testid="receipt-bytes" data-value={receipt.bytes}>
                {exact(receipt.bytes, language.value)} <span class="quiet">({bytes(receipt.bytes, language.value)})</span>
              </dd>
            </div>
            <div><dt>{t.receipt.finished}</dt><dd>{moment(receipt.finishedAt, language.value)}</dd></div>
          </>
        )}
      </dl>
    </>
  );
}

/** Is it worth staying on the page for the end? */
function soon(deletion: Deletion): boolean {
  if (deletion.state !== "scheduled") return deletion.state === "running";
  return deletion.purgeAt === null || Date.parse(deletion.purgeAt) - Date.now() < SOON_MS;
}
