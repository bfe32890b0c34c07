// The page's uploads, wired to the real world. They live outside of the pages so that they go on while the visitor looks around.
import { createVideo, getVideo, newGrant, purgeVideo } from "./api";
import { bytes } from "./format";
import { fileOf, isAllowed } from "./kept_file";
import { language, text } from "./language";
import { live } from "./live_page";
import { person } from "./person";
import { sleep } from "./polling";
import { send } from "./transfer";
import { changes } from "./trash";
import { Tus } from "./tus";
import { browserLocks } from "./upload_locks";
import { UploadQueue } from "./upload_queue";
import { ForgivingRecords, StoredRecords } from "./upload_records";

/** Tabs tell each other the id of an upload that they have begun or left. */
const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("sluice.uploads");

export const uploads = new UploadQueue({
  create: ({ title, description, visibility }, signal) => createVideo({ title, visibility, ...(description === "" ? {} : { description }) }, signal),
  grant: async (videoId, signal) => (await newGrant(videoId, signal)).upload,
  tus: new Tus(send),
  video: getVideo,
  remove: purgeVideo,
  sleep,
  connected,
  isOffline: () => navigator.onLine === false,
  isLive: () => live.state.value.name === "live",
  onArrival: (videoId, listener) => live.on("OnUploadProgress", (event) => event.videoID === videoId && listener(event.receivedBytes)),
  now: () => Date.now(),
  tooLarge: (size, most) => text().upload.tooLarge(bytes(size, language.value), bytes(most, language.value)),
  records: new ForgivingRecords(new StoredRecords()),
  locks: browserLocks,
  announce: (id) => channel?.postMessage(id),
  isAllowed,
  fileOf,
  newId,
  onStored: () => changes.set(changes.value + 1),
});

/** Follows the person and other tabs; asks before the browser throws away what is on its way. Call once. */
export function startUploads(): void {
  addEventListener("beforeunload", (event) => {
    if (uploads.busy) event.preventDefault();
  });
  channel?.addEventListener("message", ({ data }) => typeof data === "string" && void uploads.heard(data));
  const follow = () => {
    if (person.value !== undefined) void uploads.setUser(person.value?.username ?? null);
  };
  person.watch(follow);
  follow();
}

/** The browser has a network again, the gateway's connection is back, or somebody looks at the page: whichever comes first. */
function connected(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = new AbortController();
    const until = { signal: AbortSignal.any([signal, over.signal]) };
    const back = () => {
      over.abort();
      resolve();
    };
    addEventListener("online", back, until);
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && back(), until);
    const deaf = live.on("loggedIn", back);
    until.signal.addEventListener("abort", deaf);
  });
}

/** Not crypto.randomUUID, which pages that are not served by https don't have. */
function newId(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
