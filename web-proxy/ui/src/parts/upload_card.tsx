// One upload: how far, how fast, what of it is safe, what went wrong, and what to do about it.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { bytes, percent } from "../format";
import type { Chosen } from "../kept_file";
import { language, useText } from "../language";
import { useAction } from "../loading";
import { pathOf } from "../router";
import { useStore } from "../store";
import type { Listed } from "../upload_queue";
import type { Step, UploadState } from "../upload_state";
import { remoteUploads } from "../upload_watch";
import { uploads } from "../uploads";
import { FileButton } from "./file_picker";
import { CheckIcon } from "./icons";
import { ProblemBox } from "./problem_box";
import { Detail } from "./upload_detail";

/** Screen readers hear every fifth, not every event. */
const ANNOUNCE_EVERY = 20;

const WITHOUT_BAR: ReadonlyArray<Step["name"]> = ["ready", "processing", "discarding"];
/** What can be discarded or paused by its owner. */
const MAY_PAUSE: ReadonlyArray<Step["name"]> = ["queued", "preparing", "sending", "waiting"];
const MAY_DISCARD: ReadonlyArray<Step["name"]> = [...MAY_PAUSE, "storing", "paused", "asleep", "signed_out"];

interface Props {
  listed: Listed;
  onDiscard: () => void;
}

export function UploadCard({ listed, onDiscard }: Props) {
  const { id, state } = listed;
  const t = useText();
  const { job, step } = state;
  const refused = step.name === "failed" && !step.mayRetry;
  const shown = shareOf(state);
  const heard = step.name === "sending" ? t.upload.announced(job.title, Math.floor(shown / ANNOUNCE_EVERY) * ANNOUNCE_EVERY) : "";
  return (
    <li class="panel upload" data-testid="upload-state" data-step={step.name} data-video-id={state.videoId ?? ""} data-saved={state.saved}>
      <p class="upload-name">
        <strong class="user-text">{job.title}</strong>
        <span class="quiet user-text">{job.fileName} · {bytes(job.totalBytes, language.value)}</span>
      </p>
      {!WITHOUT_BAR.includes(step.name) && !refused && !(step.name === "queued" && state.saved === 0) && <Bars state={state} />}
      <p class="visually-hidden" role="status">{heard}</p>
      <Detail state={state} />
      {step.name === "ready" && <p class="success" role="status" data-testid="upload-ready"><CheckIcon /> {t.upload.ready}</p>}
      {step.name === "failed" && <Failure id={id} step={step} />}
      {step.name === "asleep" ? <Asleep id={id} state={state} step={step} onDiscard={onDiscard} /> : <Actions listed={listed} onDiscard={onDiscard} />}
    </li>
  );
}

/** Two bars in one: what is on its way, and over it what the server has for good. */
function Bars({ state }: { state: UploadState }) {
  const t = useText();
  const remote = useStore(remoteUploads).get(state.videoId ?? "");
  const { saved, job, step } = state;
  const arrived = step.name === "elsewhere" ? Math.max(remote?.receivedBytes ?? 0, saved) : state.sent;
  const share = percent(arrived, job.totalBytes);
  const label = t.upload.progressOf(job.title);
  const known = step.name === "preparing" && saved === 0 ? {} : { value: share };
  return (
    <div class="bar">
      <div class="bars">
        <progress class="bar-sent" max={100} {...known} aria-label={label} data-testid="upload-progress" />
        <progress class="bar-saved" max={100} value={percent(saved, job.totalBytes)} aria-hidden="true" data-testid="upload-saved-bar" />
      </div>
      <span class="bar-number" aria-hidden="true" data-testid="upload-percent">{"value" in known ? `${share} %` : ""}</span>
    </div>
  );
}

function Failure({ id, step }: { id: string; step: Extract<Step, { name: "failed" }> }) {
  const t = useText();
  const advice = t.upload.advice[step.problem.code];
  return (
    <>
      <ProblemBox problem={step.problem} testid="upload-problem" onRetry={step.mayRetry ? () => void uploads.go(id) : undefined} />
      {advice && <p class="quiet" data-testid="upload-advice">{advice}</p>}
    </>
  );
}

function Actions({ listed: { id, state }, onDiscard }: Props) {
  const t = useText();
  const { step, job, videoId } = state;
  const mayRetry = step.name === "failed" && step.mayRetry;
  const close = step.name === "ready" || (step.name === "failed" && !mayRetry) || (step.name === "processing" && step.slow);
  const goesOn = step.name === "paused" || step.name === "signed_out";
  return (
    <ActionRow>
      {step.name === "ready" && videoId && (
        <a class="button primary" href={pathOf({ page: "watch", id: videoId })} onClick={() => void uploads.dismiss(id)} data-testid="upload-watch">{t.upload.watch}</a>
      )}
      {step.name === "waiting" && step.why !== "busy" && <Act primary label={t.upload.now} of={job.title} onClick={() => void uploads.go(id)} testid="upload-now" />}
      {/* One button in two roles, so that the focus stays on it. */}
      {(MAY_PAUSE.includes(step.name) || goesOn) && (
        <Act
          key="pause"
          primary={goesOn}
          label={goesOn ? t.upload.goOn : t.upload.pause}
          of={job.title}
          onClick={() => void (goesOn ? uploads.go(id) : uploads.pause(id))}
          testid={goesOn ? "upload-continue" : "upload-pause"}
        />
      )}
      {(MAY_DISCARD.includes(step.name) || mayRetry) && <Discard of={job.title} onDiscard={onDiscard} />}
      {close && <Act label={t.site.close} of={job.title} onClick={() => void uploads.dismiss(id)} testid="upload-dismiss" />}
    </ActionRow>
  );
}

/** Nobody has its file: the browser gives it back, or the visitor does. */
function Asleep({ id, state, step, onDiscard }: { id: string; state: UploadState; step: Extract<Step, { name: "asleep" }>; onDiscard: () => void }) {
  const t = useText();
  const [other, setOther] = useState<Chosen>();
  const { complaint, keptFile } = step;
  const startOver = useAction((chosen: Chosen) => uploads.startOver(id, chosen));
  const choose = async (chosen: Chosen) => setOther((await uploads.choose(id, chosen)) ? chosen : undefined);
  return (
    <>
      {complaint && <p class="complaint" role="alert" data-testid="upload-complaint" data-difference={complaint}>{t.upload.differs[complaint]} {t.upload.chooseSame(state.job.fileName)}</p>}
      <ProblemBox problem={startOver.problem} />
      <ActionRow>
        {keptFile && !complaint && <Act primary label={t.upload.goOn} of={state.job.title} onClick={() => void uploads.go(id)} testid="upload-continue" />}
        <FileButton label={t.upload.chooseAgain} primary={!keptFile || complaint !== null} onChosen={(chosen) => void choose(chosen)} testid="upload-choose" />
        {complaint && complaint !== "unreadable" && other && (
          <Act label={t.upload.startOver(other.file.name)} of={state.job.title} onClick={() => void startOver.run(other)} testid="upload-start-over" />
        )}
        <Discard of={state.job.title} onDiscard={onDiscard} />
      </ActionRow>
    </>
  );
}

const ActionRow = ({ children }: { children: ComponentChildren }) => <div class="actions">{children}</div>;

/** `of`: which upload, for who can't see beside what the button stands. */
function Act({ label, of, primary = false, onClick, testid }: { label: string; of: string; primary?: boolean; onClick: () => void; testid: string }) {
  return <button type="button" class={primary ? "button primary" : "button"} aria-label={`${label}: ${of}`} onClick={onClick} data-testid={testid}>{label}</button>;
}

function Discard({ of, onDiscard }: { of: string; onDiscard: () => void }) {
  const t = useText();
  return <button type="button" class="button danger-quiet" aria-label={`${t.upload.discard}: ${of}`} onClick={onDiscard} data-testid="upload-discard">{t.upload.discard}</button>;
}

/** Percent of what is on its way. */
export const shareOf = ({ sent, job }: UploadState): number => percent(sent, job.totalBytes);
