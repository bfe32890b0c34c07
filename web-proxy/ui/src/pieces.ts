// How many bytes go into one request. What a request brought is known to be safe when it is answered (the server syncs first), so small pieces
// lose little and show soon what is saved, and large ones waste no time on answers. A piece is as large as the connection sends in a few
// seconds. The server itself keeps what a broken piece brought; this is about what a crash and a reload cost.
const MIB = 2 ** 20;

export const FIRST = 4 * MIB;
/** Only where something in between refuses larger ones. */
export const LEAST = 256 * 1024;
/** At 1 Gbit/s half a second; the wait for the answer is little beside it. */
export const MOST = 64 * MIB;
const SECONDS = 6;

export class Pieces {
  #size = FIRST;
  #most = MOST;

  next(left: number): number {
    return Math.min(this.#size, this.#most, left);
  }

  /** A piece went through in this time. It grows and shrinks by steps: one lucky piece says little. */
  took(bytes: number, ms: number): void {
    if (bytes < Math.min(this.#size, this.#most)) return; // the rest of a file
    const fitting = (bytes / Math.max(ms, 1)) * 1000 * SECONDS;
    this.#set(between(fitting, this.#size / 4, this.#size * 4));
  }

  /** It broke off: what gets through is smaller. */
  broke(): void {
    this.#set(this.#size / 2);
  }

  /** Something between here and the server refuses bodies of this size. False when they are as small as can be. */
  refused(bytes: number): boolean {
    if (bytes <= LEAST) return false;
    this.#most = Math.max(Math.floor(bytes / 4), LEAST);
    return true;
  }

  #set(size: number): void {
    this.#size = between(size, Math.min(MIB, this.#most), this.#most);
  }
}

const between = (value: number, least: number, most: number) => Math.round(Math.min(Math.max(value, least), most));
