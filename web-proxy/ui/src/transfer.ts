// Sends a file's bytes with progress. XMLHttpRequest because fetch still has no upload progress.
import { Problem, problemOf } from "./problem";
import type { Upload } from "./types";

/** Without a byte of progress for this long the connection is given up as dead. */
const STALL_MS = 60_000;

/** After the last byte the server syncs and looks inside; large files on slow disks take a while. */
const ANSWER_MS = 180_000;

export type Progress = (sentBytes: number) => void;
export type Transfer = (upload: Upload, file: Blob, onProgress: Progress, signal: AbortSignal) => Promise<void>;

/** PUTs the whole file. Resolves when the server says it is durable (2xx); throws a Problem, or the signal's reason when cancelled. */
export const transfer: Transfer = (upload, file, onProgress, signal) =>
  new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const request = new XMLHttpRequest();
    let watchdog = 0;
    const watch = (ms: number) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => fail(new Problem({ code: "timeout", status: 0, detail: "" })), ms);
    };
    const settle = () => {
      clearTimeout(watchdog);
      signal.removeEventListener("abort", cancel);
    };
    const fail = (reason: unknown) => {
      settle();
      request.abort();
      reject(reason);
    };
    const cancel = () => fail(signal.reason);

    request.open("PUT", upload.url);
    request.setRequestHeader("Authorization", `Bearer ${upload.grant}`);
    request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    request.setRequestHeader("Accept", "application/json");
    request.upload.onprogress = (event) => {
      watch(STALL_MS);
      onProgress(event.loaded);
    };
    request.upload.onload = () => {
      watch(ANSWER_MS);
      onProgress(file.size);
    };
    request.onload = () => {
      settle();
      if (request.status >= 200 && request.status < 300) return resolve();
      reject(problemOf(request.status, request.responseText, (name) => request.getResponseHeader(name)));
    };
    request.onerror = () => fail(new Problem({ code: "network", status: 0, detail: "" }));
    signal.addEventListener("abort", cancel);
    watch(STALL_MS);
    request.send(file);
  });
