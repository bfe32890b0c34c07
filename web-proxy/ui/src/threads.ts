// Comments come as one flat list, newest first; the page shows replies one level under what they answer.
import type { Comment } from "./types";

export interface Thread {
  root: Comment;
  /** Oldest first, as a conversation reads. */
  replies: Comment[];
  /** The root is itself a reply to something not (or not yet) loaded. */
  orphan: boolean;
}

export function threadsOf(comments: readonly Comment[]): Thread[] {
  const byId = new Map(comments.map((comment) => [comment.id, comment]));
  const threads = new Map<string, Thread>();
  const isRoot = (comment: Comment) => comment.parentId === null || !byId.has(comment.parentId);
  for (const comment of comments) {
    if (isRoot(comment)) threads.set(comment.id, { root: comment, replies: [], orphan: comment.parentId !== null });
  }
  for (const comment of comments) {
    if (!isRoot(comment)) threads.get(rootOf(comment, byId).id)?.replies.unshift(comment);
  }
  return [...threads.values()];
}

/** Follows parents upwards; a circle (which no honest server sends) ends at the first repetition. */
function rootOf(comment: Comment, byId: Map<string, Comment>): Comment {
  const seen = new Set<string>();
  let here = comment;
  while (here.parentId !== null && !seen.has(here.id)) {
    seen.add(here.id);
    const parent = byId.get(here.parentId);
    if (!parent) break;
    here = parent;
  }
  return here;
}
