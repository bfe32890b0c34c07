// One HTTP request with the progress of its body. XMLHttpRequest because fetch still has no upload progress. Whoever waits here is not left
// waiting: a connection over which nothing moves is given up, sooner when the browser says that the network is gone.
import { Problem, problemOf } from "./problem";

/** Without a byte of progress for this long the connection is given up as dead. */
const STALL_MS = 45_000;

/** The browser says that it is offline: what moves on all the same (a server on this very machine) may; what doesn't is given up soon. */
const OFFLINE_MS = 3_000;

export interface Ask {
  method: string;
  url: string;
  headers: Record<string, string>;
  body?: Blob;
  /** How long the answer may take once everything is sent, in milliseconds. */
  answerMs: number;
}

export interface Answer {
  status: number;
  header(name: string): string | null;
}

/** Resolves to an answer of 2xx; throws a Problem for every other and for none, and the signal's reason when it was cancelled. */
export type Send = (ask: Ask, signal: AbortSignal, onSent?: (bytes: number) => void) => Promise<Answer>;

export const send: Send = (ask, signal, onSent) =>
  new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const request = new XMLHttpRequest();
    let watchdog: ReturnType<typeof setTimeout> | undefined;
    const watch = (ms: number) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => fail(new Problem({ code: "timeout", status: 0, detail: "" })), ms);
    };
    const hurry = () => watch(OFFLINE_MS);
    const settle = () => {
      clearTimeout(watchdog);
      signal.removeEventListener("abort", cancel);
      removeEventListener("offline", hurry);
    };
    const fail = (reason: unknown) => {
      settle();
      request.abort();
      reject(reason);
    };
    const cancel = () => fail(signal.reason);

    request.open(ask.method, ask.url);
    for (const [name, value] of Object.entries(ask.headers)) request.setRequestHeader(name, value);
    if (ask.body) {
      request.upload.onprogress = (event) => {
        watch(STALL_MS);
        onSent?.(event.loaded);
      };
      request.upload.onload = () => watch(ask.answerMs);
    }
    request.onload = () => {
      settle();
      const header = (name: string) => request.getResponseHeader(name);
      if (request.status >= 200 && request.status < 300) return resolve({ status: request.status, header });
      reject(problemOf(request.status, request.responseText, header));
    };
    request.onerror = () => fail(new Problem({ code: "network", status: 0, detail: "" }));
    signal.addEventListener("abort", cancel);
    addEventListener("offline", hurry);
    watch(ask.body ? STALL_MS : ask.answerMs);
    request.send(ask.body ?? null);
  });
