// The visitor's own videos in every state, with what can be done in each.
import { useEffect, useState } from "preact/hooks";
import { listMine } from "../api";
import { bytes, duration, moment, relative } from "../format";
import { language, useText } from "../language";
import { useAction, usePages } from "../loading";
import { usePolling } from "../polling";
import { pathOf } from "../router";
import { Picture } from "../parts/art";
import { Empty, Loading } from "../parts/empty";
import { ProblemBox } from "../parts/problem_box";
import { PurgeDialog } from "../parts/purge_dialog";
import { useStore } from "../store";
import { changes, restore, trash } from "../trash";
import type { Video } from "../types";

/** How long the page follows videos that are on their way by itself. */
const FOLLOW_MS = 120_000;

export function Mine() {
  const t = useText();
  const pages = usePages(listMine, "mine");
  const changed = useStore(changes);
  const [doomed, setDoomed] = useState<Video>();
  useEffect(() => {
    if (changed > 0) pages.reload();
  }, [changed]);

  const moving = pages.items.some((video) => video.state === "processing" || leaving(video));
  usePolling(moving, FOLLOW_MS, async (signal) => {
    const page = await listMine(null, signal);
    const fresh = new Map(page.items.map((video) => [video.id, video]));
    const inFirstPage = (video: Video) => pages.items.indexOf(video) < page.items.length;
    pages.change((items) => items.flatMap((video) => fresh.get(video.id) ?? (leaving(video) && inFirstPage(video) ? [] : video)));
  });

  const replace = (video: Video) => pages.change((items) => items.map((item) => (item.id === video.id ? video : item)));
  return (
    <>
      <h1 class="head-row" tabIndex={-1}>{t.mine.title}</h1>
      <ProblemBox problem={pages.problem} onRetry={pages.more} />
      {!pages.begun && pages.busy && <Loading />}
      {pages.begun && pages.items.length === 0 && (
        <Empty title={t.mine.none} text={t.mine.noneText}>
          <a class="button primary" href={pathOf({ page: "upload" })}>{t.home.uploadFirst}</a>
        </Empty>
      )}
      <ul class="rows" data-testid="my-videos">
        {pages.items.map((video) => (
          <Row key={video.id} video={video} onChange={replace} onPurge={() => setDoomed(video)} />
        ))}
      </ul>
      {pages.hasMore && (
        <p class="more">
          <button type="button" class="button" disabled={pages.busy} onClick={pages.more} data-testid="more">{t.site.more}</button>
        </p>
      )}
      {doomed && <PurgeDialog video={doomed} onClose={() => setDoomed(undefined)} />}
    </>
  );
}

/** Being deleted, or about to be as soon as a worker is free. */
function leaving(video: Video): boolean {
  return video.state === "purging" || (video.state === "trashed" && !!video.purgeAt && Date.parse(video.purgeAt) <= Date.now());
}

interface RowProps {
  video: Video;
  onChange: (video: Video) => void;
  onPurge: () => void;
}

function Row({ video, onChange, onPurge }: RowProps) {
  const t = useText();
  const toTrash = useAction(async () => onChange(await trash(video)));
  const back = useAction(async () => onChange(await restore(video)));
  const { state } = video;
  const gone = state === "trashed" || state === "purging";
  const facts = [
    t.form.visibilities[video.visibility],
    video.durationMs !== null && duration(video.durationMs),
    video.sizeBytes !== null && bytes(video.sizeBytes, language.value),
    relative(video.createdAt, Date.now(), language.value),
  ].filter(Boolean);
  return (
    <li class={gone ? "row row-gone" : "row"} data-testid="my-video" data-video-id={video.id} data-state={state}>
      <a class="row-thumb" href={pathOf({ page: "watch", id: video.id })} tabIndex={-1} aria-hidden="true"><Picture id={video.id} /></a>
      <div class="row-main">
        <h2><a class="user-text" href={pathOf({ page: "watch", id: video.id })}>{video.title}</a></h2>
        <p class="row-facts"><span class={`chip chip-${state}`} data-testid="video-state">{t.mine.states[state]}</span> {facts.join(" · ")}</p>
        {state === "awaiting_upload" && <p class="hint">{t.mine.awaitingText}</p>}
        {state === "failed" && video.failure && <p class="complaint user-text">{video.failure}</p>}
        {state === "trashed" && video.purgeAt && <p class="hint">{t.mine.goneAt(moment(video.purgeAt, language.value))}</p>}
        <ProblemBox problem={toTrash.problem ?? back.problem} />
      </div>
      <div class="row-actions">
        {state === "trashed" && <button type="button" class="button" disabled={back.busy} onClick={() => void back.run()} data-testid="restore">{t.mine.restore}</button>}
        {gone && <a class="button" href={pathOf({ page: "deletion", id: video.id })} data-testid="receipt-link">{t.mine.receipt}</a>}
        {!gone && <button type="button" class="button" disabled={toTrash.busy} onClick={() => void toTrash.run()} data-testid="delete">{t.mine.delete}</button>}
        {state !== "purging" && <button type="button" class="button danger-quiet" onClick={onPurge} data-testid="delete-for-good">{t.mine.deleteForGood}</button>}
      </div>
    </li>
  );
}
