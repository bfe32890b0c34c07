// What to do when a request of an upload fails. Pure: every failure that can be met stands in this one function.
import type { Problem } from "./problem";

/** What was asked for: the video's entry, a grant, an upload, how far it is, or to take bytes. */
export type Asked = "entry" | "grant" | "begin" | "where" | "bytes";

export interface Situation {
  asked: Asked;
  /** Failures in a row since the last byte that was saved. */
  failures: number;
  /** The grant was asked for in this very attempt. */
  freshGrant: boolean;
  /** Uploads of the same bytes that the server has forgotten. */
  lost: number;
  /** All bytes had been sent. */
  whole: boolean;
}

export type Verdict =
  /** Try again later; `busy`: because the server says so, else the connection is to blame. */
  | { do: "wait"; seconds: number; busy: boolean }
  /** The session has ended: nothing can be done until somebody signs in. */
  | { do: "sign_in" }
  /** The grant is no longer good: ask for another. */
  | { do: "new_grant" }
  /** The server has another number of bytes. */
  | { do: "go_on"; offset: number }
  /** The server has forgotten the upload: send from the beginning. */
  | { do: "begin_anew" }
  /** Something has become of the video: look what. */
  | { do: "look" }
  /** Send less at once. */
  | { do: "smaller" }
  /** It is the visitor's turn. `final`: sending these bytes again can't help. */
  | { do: "fail"; final: boolean };

/** Waits after the first failures in a row, in seconds; all later ones are as long as the last. */
const WAITS = [1, 2, 4, 8, 15, 30];

/** A server that fails by its own fault this often in a row will do so again. */
const MOST_INTERNAL = 5;

const MOST_MISMATCHES = 3;

export function judge(problem: Problem, at: Situation): Verdict {
  const { status, retryAfter } = problem;
  const wait = (busy: boolean): Verdict => ({ do: "wait", seconds: retryAfter ?? WAITS[Math.min(at.failures, WAITS.length - 1)] ?? 30, busy });
  const toUploads = at.asked === "begin" || at.asked === "where" || at.asked === "bytes";
  if (problem.code === "network" || problem.code === "timeout") return wait(false);
  switch (status) {
    case 429:
      return { do: "wait", seconds: Math.max(retryAfter ?? 2, 1), busy: true };
    case 408:
      return wait(false);
    case 423:
    case 502:
    case 503:
    case 504:
      return wait(true);
    case 500:
      return at.failures < MOST_INTERNAL ? wait(true) : { do: "fail", final: false };
    case 401:
      if (!toUploads) return { do: "sign_in" };
      return at.freshGrant ? wait(true) : { do: "new_grant" };
    case 409:
      // More often than this they don't agree about what was sent either: not in a hurry, then.
      if (problem.offset !== undefined) return at.failures < MOST_MISMATCHES ? { do: "go_on", offset: problem.offset } : wait(false);
      return at.asked === "entry" ? { do: "fail", final: false } : { do: "look" };
    case 404:
    case 410:
      return forgotten(problem, at);
    case 413:
      return at.asked === "bytes" ? { do: "smaller" } : { do: "fail", final: true };
    case 415:
      return { do: "fail", final: true };
    default:
      return { do: "fail", final: false };
  }
}

function forgotten(problem: Problem, at: Situation): Verdict {
  // The video itself is gone, or isn't this person's.
  if (at.asked === "grant") return { do: "look" };
  if (at.asked !== "where" && at.asked !== "bytes") return { do: "fail", final: false };
  // Whole and then ended, the answer lost: most likely it was looked into and refused. Sent by itself again, it would be refused again.
  if (at.whole && problem.status === 410) return { do: "fail", final: false };
  return at.lost === 0 ? { do: "begin_anew" } : { do: "fail", final: false };
}
