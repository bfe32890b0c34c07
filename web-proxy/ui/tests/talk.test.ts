// What is said under and over a video: comments with the news in them, danmaku by stretches, the log read without a connection, uploads elsewhere.
import type { Entry } from "@sluice/gateway";
import { describe, expect, it } from "vitest";
import { AHEAD_MS, around, DanmakuTrack, EARLY_MS, isNow, KEPT, LATE_MS, MOST, WINDOW_MS } from "../src/danmaku_track";
import { LiveComments, UNHEARD_MS } from "../src/live_comments";
import { Recent } from "../src/recent";
import { shareOfUpload, withProgress, without, type Uploads } from "../src/remote_progress";
import { readLog } from "../src/room_log";
import type { Comment, Danmaku } from "../src/types";

const author = { username: "mira", displayName: "Mira" };
const comment = (id: string): Comment => ({ id, text: id, parentId: null, author, createdAt: "2026-01-01T00:00:00.000Z" });
const ids = (items: ReadonlyArray<{ id: string }>) => items.map(({ id }) => id).join("");

describe("live comments", () => {
  it("come before the loaded ones, newest first, each once", () => {
    const live = new LiveComments();
    expect(live.add(comment("d"))).toBe(true);
    expect(live.add(comment("e"))).toBe(true);
    expect(live.add(comment("d"))).toBe(false);
    expect(ids(live.merged([comment("c"), comment("b")]))).toBe("edcb");
    expect(live.delta).toBe(2);
  });

  it("are not repeated when the list, loaded later, has them", () => {
    const live = new LiveComments();
    live.add(comment("d"));
    expect(ids(live.merged([comment("d"), comment("c")]))).toBe("dc");
  });

  it("that are taken back are gone, also when the list still has them or they come late", () => {
    const live = new LiveComments();
    live.add(comment("d"));
    expect(live.remove("d")).toBe(true);
    expect(live.remove("d")).toBe(false);
    live.remove("b");
    live.remove("x");
    expect(live.add(comment("x"))).toBe(false);
    expect(ids(live.merged([comment("d"), comment("c"), comment("b")]))).toBe("c");
    expect(live.delta).toBe(-2);
  });

  it("count from where the server last counted", () => {
    const live = new LiveComments();
    live.add(comment("a"));
    live.recounted(1);
    expect(live.delta).toBe(0);
    live.remove("a");
    expect(live.delta).toBe(-1);
    expect(ids(live.merged([]))).toBe("");
  });

  it("that the server had counted before they were heard of are not counted twice", () => {
    const live = new LiveComments();
    live.add(comment("a"), 0);
    live.recounted(2, 0); // "a" and another
    live.add(comment("b"), 10);
    expect(live.delta).toBe(0);
    live.add(comment("c"), 20);
    expect(live.delta).toBe(1);
    live.recounted(0, 30); // "c" is counted, something is gone
    live.remove("a", 40);
    expect(live.delta).toBe(0);
    live.remove("b", 50);
    expect(live.delta).toBe(-1);
    live.recounted(0, 100); // what was to come doesn't: it is forgotten
    live.add(comment("d"), 100 + UNHEARD_MS);
    expect(live.delta).toBe(1);
    expect(ids(live.merged([]))).toBe("dc");
  });

  it("are read out, unless they were taken back", () => {
    const live = new LiveComments();
    live.hear(comment("a"));
    expect(live.heard?.id).toBe("a");
    live.remove("b");
    expect(live.heard?.id).toBe("a");
    live.remove("a");
    expect(live.heard).toBeUndefined();
    live.hear(comment("b"));
    expect(live.heard).toBeUndefined();
  });

  it("are bounded", () => {
    const live = new LiveComments();
    for (let number = 0; number < 3000; number += 1) live.add(comment(`c${number}`));
    expect(live.merged([]).length).toBe(1000);
    expect(live.merged([])[0]?.id).toBe("c2999");
  });
});

const danmaku = (id: string, atMs: number): Danmaku => ({ id, text: id, atMs, mode: "scroll", color: "#ffffff", author, createdAt: "2026-01-01T00:00:00.000Z" });

describe("the danmaku of a video", () => {
  it("are asked for by stretches, each once, the next one ahead of time", () => {
    const track = new DanmakuTrack();
    expect(track.wanted(0, 200_000)).toEqual([{ fromMs: 0, toMs: WINDOW_MS }]);
    expect(track.wanted(1_000, 200_000)).toEqual([]);
    expect(track.wanted(WINDOW_MS - AHEAD_MS, 200_000)).toEqual([{ fromMs: WINDOW_MS, toMs: 2 * WINDOW_MS }]);
    expect(track.wanted(150_000, 200_000)).toEqual([{ fromMs: 120_000, toMs: 180_000 }]);
    expect(track.wanted(170_000, 200_000)).toEqual([{ fromMs: 180_000, toMs: 240_000 }]);
  });

  it("are not asked for beyond the end, and again after a failure", () => {
    const track = new DanmakuTrack();
    const [first] = track.wanted(50_000, 58_000);
    expect(track.wanted(55_000, 58_000)).toEqual([]);
    if (first) track.giveBack(first);
    expect(track.wanted(55_000, 58_000)).toEqual([{ fromMs: 0, toMs: WINDOW_MS }]);
    expect(new DanmakuTrack().wanted(119_000, null).length).toBe(2);
  });

  it("come out once, whichever way they came, in the video's order", () => {
    const track = new DanmakuTrack();
    expect(ids(track.add([danmaku("b", 2_000)]))).toBe("b");
    expect(ids(track.add([danmaku("a", 1_000), danmaku("b", 2_000), danmaku("c", 2_000)]))).toBe("ac");
    expect(ids(track.list())).toBe("abc");
  });

  it("that are taken back don't come with a later answer", () => {
    const track = new DanmakuTrack();
    track.add([danmaku("a", 1)]);
    track.remove("a");
    track.remove("b");
    expect(track.add([danmaku("a", 1), danmaku("b", 2), danmaku("c", 3)]).length).toBe(1);
    expect(ids(track.list())).toBe("c");
  });

  it("are bounded: those far from the moment are let go, and asked for again when they are near", () => {
    const track = new DanmakuTrack();
    for (const moment of [0, 5, 10]) expect(track.wanted(moment * WINDOW_MS, null)[0]).toEqual({ fromMs: moment * WINDOW_MS, toMs: (moment + 1) * WINDOW_MS });
    const many = (name: string, count: number, atMs: number) => track.add(Array.from({ length: count }, (_, index) => danmaku(`${name}${index}`, atMs)));
    many("early", 1_000, 100);
    many("now", MOST - 1_000, 10 * WINDOW_MS);
    expect(track.trim(10 * WINDOW_MS)).toBe(false);
    many("new", 1, 10 * WINDOW_MS);
    expect(track.trim(10 * WINDOW_MS)).toBe(true);
    expect(track.size).toBe(KEPT);
    expect(track.list().every(({ id }) => !id.startsWith("early"))).toBe(true);
    expect(track.wanted(10 * WINDOW_MS, null)).toEqual([]);
    expect(track.wanted(0, null)).toEqual([{ fromMs: 0, toMs: WINDOW_MS }]);
    expect(track.wanted(5 * WINDOW_MS, null)).toEqual([]); // of that nothing was let go
  });

  it.each([[10_000, 10_000, true], [10_000, 10_000 + LATE_MS, true], [10_000, 10_001 + LATE_MS, false], [10_000, 10_000 - EARLY_MS, true], [10_000, 9_999 - EARLY_MS, false]])("at %i, for somebody at %i: now is %s", (atMs, nowMs, now) =>
    expect(isNow(danmaku("a", atMs), nowMs)).toBe(now));

  it("are listed around the moment, never more than asked for", () => {
    const items = Array.from({ length: 1000 }, (_, index) => danmaku(String(index), index * 1000));
    for (const nowMs of [0, 500_000, 999_000, 5_000_000]) expect(around(items, nowMs, 100).length).toBe(100);
    expect(around(items, 500_000, 100).map(({ id }) => id)).toContain("500");
    expect(around(items, 0, 100)[0]?.id).toBe("0");
    expect(around(items, 5_000_000, 100).at(-1)?.id).toBe("999");
    expect(around(items.slice(0, 3), 0, 100).length).toBe(3);
  });
});

it("recent ids are the latest so many", () => {
  const recent = new Recent(2);
  for (const id of ["a", "b", "b", "c"]) recent.add(id);
  expect([recent.has("a"), recent.has("b"), recent.has("c"), recent.size]).toEqual([false, true, true, 2]);
});

describe("the log, read now and then", () => {
  const log = (total: number) => Array.from({ length: total }, (_, index) => ({ videoID: "v", seq: index + 1, kind: "info", at: "", operationID: null, data: { title: "", visibility: "public" } }) as Entry);
  const server = (entries: Entry[], most: number) => async (afterSeq: number, limit: number) => {
    const missing = entries.filter(({ seq }) => seq > afterSeq);
    const items = missing.slice(0, Math.min(limit, most));
    return { items, next: items.length < missing.length ? (items.at(-1)?.seq ?? null) : null, seq: entries.length };
  };

  it("gives every entry once and in order, page by page, and goes on where it was", async () => {
    const entries = log(23);
    const seen: number[] = [];
    let last = await readLog(server(entries.slice(0, 12), 5), 2, ({ seq }) => seen.push(seq));
    expect(last).toBe(12);
    last = await readLog(server(entries, 5), last, ({ seq }) => seen.push(seq));
    expect(seen).toEqual(Array.from({ length: 21 }, (_, index) => index + 3));
    expect(await readLog(server(entries, 5), last, () => expect.unreachable())).toBe(23);
  });

  it("reads so many pages at a time, and an answer that never ends is no loop", async () => {
    let asked = 0;
    await readLog(async (afterSeq) => ((asked += 1), { items: [], next: afterSeq, seq: 9 }), 0, () => {});
    expect(asked).toBe(1);
    let seen = 0;
    expect(await readLog(server(log(100), 5), 0, () => (seen += 1))).toBe(50);
    expect(seen).toBe(50);
  });
});

describe("uploads elsewhere", () => {
  const none: Uploads = new Map();
  it("go forward, are forgotten, and say their share", () => {
    let uploads = withProgress(none, "a", { receivedBytes: 10, totalBytes: 100 });
    uploads = withProgress(uploads, "a", { receivedBytes: 60, totalBytes: 100 });
    expect(withProgress(uploads, "a", { receivedBytes: 50, totalBytes: 100 })).toBe(uploads);
    expect(uploads.get("a")).toEqual({ receivedBytes: 60, totalBytes: 100 });
    expect(withProgress(uploads, "a", { receivedBytes: 0, totalBytes: 100 }).get("a")?.receivedBytes).toBe(0); // begun anew
    expect(without(uploads, "a").size).toBe(0);
    expect(without(uploads, "b")).toBe(uploads);
  });

  it.each([[{ receivedBytes: 999, totalBytes: 1000 }, 99], [{ receivedBytes: 1000, totalBytes: 1000 }, 100], [{ receivedBytes: 5, totalBytes: null }, null], [{ receivedBytes: 0, totalBytes: 0 }, null]])("%j: %s", (progress, share) =>
    expect(shareOfUpload(progress)).toBe(share));

  it("are bounded", () => {
    let uploads = none;
    for (let number = 0; number < 200; number += 1) uploads = withProgress(uploads, `v${number}`, { receivedBytes: 1, totalBytes: 2 });
    expect(uploads.size).toBe(50);
    expect(uploads.has("v199")).toBe(true);
  });
});
