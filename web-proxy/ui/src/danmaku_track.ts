// Which danmaku of a video are known and which stretches of it have been asked for. Pure: the player asks what to load for a moment, answers and
// live ones go in, each danmaku comes out once.
import { Recent } from "./recent";
import type { Danmaku } from "./types";

/** One request's stretch of the video. */
export const WINDOW_MS = 60_000;
/** The next stretch is asked for this long before it begins. */
export const AHEAD_MS = 15_000;
/** A live one whose moment has just passed here is still shown: sender and viewer are never at the same instant. */
export const LATE_MS = 5_000;
/** And one from somebody who is this little ahead needs no waiting for. */
export const EARLY_MS = 1_500;
/** No more are kept; then those farthest from the moment are let go, down to `KEPT`. A page may be open for days. */
export const MOST = 4_000;
export const KEPT = 3_000;

export interface Window {
  fromMs: number;
  toMs: number;
}

export class DanmakuTrack {
  #known = new Map<string, Danmaku>();
  #removed = new Recent(MOST);
  #asked = new Set<number>();

  get size(): number {
    return this.#known.size;
  }

  /** The stretches to load for somebody at `atMs`; each is named once until it is given back. */
  wanted(atMs: number, durationMs: number | null): Window[] {
    const windows: Window[] = [];
    for (const moment of [atMs, atMs + AHEAD_MS]) {
      const index = indexOf(moment);
      if (this.#asked.has(index) || (durationMs !== null && index * WINDOW_MS > durationMs)) continue;
      this.#asked.add(index);
      windows.push({ fromMs: index * WINDOW_MS, toMs: (index + 1) * WINDOW_MS });
    }
    return windows;
  }

  /** The stretch couldn't be loaded: it is wanted again. */
  giveBack({ fromMs }: Window): void {
    this.#asked.delete(indexOf(fromMs));
  }

  /** The ones that weren't known yet, in the order given. */
  add(items: readonly Danmaku[]): Danmaku[] {
    const fresh = items.filter((item) => !this.#known.has(item.id) && !this.#removed.has(item.id));
    for (const item of fresh) this.#known.set(item.id, item);
    return fresh;
  }

  /** Also when it isn't known: an answer under way may still bring it. */
  remove(id: string): void {
    this.#known.delete(id);
    this.#removed.add(id);
  }

  /** Lets go of what is far from `atMs` when there are too many: it is loaded again when its stretch is. Whether there were. */
  trim(atMs: number): boolean {
    if (this.#known.size <= MOST) return false;
    const farthest = [...this.#known.values()].sort((a, b) => Math.abs(b.atMs - atMs) - Math.abs(a.atMs - atMs));
    const near = [indexOf(atMs), indexOf(atMs + AHEAD_MS)];
    for (const { id, atMs: its } of farthest.slice(0, farthest.length - KEPT)) {
      this.#known.delete(id);
      if (!near.includes(indexOf(its))) this.#asked.delete(indexOf(its));
    }
    return true;
  }

  /** All that are known, in the order of the video. */
  list(): Danmaku[] {
    return [...this.#known.values()].sort((a, b) => a.atMs - b.atMs || (a.id < b.id ? -1 : 1));
  }
}

const indexOf = (atMs: number): number => Math.floor(Math.max(atMs, 0) / WINDOW_MS);

/** Whether a danmaku that has just come is to be shown at once, to somebody who is at `nowMs` of the video. */
export const isNow = (danmaku: Danmaku, nowMs: number): boolean => nowMs - danmaku.atMs <= LATE_MS && danmaku.atMs - nowMs <= EARLY_MS;

/** The most of a list around a moment, for people who read them: those before it rather than those after it. */
export function around(items: readonly Danmaku[], nowMs: number, most: number): readonly Danmaku[] {
  if (items.length <= most) return items;
  const after = items.findIndex((item) => item.atMs > nowMs);
  const end = Math.min(Math.max((after < 0 ? items.length : after) + Math.floor(most / 4), most), items.length);
  return items.slice(end - most, end);
}
