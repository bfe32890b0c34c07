// The steps of one upload as a pure machine: what happened goes in, what to show comes out. An event that doesn't fit the step (a late
// progress event after a cancel) changes nothing.
import type { Problem } from "./problem";

export interface Job {
  title: string;
  fileName: string;
  totalBytes: number;
}

interface Sending {
  step: "sending";
  job: Job;
  videoId: string;
  sentBytes: number;
  bytesPerSecond: number | null;
  /** 1 for the first try. */
  attempt: number;
}

export type UploadState =
  | { step: "idle" }
  | { step: "creating"; job: Job }
  | Sending
  | { step: "waiting"; job: Job; videoId: string; attempt: number; seconds: number; problem: Problem }
  | { step: "storing"; job: Job; videoId: string; attempt: number }
  | { step: "processing"; job: Job; videoId: string; slow: boolean }
  | { step: "ready"; job: Job; videoId: string }
  | { step: "failed"; job: Job; videoId: string | null; problem: Problem };

export type UploadEvent =
  | { type: "started"; job: Job }
  | { type: "created"; videoId: string }
  | { type: "progressed"; sentBytes: number; bytesPerSecond: number | null }
  | { type: "interrupted"; problem: Problem; seconds: number }
  | { type: "resumed" }
  | { type: "stored" }
  | { type: "slow" }
  | { type: "ready" }
  | { type: "failed"; problem: Problem }
  | { type: "dismissed" };

export const IDLE: UploadState = { step: "idle" };

export function next(state: UploadState, event: UploadEvent): UploadState {
  switch (event.type) {
    case "started":
      return state.step === "idle" || finished(state) ? { step: "creating", job: event.job } : state;
    case "created":
      return state.step === "creating" ? sending(state.job, event.videoId, 1) : state;
    case "progressed":
      return state.step === "sending" ? progressed(state, event.sentBytes, event.bytesPerSecond) : state;
    case "interrupted":
      if (state.step !== "sending" && state.step !== "storing") return state;
      return { ...pick(state), step: "waiting", attempt: state.attempt, seconds: event.seconds, problem: event.problem };
    case "resumed":
      if (state.step === "waiting") return sending(state.job, state.videoId, state.attempt + 1);
      return state.step === "failed" && state.videoId !== null ? sending(state.job, state.videoId, 1) : state;
    case "stored":
      return "videoId" in state && state.videoId !== null && state.step !== "ready"
        ? { step: "processing", job: state.job, videoId: state.videoId, slow: false }
        : state;
    case "slow":
      return state.step === "processing" ? { ...state, slow: true } : state;
    case "ready":
      return state.step === "processing" ? { ...pick(state), step: "ready" } : state;
    case "failed":
      if (state.step === "idle" || finished(state)) return state;
      return { step: "failed", job: state.job, videoId: "videoId" in state ? state.videoId : null, problem: event.problem };
    case "dismissed":
      return IDLE;
  }
}

/** Nothing more will happen by itself. */
export const finished = (state: UploadState): boolean => state.step === "ready" || state.step === "failed";

/** Leaving the page now would lose bytes already sent. */
export const inFlight = (state: UploadState): boolean => ["creating", "sending", "waiting", "storing"].includes(state.step);

function progressed(state: Sending, sentBytes: number, bytesPerSecond: number | null): UploadState {
  if (sentBytes >= state.job.totalBytes) return { ...pick(state), step: "storing", attempt: state.attempt };
  return { ...state, sentBytes, bytesPerSecond };
}

function sending(job: Job, videoId: string, attempt: number): UploadState {
  return { step: "sending", job, videoId, sentBytes: 0, bytesPerSecond: null, attempt };
}

function pick(state: { job: Job; videoId: string }): { job: Job; videoId: string } {
  return { job: state.job, videoId: state.videoId };
}
