// Ends an unfinished upload at the server: the upload itself, then the entry of the video that waited for it. A video that has its file by now
// is nobody's unfinished upload and stays.
import { asProblem } from "./problem";
import type { Video } from "./types";
import type { UploadRecord } from "./upload_records";
import type { UploadWorld } from "./uploader";

/** The file came. */
export const STORED: readonly Video["state"][] = ["ready", "processing"];

/** Throws the Problem when the server can't be asked. */
export async function discard(world: Pick<UploadWorld, "video" | "grant" | "tus" | "remove">, { videoId, location }: UploadRecord): Promise<"discarded" | "stored"> {
  const { signal } = new AbortController();
  if (videoId === null) return "discarded";
  const video = await unlessGone(() => world.video(videoId, signal));
  if (!video) return "discarded";
  if (STORED.includes(video.state)) return "stored";
  if (video.state === "awaiting_upload" && location !== null) {
    const { grant } = await world.grant(videoId, signal);
    await unlessGone(() => world.tus.end(location, grant, signal));
  }
  if (video.state === "awaiting_upload" || video.state === "failed") await unlessGone(() => world.remove(videoId));
  return "discarded";
}

async function unlessGone<T>(act: () => Promise<T>): Promise<T | null> {
  try {
    return await act();
  } catch (thrown) {
    if ([404, 410].includes(asProblem(thrown).status)) return null;
    throw thrown;
  }
}
