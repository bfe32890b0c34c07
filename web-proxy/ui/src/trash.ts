// Deleting in two strengths. Into the trash answers at once and offers "Undo"; pages that show videos watch `changes` to keep up.
import { restoreVideo, trashVideo } from "./api";
import { text } from "./language";
import { asProblem } from "./problem";
import { Store } from "./store";
import { say } from "./toasts";
import type { Video } from "./types";

/** Counts what has changed among the visitor's videos by other means than the page's own buttons. */
export const changes = new Store(0);

export async function trash(video: Video): Promise<Video> {
  const answer = await trashVideo(video.id);
  const t = text();
  say(t.trash.done(video.title), { about: video.id, action: { label: t.trash.undo, run: () => void undo(video) } });
  return answer.video;
}

export async function restore(video: Video): Promise<Video> {
  const answer = await restoreVideo(video.id);
  say(text().trash.restored(video.title), { about: video.id });
  return answer.video;
}

async function undo(video: Video): Promise<void> {
  try {
    await restore(video);
  } catch (thrown) {
    const problem = asProblem(thrown);
    say(problem.detail || text().problems[problem.code] || text().problem, { kind: "problem" });
  }
  changes.set(changes.value + 1);
}
