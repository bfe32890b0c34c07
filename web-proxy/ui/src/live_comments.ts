// What has happened to a video's comments since its list was loaded, whichever way each change was heard of: this page's own answer, the room's
// log, or both. The list itself may come later than the news of it.
import { Recent } from "./recent";
import type { Comment } from "./types";

/** Kept beside the loaded list; older ones are in the list's pages after a reload. */
const MOST = 1_000;

/** What the server had counted before it was heard of here is heard of within this time: the log is read every 15 s where there is no connection. */
export const UNHEARD_MS = 20_000;

export class LiveComments {
  #added = new Map<string, Comment>();
  #removed = new Recent(MOST);
  #delta = 0;
  /** Changes that are in the server's number and not yet in this list: as many comments if positive, as many removals if negative. */
  #unheard = 0;
  #unheardUntil = 0;
  #heard: Comment | undefined;

  /** The last one to be read out; undefined when there is none, or when it was taken back. */
  get heard(): Comment | undefined {
    return this.#heard;
  }

  hear(comment: Comment): void {
    if (!this.#removed.has(comment.id)) this.#heard = comment;
  }

  /** Whether that was news. */
  add(comment: Comment, nowMs = Date.now()): boolean {
    if (this.#added.has(comment.id) || this.#removed.has(comment.id)) return false;
    this.#added.set(comment.id, comment);
    this.#count(1, nowMs);
    const oldest = this.#added.size > MOST ? this.#added.keys().next().value : undefined;
    if (oldest !== undefined) this.#added.delete(oldest);
    return true;
  }

  remove(id: string, nowMs = Date.now()): boolean {
    if (this.#removed.has(id)) return false;
    this.#removed.add(id);
    this.#count(-1, nowMs);
    if (this.#heard?.id === id) this.#heard = undefined;
    return true;
  }

  /** The loaded list with the changes in it, newest first. */
  merged(loaded: readonly Comment[]): Comment[] {
    const known = new Set(loaded.map((comment) => comment.id));
    const fresh = [...this.#added.values()].filter((comment) => !known.has(comment.id)).reverse();
    return [...fresh, ...loaded].filter((comment) => !this.#removed.has(comment.id));
  }

  /** By how much the number of comments has changed since the server last counted. */
  get delta(): number {
    return this.#delta;
  }

  /** The server has counted anew, `by` more than before. What of it hasn't been heard of here is on its way, and is not to be counted twice. */
  recounted(by: number, nowMs = Date.now()): void {
    this.#unheard = by - this.#delta;
    this.#unheardUntil = nowMs + UNHEARD_MS;
    this.#delta = 0;
  }

  #count(change: 1 | -1, nowMs: number): void {
    if (nowMs < this.#unheardUntil && Math.sign(this.#unheard) === change) this.#unheard -= change;
    else this.#delta += change;
  }
}
