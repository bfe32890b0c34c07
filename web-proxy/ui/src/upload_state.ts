// The steps of one upload as a pure machine: what happened goes in, what to show comes out. An event that doesn't fit the step (a late progress
// event after a pause) changes nothing.
import type { Problem } from "./problem";
import type { Difference } from "./same_file";

export interface Job {
  title: string;
  fileName: string;
  totalBytes: number;
}

/** Why it waits: nothing answers, the browser has no network, the server has enough to do. */
export type Why = "connection" | "offline" | "busy";

export type Step =
  /** Its turn comes when others have ended. */
  | { name: "queued" }
  /** Asks the server what to do, or how far it is. */
  | { name: "preparing" }
  | { name: "sending"; rate: number | null }
  /** All bytes are sent; the server is storing them. */
  | { name: "storing" }
  /** Stored; the platform gets to know the video. */
  | { name: "processing"; slow: boolean }
  | { name: "ready" }
  /** Goes on by itself at `until` (milliseconds of the wall clock), or as soon as the connection is back. */
  | { name: "waiting"; why: Why; problem: Problem; until: number }
  | { name: "signed_out" }
  | { name: "paused" }
  /** Begun before this page was loaded: its file has to be chosen again, or, where the browser kept it, to be allowed again. */
  | { name: "asleep"; keptFile: boolean; complaint: Difference | null }
  /** Another tab of this browser has it. */
  | { name: "elsewhere" }
  /** `mayRetry`: sending the same file again can help. */
  | { name: "failed"; problem: Problem; mayRetry: boolean }
  | { name: "discarding" };

export interface UploadState {
  job: Job;
  videoId: string | null;
  /** Bytes that the server has for good. */
  saved: number;
  /** Bytes on their way or there. */
  sent: number;
  /** Until when the server keeps what it has, ISO 8601. */
  expires: string | null;
  step: Step;
}

export type UploadEvent =
  | { type: "queued" }
  | { type: "begun" }
  | { type: "created"; videoId: string }
  | { type: "placed"; saved: number; expires: string | null }
  | { type: "progressed"; sent: number; rate: number | null }
  | { type: "saved"; saved: number; expires: string | null }
  | { type: "interrupted"; why: Why; problem: Problem; until: number }
  | { type: "signed_out" }
  | { type: "stored" }
  | { type: "slow" }
  | { type: "ready" }
  | { type: "paused" }
  | { type: "failed"; problem: Problem; mayRetry: boolean }
  | { type: "slept"; keptFile: boolean; complaint: Difference | null }
  | { type: "left_to_another" }
  | { type: "discarding" };

type Name = Step["name"];

/** Runs in this tab, or tries to. */
const ACTIVE: readonly Name[] = ["preparing", "sending", "storing", "waiting"];
const SENDING: readonly Name[] = ["sending", "storing"];
/** Waits for somebody. */
const RESTING: readonly Name[] = ["paused", "asleep", "failed", "signed_out", "elsewhere", "queued"];
/** Nothing more can become of it. */
const OVER: readonly Name[] = ["ready", "discarding"];

/** From where an event leads on; where it isn't named it changes nothing. */
const FITS: Record<UploadEvent["type"], (name: Name) => boolean> = {
  queued: (name) => RESTING.includes(name),
  begun: (name) => name === "queued" || ACTIVE.includes(name),
  created: (name) => name === "preparing",
  placed: (name) => name === "preparing",
  progressed: (name) => name === "sending",
  saved: (name) => SENDING.includes(name),
  interrupted: (name) => ACTIVE.includes(name) && name !== "waiting",
  signed_out: (name) => ACTIVE.includes(name) || name === "queued" || name === "processing",
  stored: (name) => ACTIVE.includes(name) || RESTING.includes(name),
  slow: (name) => name === "processing",
  ready: (name) => name === "processing",
  paused: (name) => ACTIVE.includes(name) || name === "queued",
  failed: (name) => !OVER.includes(name) || name === "discarding",
  slept: (name) => RESTING.includes(name) || ACTIVE.includes(name),
  left_to_another: (name) => RESTING.includes(name),
  discarding: (name) => name !== "ready",
};

export function fresh(job: Job, saved = 0, videoId: string | null = null, expires: string | null = null): UploadState {
  return { job, videoId, saved, sent: saved, expires, step: { name: "queued" } };
}

export function next(state: UploadState, event: UploadEvent): UploadState {
  if (!FITS[event.type](state.step.name)) return state;
  const { saved, job } = state;
  const at = (step: Step, more: Partial<UploadState> = {}): UploadState => ({ ...state, ...more, step });
  switch (event.type) {
    case "queued":
      return at({ name: "queued" });
    case "begun":
      return at({ name: "preparing" }, { sent: saved });
    case "created":
      return at(state.step, { videoId: event.videoId });
    case "placed":
      return at({ name: "sending", rate: null }, { saved: event.saved, sent: event.saved, expires: event.expires ?? state.expires });
    case "progressed":
      if (event.sent >= job.totalBytes) return at({ name: "storing" }, { sent: job.totalBytes });
      return at({ name: "sending", rate: event.rate }, { sent: Math.max(event.sent, saved) });
    case "saved":
      return at(state.step, { saved: event.saved, sent: Math.max(event.saved, state.sent), expires: event.expires ?? state.expires });
    case "interrupted":
      return at({ name: "waiting", why: event.why, problem: event.problem, until: event.until }, { sent: saved });
    case "stored":
      return at({ name: "processing", slow: false }, { saved: job.totalBytes, sent: job.totalBytes, expires: null });
    case "slow":
      return at({ name: "processing", slow: true });
    case "failed":
      return at({ name: "failed", problem: event.problem, mayRetry: event.mayRetry }, { sent: saved });
    case "slept":
      return at({ name: "asleep", keptFile: event.keptFile, complaint: event.complaint }, { sent: saved });
    case "left_to_another":
      return at({ name: "elsewhere" }, { sent: saved });
    case "ready":
    case "discarding":
      return at({ name: event.type });
    case "signed_out":
    case "paused":
      return at({ name: event.type }, { sent: saved });
  }
}

/** Works in this tab or is about to: leaving the page would stop it. */
export const active = ({ step }: UploadState): boolean => ACTIVE.includes(step.name) || step.name === "queued";
