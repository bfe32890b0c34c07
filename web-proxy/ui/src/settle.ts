// After the last byte: waits until the platform knows the video.
import { asProblem, Problem } from "./problem";
import type { Video } from "./types";
import type { UploadEvent } from "./upload_state";
import type { UploadWorld } from "./uploader";

/** Waits between looks at a stored video, in milliseconds: quick at first, then every 5 s, for about 10 minutes in all. */
const LOOKS_MS = [0, 200, 300, 500, 800, 1200, 2000, 3000, ...Array.from({ length: 120 }, () => 5000)];

/** After this many looks (about 20 s) the page says that it may take longer. */
const SLOW_AFTER_LOOKS = 10;

type World = Pick<UploadWorld, "video" | "sleep">;

/** Looks at the video until it is ready. */
export async function settle(world: World, videoId: string, tell: (event: UploadEvent) => void, signal: AbortSignal): Promise<void> {
  tell({ type: "stored" });
  for (const [count, ms] of LOOKS_MS.entries()) {
    await world.sleep(ms, signal);
    const video = await look(world, videoId, signal);
    if (video?.state === "ready") return tell({ type: "ready" });
    if (video?.state === "failed") throw new Problem({ code: "unsupported_media", status: 415, detail: video.failure ?? "" });
    if (video?.state === "trashed" || video?.state === "purging") throw new Problem({ code: "gone", status: 410, detail: "" });
    if (count === SLOW_AFTER_LOOKS) tell({ type: "slow" });
  }
}

/** The video as it is now, or null when the server couldn't be asked just now. */
export async function look(world: World, videoId: string, signal: AbortSignal): Promise<Video | null> {
  try {
    return await world.video(videoId, signal);
  } catch (thrown) {
    signal.throwIfAborted();
    const problem = asProblem(thrown);
    if (problem.passing) return null;
    throw problem;
  }
}
