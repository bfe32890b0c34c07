// The page's one upload, wired to the real world. It lives outside of the pages so that it goes on while the visitor looks around.
import { createVideo, getVideo, purgeVideo } from "./api";
import { bytes } from "./format";
import { language, text } from "./language";
import { sleep } from "./polling";
import { transfer } from "./transfer";
import { changes } from "./trash";
import { inFlight } from "./upload_state";
import { Uploader } from "./uploader";

export const uploader = new Uploader({
  create: ({ title, description, visibility }, signal) =>
    createVideo({ title, visibility, ...(description === "" ? {} : { description }) }, signal),
  transfer,
  video: getVideo,
  discard: purgeVideo,
  sleep,
  now: () => Date.now(),
  tooLarge: (size, most) => text().upload.tooLarge(bytes(size, language.value), bytes(most, language.value)),
});

/** Asks before the browser throws away what is on its way; tells lists when an upload has come to its end. */
export function guardUploads(): void {
  addEventListener("beforeunload", (event) => {
    if (inFlight(uploader.state.value)) event.preventDefault();
  });
  uploader.state.watch((state) => {
    if (state.step === "ready" || state.step === "processing") changes.set(changes.value + 1);
  });
}
