// What has happened to a video's comments since its list was loaded, whichever way each change was heard of: this page's own answer, the room's
// log, or both. The list itself may come later than the news of it.
import type { Comment } from "./types";

/** Kept beside the loaded list; older ones are in the list's pages after a reload. */
const MOST = 1_000;

export class LiveComments {
  #added = new Map<string, Comment>();
  #removed = new Set<string>();
  /** Ids that count as changes since the server last counted. */
  #counted = { added: new Set<string>(), removed: new Set<string>() };

  /** Whether that was news. */
  add(comment: Comment): boolean {
    if (this.#added.has(comment.id) || this.#removed.has(comment.id)) return false;
    this.#added.set(comment.id, comment);
    this.#counted.added.add(comment.id);
    const oldest = this.#added.size > MOST ? this.#added.keys().next().value : undefined;
    if (oldest !== undefined) this.#added.delete(oldest);
    return true;
  }

  remove(id: string): boolean {
    if (this.#removed.has(id)) return false;
    this.#removed.add(id);
    this.#counted.removed.add(id);
    return true;
  }

  /** The loaded list with the changes in it, newest first. */
  merged(loaded: readonly Comment[]): Comment[] {
    const known = new Set(loaded.map((comment) => comment.id));
    const fresh = [...this.#added.values()].filter((comment) => !known.has(comment.id)).reverse();
    return [...fresh, ...loaded].filter((comment) => !this.#removed.has(comment.id));
  }

  /** By how much the number of comments has changed. */
  get delta(): number {
    return this.#counted.added.size - this.#counted.removed.size;
  }

  /** The server has counted anew. */
  recounted(): void {
    this.#counted = { added: new Set(), removed: new Set() };
  }
}
