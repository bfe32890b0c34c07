// Uploads of this person wherever they run: the gateway says how far each is, and what has become of a video. An upload that goes silent is
// forgotten after a while, since progress is told at most once.
import { live } from "./live_page";
import { withProgress, without, type Uploads } from "./remote_progress";
import { Store } from "./store";
import { changes } from "./trash";

export const remoteUploads = new Store<Uploads>(new Map());

/** What became of a video, for pages that show it. A new object each time. */
export const videoNews = new Store<{ videoID: string; gone: boolean } | null>(null);

/** Progress comes up to four times a second; after this long without any the sender has stopped. */
export const SILENT_MS = 30_000;

/** Within this time all pages have looked up what they missed together. */
const LOOK_WITHIN_MS = 3_000;

/** Listens for as long as the page lives. Call once. */
export function followUploads(): void {
  const timers = new Map<string, ReturnType<typeof setTimeout>>();
  const forget = (videoID: string) => {
    clearTimeout(timers.get(videoID));
    timers.delete(videoID);
    remoteUploads.set(without(remoteUploads.value, videoID));
  };
  live.on("OnUploadProgress", ({ videoID, receivedBytes, totalBytes }) => {
    remoteUploads.set(withProgress(remoteUploads.value, videoID, { receivedBytes, totalBytes }));
    clearTimeout(timers.get(videoID));
    timers.set(videoID, setTimeout(() => forget(videoID), SILENT_MS));
  });
  for (const event of ["OnVideoReady", "OnVideoFailed", "OnVideoTrashed", "OnVideoRestored", "OnVideoPurged"] as const) {
    live.on(event, ({ videoID }) => {
      forget(videoID);
      videoNews.set({ videoID, gone: event === "OnVideoPurged" });
    });
  }
  // What was told while there was no connection is lost: look at everything once.
  live.on("loggedIn", ({ again }) => {
    if (again) changes.set(changes.value + 1);
  });
  // The same happened behind the server; every page hears of it at the same moment, so each waits a little.
  live.on("OnEventsMissed", () => setTimeout(() => changes.set(changes.value + 1), Math.random() * LOOK_WITHIN_MS));
  live.state.watch(({ name }) => {
    if (name !== "off") return;
    for (const videoID of [...remoteUploads.value.keys()]) forget(videoID);
  });
}
