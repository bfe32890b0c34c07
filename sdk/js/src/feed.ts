// One room as this client has it: which entry comes next, which ones came too early, how far the room is said to be. No socket and no clock
// here: entries and answers go in, what may be given to the application comes out, each seq once and in order.
import type { Entry, RoomSnapshot } from "./wire.js";

/** Entries that came before their turn and are kept. More are let go: they are fetched from the log when their turn comes. */
export const MAX_HELD = 1_000;

/** Answers in a row that bring nothing though something is missing, after which the missing seqs are given up (and said to be). */
export const MAX_STALLS = 5;

export interface Outcome {
  /** In the order of their seqs, each following the one before. */
  deliver: Entry[];
  /** Something is missing: ask for what comes after `last`. */
  behind: boolean;
  /** Seqs that the log doesn't give; the room goes on after them. */
  gap?: { from: number; to: number };
  /** The log is shorter than what was already seen (a server put back from a backup): the room goes on from its new end. */
  reset?: boolean;
}

export class Feed {
  readonly videoID: string;
  /** Seq of the last entry given to the application; undefined until the room's end is known. */
  last: number | undefined;
  /** Answers without progress, in a row. */
  stalls = 0;
  /** The room's end as the last answer had it: what lies after it came live. */
  answered = 0;
  #head = 0;
  #held = new Map<number, Entry>();

  constructor(videoID: string, afterSeq?: number) {
    this.videoID = videoID;
    this.last = afterSeq;
  }

  get behind(): boolean {
    return this.last === undefined || this.last < this.#head;
  }

  get heldCount(): number {
    return this.#held.size;
  }

  /** An entry that was pushed. */
  onPush(entry: Entry): Outcome {
    this.#hold(entry);
    return this.#outcome();
  }

  /** The room is said to be as far as `seq`. */
  onHead(seq: number): void {
    this.#head = Math.max(this.#head, seq);
  }

  /** The answer to a JoinRoom with this `afterSeq`. */
  onSnapshot(snapshot: RoomSnapshot, afterSeq: number | undefined): Outcome {
    this.answered = snapshot.seq;
    if (afterSeq !== undefined && snapshot.seq < afterSeq) return this.#reset(snapshot.seq);
    const before = this.last;
    if (this.last === undefined) {
      this.last = snapshot.seq;
      for (const seq of this.#held.keys()) if (seq <= this.last) this.#held.delete(seq); // came before the answer that covers it
    }
    this.#head = Math.max(this.#head, snapshot.seq);
    const deliver: Entry[] = [];
    for (const entry of [...snapshot.events].sort((a, b) => a.seq - b.seq)) {
      this.#hold(entry);
      deliver.push(...this.#drain()); // as they come, so that a long answer never fills what may be held
    }
    deliver.push(...this.#drain());
    this.stalls = before === this.last && this.behind ? this.stalls + 1 : 0;
    const outcome: Outcome = { deliver, behind: this.behind || !snapshot.complete };
    if (this.stalls < MAX_STALLS) return outcome;
    return { ...outcome, ...this.#giveUp(deliver) };
  }

  /** The connection is lost: what was held back is fetched again, and the next answer says how far the room is. */
  disconnected(): void {
    this.#held.clear();
    this.#head = 0;
    this.stalls = 0;
  }

  #hold(entry: Entry): void {
    this.#head = Math.max(this.#head, entry.seq);
    if (this.last !== undefined && entry.seq <= this.last) return;
    if (this.#held.size < MAX_HELD || entry.seq === (this.last ?? -1) + 1) this.#held.set(entry.seq, entry);
  }

  #drain(): Entry[] {
    const ready: Entry[] = [];
    while (this.last !== undefined) {
      const entry = this.#held.get(this.last + 1);
      if (!entry) break;
      this.#held.delete(entry.seq);
      this.last = entry.seq;
      ready.push(entry);
    }
    return ready;
  }

  #outcome(): Outcome {
    return { deliver: this.#drain(), behind: this.behind };
  }

  #reset(seq: number): Outcome {
    this.last = seq;
    this.#head = seq;
    this.#held.clear();
    this.stalls = 0;
    return { deliver: [], behind: false, reset: true };
  }

  /** The log has been asked often enough: the room goes on at the next entry that is there. */
  #giveUp(deliver: Entry[]): Partial<Outcome> {
    const from = (this.last ?? 0) + 1;
    const next = this.#held.size > 0 ? Math.min(...this.#held.keys()) : this.#head + 1;
    this.last = next - 1;
    this.stalls = 0;
    deliver.push(...this.#drain());
    return { deliver, behind: this.behind, gap: { from, to: next - 1 } };
  }
}
