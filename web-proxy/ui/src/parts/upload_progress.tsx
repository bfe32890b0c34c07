// One upload on its way: how far, how fast, what went wrong, and what to do about it.
import type { ComponentChildren } from "preact";
import { bytes, percent } from "../format";
import { language, useText } from "../language";
import { pathOf } from "../router";
import type { Text } from "../text";
import { inFlight, type UploadState } from "../upload_state";
import { uploader } from "../uploads";
import { CheckIcon } from "./icons";
import { ProblemBox } from "./problem_box";

type Running = Exclude<UploadState, { step: "idle" }>;

/** Screen readers hear every tenth percent, not every event. */
const ANNOUNCE_EVERY = 10;

export function UploadProgress({ state }: { state: Running }) {
  const t = useText();
  const share = shareOf(state);
  const heard = share === null ? "" : t.upload.announced(Math.floor(share / ANNOUNCE_EVERY) * ANNOUNCE_EVERY);
  const size = bytes(state.job.totalBytes, language.value);
  return (
    <div class="panel" data-testid="upload-state" data-step={state.step}>
      <p class="upload-name">
        <strong class="user-text">{state.job.title}</strong>
        <span class="quiet user-text">{state.job.fileName} · {size}</span>
      </p>
      {state.step !== "failed" && state.step !== "ready" && (
        <Bar share={share} label={t.upload.progress} />
      )}
      <p class="visually-hidden" role="status">{heard}</p>
      <Step state={state} />
      {inFlight(state) && (
        <div class="actions">
          <button type="button" class="button" onClick={() => uploader.cancel()} data-testid="upload-cancel">{t.upload.cancel}</button>
        </div>
      )}
    </div>
  );
}

function Bar({ share, label }: { share: number | null; label: string }) {
  // Without a value the browser shows that something goes on, without saying how far.
  const known = share === null ? {} : { value: share };
  return (
    <div class="bar">
      <progress max={100} {...known} aria-label={label} data-testid="upload-progress" />
      <span class="bar-number" aria-hidden="true" data-testid="upload-percent">{share === null ? "" : `${share} %`}</span>
    </div>
  );
}

function Step({ state }: { state: Running }) {
  const t = useText();
  switch (state.step) {
    case "creating":
      return <Note>{t.upload.creating}</Note>;
    case "sending":
      return <p class="quiet" data-testid="upload-detail">{sendingText(state, t)}</p>;
    case "waiting":
      return <Note>{t.upload.waiting(state.seconds)}</Note>;
    case "storing":
      return <Note>{t.upload.storing}</Note>;
    case "processing":
      return (
        <>
          <Note>{state.slow ? t.upload.slow : t.upload.processing}</Note>
          {state.slow && <div class="actions"><a class="button" href="/me">{t.site.mine}</a><Another label={t.upload.uploadMore} /></div>}
        </>
      );
    case "ready":
      return (
        <div data-testid="upload-ready">
          <p class="success" role="status"><CheckIcon /> {t.upload.ready}</p>
          <div class="actions">
            <a class="button primary" href={pathOf({ page: "watch", id: state.videoId })} onClick={() => void uploader.dismiss()} data-testid="upload-watch">{t.upload.watch}</a>
            <Another label={t.upload.uploadMore} />
          </div>
        </div>
      );
    case "failed":
      return (
        <>
          <ProblemBox problem={state.problem} testid="upload-problem" onRetry={mayRetry(state) ? () => void uploader.retry() : undefined} />
          <div class="actions"><Another label={t.upload.another} /></div>
        </>
      );
  }
}

function Another({ label }: { label: string }) {
  return <button type="button" class="button" onClick={() => void uploader.dismiss()} data-testid="upload-another">{label}</button>;
}

const Note = ({ children }: { children: ComponentChildren }) => <p class="quiet" role="status">{children}</p>;

/** Percent, or null while there is nothing to measure. */
export function shareOf(state: UploadState): number | null {
  if (state.step === "sending") return percent(state.sentBytes, state.job.totalBytes);
  return state.step === "storing" ? 100 : null;
}

/** Sending the same file again can help, unless the file itself was refused. */
function mayRetry(state: Extract<UploadState, { step: "failed" }>): boolean {
  return ![400, 413, 415, 422].includes(state.problem.status) && state.problem.code !== "unreadable";
}

function sendingText(state: Extract<UploadState, { step: "sending" }>, t: Text): string {
  const { job, sentBytes, bytesPerSecond, attempt } = state;
  const parts = [t.upload.sent(bytes(sentBytes, language.value), bytes(job.totalBytes, language.value))];
  if (bytesPerSecond !== null && bytesPerSecond > 0) {
    parts.push(t.upload.rate(bytes(Math.round(bytesPerSecond), language.value)));
    parts.push(t.upload.left(leftText((job.totalBytes - sentBytes) / bytesPerSecond, t)));
  }
  if (attempt > 1) parts.push(t.upload.attempt(attempt));
  return parts.join(" · ");
}

function leftText(seconds: number, t: Text): string {
  if (seconds < 90) return t.upload.seconds(Math.max(Math.ceil(seconds), 1));
  return seconds < 5400 ? t.upload.minutes(Math.round(seconds / 60)) : t.upload.hours(Math.round(seconds / 3600));
}
