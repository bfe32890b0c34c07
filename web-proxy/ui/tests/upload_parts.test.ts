// The small parts of uploading: sizes of pieces, the meter, the comparison of files, the requests of tus.
import { describe, expect, it, vi } from "vitest";
import { Meter } from "../src/meter";
import { FIRST, LEAST, MOST, Pieces } from "../src/pieces";
import { Problem } from "../src/problem";
import { difference, factsOf } from "../src/same_file";
import type { Answer, Ask } from "../src/transfer";
import { Tus } from "../src/tus";

const GIB = 2 ** 30;

describe("pieces", () => {
  /** After so many pieces at this rate (bytes per second). */
  const settled = (rate: number, count = 12) => {
    const pieces = new Pieces();
    for (let left = count; left > 0; left -= 1) pieces.took(pieces.next(GIB), (pieces.next(GIB) / rate) * 1000);
    return pieces.next(GIB);
  };

  it.each([
    ["0.1 Mbit/s", 12_500, 2 ** 20],
    ["10 Mbit/s", 1_250_000, 7_500_000],
    ["1 Gbit/s", 125_000_000, MOST],
  ])("fit a connection of %s", (_, rate, size) => expect(settled(rate)).toBe(size));

  it("grow by steps, and the rest of a file says nothing", () => {
    const pieces = new Pieces();
    expect(pieces.next(GIB)).toBe(FIRST);
    pieces.took(1000, 10_000);
    expect(pieces.next(GIB)).toBe(FIRST);
    pieces.took(FIRST, 1);
    expect(pieces.next(GIB)).toBe(FIRST * 4);
    expect(pieces.next(7)).toBe(7);
  });

  it("shrink when they break, and stay below what is refused", () => {
    const pieces = new Pieces();
    pieces.broke();
    expect(pieces.next(GIB)).toBe(FIRST / 2);
    expect(pieces.refused(2 ** 20)).toBe(true);
    expect(pieces.next(GIB)).toBe(LEAST);
    pieces.took(LEAST, 1);
    pieces.broke();
    expect(pieces.next(GIB)).toBe(LEAST);
    expect(pieces.refused(LEAST)).toBe(false);
  });
});

describe("the meter", () => {
  it("believes what has arrived before what was handed over, and never goes back", () => {
    let now = 0;
    const meter = new Meter(100, () => now, false);
    meter.sent(5000);
    expect(meter.bytes).toBe(5000);
    meter.arrived(1000);
    expect(meter.bytes).toBe(5000);
    meter.sent(9000);
    expect(meter.bytes).toBe(5000);
    meter.arrived(6000);
    expect(meter.bytes).toBe(6000);
    now = 6000; // the gateway has gone silent
    meter.sent(9000);
    expect(meter.bytes).toBe(9000);
  });

  it("waits a moment for the gateway's first word where the gateway is there", () => {
    let now = 0;
    const meter = new Meter(0, () => now, true);
    meter.sent(5000);
    expect(meter.bytes).toBe(0);
    now = 2001;
    meter.sent(6000);
    expect(meter.bytes).toBe(6000);
  });

  it("knows the rate after a while, smoothed", () => {
    let now = 0;
    const meter = new Meter(0, () => now, false);
    meter.sent(1);
    expect(meter.rate).toBeNull();
    for (let second = 1; second <= 30; second += 1) {
      now = second * 1000;
      meter.sent(second * 500);
    }
    expect(meter.rate).toBeCloseTo(500);
    now += 1000;
    meter.sent(meter.bytes + 5000);
    expect(meter.rate).toBeGreaterThan(500);
    expect(meter.rate).toBeLessThan(2000);
  });
});

describe("a file chosen again", () => {
  const bytes = (size: number, change?: number) => {
    const content = new Uint8Array(size).map((_, index) => (index * 7 + (index >> 8)) % 251);
    if (change !== undefined) content[change] = (content[change] ?? 0) ^ 1;
    return content;
  };
  const file = (content: Uint8Array<ArrayBuffer>, name = "a.mp4", lastModified = 5) => new File([content], name, { lastModified });
  const LARGE = 3_000_000;

  it.each([
    ["is the same", file(bytes(LARGE)), null],
    ["has grown", file(bytes(LARGE + 1)), "size"],
    ["has another name", file(bytes(LARGE), "b.mp4"), "name"],
    ["was changed", file(bytes(LARGE), "a.mp4", 6), "time"],
    ["has another beginning", file(bytes(LARGE, 0)), "content"],
    ["has another end", file(bytes(LARGE, LARGE - 1)), "content"],
    ["differs in the middle", file(bytes(LARGE, 1_500_000)), "content"],
  ] as const)("%s", async (_, chosen, expected) => {
    expect(await difference(chosen, await factsOf(file(bytes(LARGE))))).toBe(expected);
  });

  it("is compared whole where it is small, also when it is empty", async () => {
    const small = await factsOf(file(bytes(70_000)));
    for (const at of [0, 1, 34_999, 65_536, 69_999]) expect(await difference(file(bytes(70_000, at)), small)).toBe("content");
    expect(await difference(file(bytes(70_000)), small)).toBeNull();
    expect(await difference(file(bytes(0)), await factsOf(file(bytes(0))))).toBeNull();
  });

  it("differs also when two bytes have changed places", async () => {
    const [one, two] = [bytes(1000), bytes(1000)];
    [two[10], two[11]] = [two[11] ?? 0, two[10] ?? 0];
    expect(await difference(file(two), await factsOf(file(one)))).toBe("content");
  });

  it("can't be read", async () => {
    const facts = await factsOf(file(bytes(10)));
    const gone = file(bytes(10));
    gone.slice = () => ({ arrayBuffer: () => Promise.reject(new DOMException("", "NotReadableError")) }) as unknown as Blob;
    expect(await difference(gone, facts)).toBe("unreadable");
  });
});

describe("tus", () => {
  const { signal } = new AbortController();
  const answering = (status: number, headers: Record<string, string>) => {
    const send = vi.fn(async (_ask: Ask): Promise<Answer> => ({ status, header: (name) => headers[name] ?? null }));
    return { send, tus: new Tus(send) };
  };

  it("begins an upload of a size", async () => {
    const { send, tus } = answering(201, { Location: "/uploads/u1", "Upload-Expires": "Thu, 01 Jan 2026 00:00:00 GMT" });
    expect(await tus.create("g", 12, signal)).toEqual({ location: "/uploads/u1", offset: 0, expires: "2026-01-01T00:00:00.000Z" });
    expect(send.mock.calls[0]?.[0]).toMatchObject({ method: "POST", url: "/uploads", headers: { "Tus-Resumable": "1.0.0", Authorization: "Bearer g", "Upload-Length": "12" } });
    const absolute = answering(201, { Location: "http://page/uploads/u2" });
    expect((await absolute.tus.create("g", 12, signal)).location).toBe("/uploads/u2");
  });

  it("asks where it is", async () => {
    const { send, tus } = answering(200, { "Upload-Offset": "7" });
    expect(await tus.where("/uploads/u1", "g", signal)).toEqual({ offset: 7, expires: null });
    expect(send.mock.calls[0]?.[0]).toMatchObject({ method: "HEAD", url: "/uploads/u1" });
  });

  it("sends bytes", async () => {
    const { send, tus } = answering(204, { "Upload-Offset": "10" });
    const bytes = new Blob(["abc"]);
    expect((await tus.append("/uploads/u1", "g", 7, bytes, true, () => {}, signal)).offset).toBe(10);
    expect(send.mock.calls[0]?.[0]).toMatchObject({ method: "PATCH", body: bytes, headers: { "Upload-Offset": "7", "Content-Type": "application/offset+octet-stream" } });
  });

  it.each([["6"], ["7"], ["11"], ["-1"], ["x"], ["99999999999999999"], [""]])("doesn't believe an offset of %j", async (offset) => {
    const { tus } = answering(204, { "Upload-Offset": offset });
    await expect(tus.append("/uploads/u1", "g", 7, new Blob(["abc"]), false, () => {}, signal)).rejects.toMatchObject({ code: "broken" } satisfies Partial<Problem>);
  });

  it("ends an upload", async () => {
    const { send, tus } = answering(204, {});
    await tus.end("/uploads/u1", "g", signal);
    expect(send.mock.calls[0]?.[0]).toMatchObject({ method: "DELETE", url: "/uploads/u1" });
  });
});
