// One room as the page follows it, with a connection and a log that the test holds: a closing is shown while it holds and no longer.
import type { Entry, GatewayError } from "@sluice/gateway";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Problem } from "../src/problem";
import { POLL_MS, RoomWatch, type Closed } from "../src/room_watch";
import { Store } from "../src/store";
import type { LiveState } from "../src/live";

class World {
  log: Entry[] = [];
  hidden = false;
  looks = 0;
  seen: number[] = [];
  count: number | undefined;
  closed: Closed | undefined;
  reopened = 0;
  joins: Array<number | undefined> = [];
  left = 0;
  refuseJoin = false;
  listeners = new Map<string, Set<(value: never) => void>>();
  state = new Store<LiveState>({ name: "live", attempt: 0 });
  lookedAt = true;
  watch: RoomWatch;

  constructor(afterSeq: number | undefined = 0) {
    this.watch = new RoomWatch("v", afterSeq, {
      live: {
        state: this.state,
        on: ((event: string, listener: (value: never) => void) => {
          const listeners = this.listeners.get(event) ?? new Set();
          this.listeners.set(event, listeners.add(listener));
          return () => void listeners.delete(listener);
        }) as never,
        join: async (videoID: string, seq: number | undefined) => {
          this.joins.push(seq);
          if (this.refuseJoin) {
            this.says("roomLost", { videoID, error: { errCode: 2004 } });
            throw new Error("refused");
          }
          return { videoID, seq: this.log.length, memberCount: 1 };
        },
        leave: () => void (this.left += 1),
      },
      ask: async (afterSeq, limit) => {
        this.looks += 1;
        if (this.hidden) throw new Problem({ code: "not_found", status: 404, detail: "" });
        const items = this.log.filter(({ seq }) => seq > afterSeq).slice(0, limit);
        return { items, next: null, seq: this.log.length };
      },
      isLookedAt: () => this.lookedAt,
      onLookedAt: () => () => {},
      onEntry: ({ seq }) => this.seen.push(seq),
      onCount: (count) => (this.count = count),
      onClosed: (closed) => (this.closed = closed),
      onReopened: () => (this.reopened += 1),
    });
  }

  says(event: string, value: unknown): void {
    for (const listener of [...(this.listeners.get(event) ?? [])]) listener(value as never);
  }

  append(kind: string, data: unknown): Entry {
    const entry = { videoID: "v", seq: this.log.length + 1, kind, at: "", operationID: null, data } as Entry;
    this.log.push(entry);
    return entry;
  }

  close = (reason: string) => this.append("closed", { reason });
  open = () => this.append("info", { title: "Back", visibility: "public" });
  push = (entry: Entry) => this.says("entry", entry);
}

const oneLook = () => vi.advanceTimersByTimeAsync(POLL_MS);
beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("who reads the log now and then", () => {
  it("is not told of a closing that is over", async () => {
    const world = new World();
    world.watch.start(false);
    world.close("trashed");
    world.open();
    await oneLook();
    expect([world.seen, world.closed, world.reopened]).toEqual([[1, 2], undefined, 0]);
  });

  it("is told of one that holds, by the log or by its absence, and of the end of it", async () => {
    const world = new World();
    world.watch.start(false);
    world.close("private");
    await oneLook();
    expect(world.closed).toBe("private");
    world.open();
    await oneLook();
    expect([world.closed, world.reopened]).toEqual([undefined, 1]);
    world.close("trashed");
    world.hidden = true;
    await oneLook();
    expect(world.closed).toBe("missing");
    world.open();
    world.hidden = false;
    await oneLook();
    expect([world.closed, world.reopened, world.seen]).toEqual([undefined, 2, [1, 2, 3, 4]]);
    expect(world.joins).toEqual([]);
  });

  it("finds it open again also when nothing was said since", async () => {
    const world = new World();
    world.watch.start(false);
    world.hidden = true;
    await oneLook();
    expect(world.closed).toBe("missing");
    world.hidden = false;
    await oneLook();
    expect([world.closed, world.reopened]).toEqual([undefined, 1]);
  });

  it("doesn't look while nobody looks, nor after it has stopped", async () => {
    const world = new World();
    const stop = world.watch.start(false);
    world.lookedAt = false;
    await oneLook();
    world.lookedAt = true;
    stop();
    await oneLook();
    expect([world.looks, vi.getTimerCount()]).toEqual([0, 0]);
  });
});

describe("who has a connection", () => {
  it("that was cut while the room was closed and opened again sees it open", async () => {
    const world = new World();
    world.watch.start(true);
    world.push(world.close("trashed")); // caught up with after the cut: the client is still in the room
    world.push(world.open());
    expect([world.seen, world.closed, world.reopened]).toEqual([[1, 2], undefined, 0]);
    await oneLook();
    expect([world.looks, world.joins]).toEqual([0, [0]]);
  });

  it("is told when the room is left, looks from then on, and joins again when it is open", async () => {
    const world = new World();
    world.watch.start(true);
    world.says("OnRoomMemberCount", { videoID: "v", count: 3 });
    expect(world.count).toBe(3);
    world.push(world.close("trashed"));
    expect(world.closed).toBeUndefined();
    world.says("roomEnded", { videoID: "v", reason: "trashed" });
    expect([world.closed, world.count]).toEqual(["trashed", undefined]);
    world.hidden = true;
    await oneLook();
    expect(world.closed).toBe("trashed");
    world.open();
    world.hidden = false;
    await oneLook();
    expect([world.closed, world.reopened, world.joins]).toEqual([undefined, 1, [0, 2]]);
    const { looks } = world;
    await oneLook();
    expect(world.looks).toBe(looks);
  });

  it("is told when it can't come back into the room, with the reason if there was one", async () => {
    const world = new World();
    world.watch.start(true);
    world.says("roomLost", { videoID: "other", error: { errCode: 2004 } as GatewayError });
    expect(world.closed).toBeUndefined();
    world.says("roomLost", { videoID: "v", error: { errCode: 2004 } as GatewayError });
    expect(world.closed).toBe("missing");
    const another = new World();
    another.watch.start(true);
    another.push(another.close("private"));
    another.says("roomLost", { videoID: "v", error: { errCode: 2004 } as GatewayError });
    expect(another.closed).toBe("private");
  });

  it("and isn't let in for another reason reads the log, and joins after the next login", async () => {
    const world = new World();
    world.watch.start(true);
    world.says("roomLost", { videoID: "v", error: { errCode: 1004 } as GatewayError });
    expect(world.closed).toBeUndefined();
    world.open();
    await oneLook();
    expect(world.seen).toEqual([1]);
    world.says("loggedIn", { again: true });
    expect(world.joins).toEqual([0, 1]);
  });

  it("that is of no use for long reads the log meanwhile, and nothing comes twice", async () => {
    const world = new World();
    world.watch.start(true);
    world.state.set({ name: "waiting", attempt: 3 });
    const first = world.open();
    await oneLook();
    world.state.set({ name: "live", attempt: 0 });
    world.push(first);
    world.push(world.open());
    await oneLook();
    expect([world.seen, world.looks]).toEqual([[1, 2], 1]);
  });

  it("stops asking for what was purged", async () => {
    const world = new World();
    const stop = world.watch.start(true);
    world.says("roomEnded", { videoID: "v", reason: "purged" });
    await oneLook();
    expect([world.closed, world.looks]).toEqual(["purged", 0]);
    stop();
    expect([world.left, [...world.listeners.values()].reduce((sum, { size }) => sum + size, 0)]).toEqual([1, 0]);
  });

  it("a private video is still its owner's: begun anew it is open", async () => {
    const world = new World();
    const stop = world.watch.start(true);
    world.push(world.close("private"));
    world.says("roomEnded", { videoID: "v", reason: "private" });
    stop();
    world.watch.start(true);
    expect([world.closed, world.joins]).toEqual([undefined, [0, 1]]);
    await oneLook();
    expect([world.closed, world.looks]).toEqual([undefined, 0]);
  });
});
