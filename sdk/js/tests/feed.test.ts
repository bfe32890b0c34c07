// What a room gives on, whatever order things come in.
import { describe, expect, it } from "vitest";
import { Feed, MAX_HELD, MAX_STALLS } from "../src/feed.js";
import type { Entry, RoomSnapshot } from "../src/wire.js";
import { upTo } from "./helpers.js";

const entry = (seq: number) => ({ videoID: "r", seq, kind: "info", at: "", operationID: null, data: { title: "", visibility: "public" } }) as Entry;
const snapshot = (seq: number, seqs: number[], complete = true): RoomSnapshot => ({ videoID: "r", seq, events: seqs.map(entry), complete, memberCount: 1 });
const seqs = (entries: Entry[]) => entries.map(({ seq }) => seq);

describe("a feed", () => {
  it("holds back what comes before the first answer, and gives what lies after it", () => {
    const feed = new Feed("r");
    expect(feed.onPush(entry(7)).deliver).toEqual([]);
    expect(seqs(feed.onSnapshot(snapshot(6, []), undefined).deliver)).toEqual([7]);
  });

  it("drops what the answer covers already", () => {
    const feed = new Feed("r");
    feed.onPush(entry(6));
    expect(feed.onSnapshot(snapshot(6, []), undefined)).toMatchObject({ deliver: [], behind: false });
    expect(feed.onPush(entry(6)).deliver).toEqual([]);
    expect(feed.heldCount).toBe(0);
  });

  it("holds live entries back until the pages are complete", () => {
    const feed = new Feed("r", 0);
    expect(feed.onPush(entry(6)).behind).toBe(true);
    expect(feed.onSnapshot(snapshot(5, [1, 2], false), 0)).toMatchObject({ behind: true });
    expect(seqs(feed.onPush(entry(7)).deliver)).toEqual([]);
    const last = feed.onSnapshot(snapshot(7, [3, 4, 5]), 2);
    expect(seqs(last.deliver)).toEqual([3, 4, 5, 6, 7]);
    expect(last.behind).toBe(false);
  });

  it("an answer that is older than what came live is no reset", () => {
    const feed = new Feed("r", 3);
    feed.onPush(entry(4));
    feed.onPush(entry(5));
    const outcome = feed.onSnapshot(snapshot(4, [4]), 3);
    expect(outcome).toMatchObject({ deliver: [], behind: false });
    expect(outcome.reset).toBeUndefined();
    expect(feed.last).toBe(5);
  });

  it("keeps only so many, and fetches the rest", () => {
    const feed = new Feed("r", 0);
    for (let seq = 2; seq < MAX_HELD * 3; seq += 1) feed.onPush(entry(seq));
    expect(feed.heldCount).toBe(MAX_HELD);
    const outcome = feed.onPush(entry(1));
    expect(seqs(outcome.deliver)).toEqual(upTo(MAX_HELD + 1));
    expect(outcome.behind).toBe(true);
    expect(feed.heldCount).toBe(0);
  });

  it("gives up a hole only after the log was asked often enough, and says which", () => {
    const feed = new Feed("r", 0);
    feed.onPush(entry(3));
    for (const _ of upTo(MAX_STALLS - 1)) expect(feed.onSnapshot(snapshot(3, [3]), 0)).toMatchObject({ deliver: [], behind: true });
    const outcome = feed.onSnapshot(snapshot(3, [3]), 0);
    expect(outcome).toMatchObject({ gap: { from: 1, to: 2 }, behind: false });
    expect(seqs(outcome.deliver)).toEqual([3]);
  });

  it("after a loss of the connection goes on where it was", () => {
    const feed = new Feed("r", 0);
    feed.onPush(entry(1));
    feed.onPush(entry(3));
    feed.disconnected();
    expect(feed.last).toBe(1);
    expect(feed.heldCount).toBe(0);
    expect(seqs(feed.onSnapshot(snapshot(4, [2, 3, 4]), 1).deliver)).toEqual([2, 3, 4]);
  });

  it("gives every seq once and in order, however the network deals", () => {
    for (let round = 1; round <= 300; round += 1) {
      const chance = seeded(round);
      const total = 5 + Math.floor(chance() * 60);
      const feed = new Feed("r", 0);
      const got: number[] = [];
      let head = 0;
      for (let step = 0; (feed.last ?? 0) < total && step < 5_000; step += 1) {
        const what = chance();
        if (what < 0.4 && head < total) {
          head += 1;
          if (chance() < 0.7) got.push(...seqs(feed.onPush(entry(head)).deliver)); // else lost on the way
          if (chance() < 0.1) got.push(...seqs(feed.onPush(entry(head)).deliver));
        } else if (what < 0.5) {
          got.push(...seqs(feed.onPush(entry(1 + Math.floor(chance() * Math.max(head, 1)))).deliver));
          head = Math.max(head, feed.last ?? 0);
        } else if (what < 0.55) {
          feed.disconnected();
        } else if (what < 0.6) {
          feed.onHead(head);
        } else {
          const after = feed.last ?? 0;
          const page = upTo(Math.min(head, after + 1 + Math.floor(chance() * 10)), after + 1);
          got.push(...seqs(feed.onSnapshot(snapshot(head, page, (page.at(-1) ?? after) === head), after).deliver));
        }
      }
      expect(got, `round ${round}`).toEqual(upTo(total));
    }
  });
});

/** A small generator with a seed (mulberry32), so that a failure can be had again. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
