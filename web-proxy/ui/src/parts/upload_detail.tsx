// What an upload is doing just now, in words.
import { useEffect, useState } from "preact/hooks";
import { bytes, moment } from "../format";
import { language, useText } from "../language";
import type { Text } from "../text";
import type { Step, UploadState } from "../upload_state";

/** Without a byte for this long nothing is said of the rate. */
const STILL_MS = 8_000;

export function Detail({ state }: { state: UploadState }) {
  const t = useText();
  const { step, saved, job } = state;
  const seconds = useSecondsUntil(step.name === "waiting" ? step.until : null);
  const still = useIsStill(state.sent);
  const words = step.name === "sending" ? sendingText(state, still ? null : step.rate, still, t) : wordsOf(state, seconds, t);
  const size = (count: number) => bytes(count, language.value);
  const keeps = saved > 0 && saved < job.totalBytes && !["processing", "ready", "discarding", "elsewhere"].includes(step.name) && !(step.name === "failed" && !step.mayRetry);
  return (
    <>
      {/* Numbers that change all the time are not read out by themselves. */}
      {words !== "" && <p class="quiet" {...(step.name === "sending" || step.name === "waiting" ? {} : { role: "status" })} data-testid="upload-detail">{words}</p>}
      {step.name === "waiting" && <p class="visually-hidden" role="status">{t.upload.waits[step.why]}</p>}
      {keeps && <p class="quiet small" data-testid="upload-saved">{t.upload.saved(size(saved), size(job.totalBytes))}{until(state, t)}</p>}
    </>
  );
}

/** How long the server keeps it matters once nothing is being sent. */
function until({ expires, step }: UploadState, t: Text): string {
  const rests = ["paused", "asleep", "failed", "signed_out"].includes(step.name);
  return rests && expires !== null ? ` ${t.upload.keptUntil(moment(expires, language.value))}` : "";
}

function wordsOf(state: UploadState, seconds: number, t: Text): string {
  const { step } = state;
  switch (step.name) {
    case "queued":
      return t.upload.queued;
    case "preparing":
      return state.saved > 0 ? t.upload.asking : t.upload.creating;
    case "waiting":
      return waitingText(step, seconds, t);
    case "paused":
      return t.upload.paused;
    case "signed_out":
      return t.upload.signedOut;
    case "asleep":
      return step.complaint ? "" : step.keptFile ? t.upload.asleepKept : t.upload.asleep;
    case "elsewhere":
      return t.upload.otherTab;
    case "storing":
      return t.upload.storing;
    case "processing":
      return step.slow ? t.upload.slow : t.upload.processing;
    case "discarding":
      return t.upload.discarding;
    default:
      return "";
  }
}

function waitingText(step: Extract<Step, { name: "waiting" }>, seconds: number, t: Text): string {
  if (step.why === "offline") return t.upload.waits.offline;
  const reason = step.why === "busy" ? (t.problems[step.problem.code] ?? t.upload.waits.busy) : t.upload.waits.connection;
  return t.upload.again(reason, seconds);
}

function sendingText({ job, sent }: UploadState, rate: number | null, still: boolean, t: Text): string {
  const parts = [t.upload.sent(bytes(sent, language.value), bytes(job.totalBytes, language.value))];
  if (still) parts.push(t.upload.still);
  if (rate !== null && rate > 0) {
    parts.push(t.upload.rate(bytes(Math.round(rate), language.value)));
    parts.push(t.upload.left(leftText((job.totalBytes - sent) / rate, t)));
  }
  return parts.join(" · ");
}

function leftText(seconds: number, t: Text): string {
  if (seconds < 90) return t.upload.seconds(Math.max(Math.ceil(seconds), 1));
  return seconds < 5400 ? t.upload.minutes(Math.round(seconds / 60)) : t.upload.hours(Math.round(seconds / 3600));
}

/** The rate of what doesn't move is a thing of the past. */
function useIsStill(sent: number): boolean {
  const [still, setStill] = useState(false);
  useEffect(() => {
    setStill(false);
    const timer = setTimeout(() => setStill(true), STILL_MS);
    return () => clearTimeout(timer);
  }, [sent]);
  return still;
}

function useSecondsUntil(time: number | null): number {
  const [, redraw] = useState(0);
  useEffect(() => {
    if (time === null) return;
    const timer = setInterval(() => redraw((count) => count + 1), 500);
    return () => clearInterval(timer);
  }, [time]);
  return time === null ? 0 : Math.max(Math.ceil((time - Date.now()) / 1000), 0);
}
