import { describe, expect, it, vi } from "vitest";
import { Problem, type ProblemFacts } from "../src/problem";
import { factsOf } from "../src/same_file";
import type { Upload, Video } from "../src/types";
import type { UploadRecord } from "../src/upload_records";
import { Uploader, type UploadWorld } from "../src/uploader";

const NOW = Date.parse("2026-01-01T00:00:00Z");
const MIB = 2 ** 20;
const ticket = (grant = "g", expiresAt = "2026-01-02T00:00:00.000Z"): Upload => ({ url: "/uploads/by-video/v1", grant, maxBytes: 100 * MIB, expiresAt });
const fields = { title: "T", description: "", visibility: "public" as const };
const video = (state: Video["state"], failure?: string) => ({ id: "v1", state, failure }) as Video;
const network = () => new Problem({ code: "network", status: 0, detail: "" });
const refused = (status: number, more: Partial<ProblemFacts> = {}) => new Problem({ code: `code${status}`, status, detail: `because of ${status}`, ...more });

/** A server that keeps what is sent, except for what `faults` say, each met once and in order, by the method that meets it. */
class Server {
  uploads = new Map<string, number>();
  asked: string[] = [];
  faults: Array<{ on: "create" | "where" | "append"; problem: Problem; keeps?: number; gone?: boolean }> = [];
  stored = false;
  size = 0;

  #meet(on: "create" | "where" | "append", location?: string): void {
    if (this.faults[0]?.on !== on) return;
    const { problem, keeps, gone } = this.faults.shift() ?? { problem: network() };
    if (location && keeps !== undefined) this.uploads.set(location, (this.uploads.get(location) ?? 0) + keeps);
    if (location && gone) this.uploads.delete(location);
    throw problem;
  }

  tus: UploadWorld["tus"] = {
    create: async (grant, size) => {
      this.asked.push(`create ${grant}`);
      this.#meet("create");
      const location = `/uploads/u${this.uploads.size + 1}`;
      this.size = size;
      this.uploads.set(location, 0);
      return { location, offset: 0, expires: "2026-01-02T00:00:00.000Z" };
    },
    where: async (location, grant) => {
      this.asked.push(`where ${grant}`);
      this.#meet("where", location);
      const offset = this.uploads.get(location);
      if (offset === undefined) throw refused(410);
      return { offset, expires: null };
    },
    append: async (location, grant, offset, bytes, last, onSent) => {
      this.asked.push(`append ${grant} ${offset}+${bytes.size}${last ? " last" : ""}`);
      this.#meet("append", location);
      const has = this.uploads.get(location);
      if (has === undefined) throw refused(410);
      if (has !== offset) throw refused(409, { code: "offset_mismatch", offset: has });
      onSent(bytes.size);
      this.uploads.set(location, offset + bytes.size);
      this.stored ||= offset + bytes.size === this.size;
      return { offset: offset + bytes.size, expires: null };
    },
    end: async (location) => void this.uploads.delete(location),
  };
}

async function world(size: number, changes: Partial<UploadWorld> = {}, begun: Partial<UploadRecord> = {}) {
  const server = new Server();
  const file = new File([new Uint8Array(size)], "t.mp4", { lastModified: 1 });
  const record: UploadRecord = {
    id: "r", username: "ann", chosenAt: 0, fields, handle: null, file: await factsOf(file), videoId: null, location: null, saved: 0, expires: null, paused: false, ...begun,
  };
  const sleeps: number[] = [];
  const kept: UploadRecord[] = [];
  const parts = {
    create: vi.fn(async () => ({ video: video("awaiting_upload"), upload: ticket() })),
    grant: vi.fn(async () => ticket("g2")),
    tus: server.tus,
    video: vi.fn(async () => video(server.stored ? "ready" : "awaiting_upload")),
    remove: vi.fn(async () => {}),
    sleep: vi.fn(async (ms: number, signal: AbortSignal) => {
      if (ms > 0) sleeps.push(ms);
      signal.throwIfAborted();
    }),
    connected: () => new Promise<void>(() => {}),
    isOffline: () => false,
    isLive: () => false,
    onArrival: vi.fn(() => () => {}),
    now: () => NOW,
    keep: vi.fn(async (changed: UploadRecord) => void kept.push({ ...changed })),
    tooLarge: (bytes: number, most: number) => `${bytes} > ${most}`,
    ...changes,
  };
  const uploader = new Uploader(parts, record);
  uploader.file = file;
  const steps: string[] = [];
  uploader.state.watch(({ step }) => steps.at(-1) !== step.name && steps.push(step.name));
  return { ...parts, uploader, record, server, steps, sleeps, kept };
}

describe("an upload", () => {
  it("goes from the file to a ready video, piece by piece", async () => {
    const w = await world(10 * MIB);
    await w.uploader.run();
    expect(w.server.asked).toEqual(["create g", `append g 0+${4 * MIB}`, `append g ${4 * MIB}+${6 * MIB} last`]);
    expect(w.steps).toEqual(["preparing", "sending", "storing", "processing", "ready"]);
    expect(w.uploader.state.value).toMatchObject({ saved: 10 * MIB, videoId: "v1" });
  });

  it("keeps a record of each step before it takes the next", async () => {
    const w = await world(10 * MIB);
    await w.uploader.run();
    expect(w.kept.map(({ videoId, location, saved }) => [videoId, location, saved])).toEqual([
      ["v1", null, 0], ["v1", "/uploads/u1", 0], ["v1", "/uploads/u1", 4 * MIB], ["v1", "/uploads/u1", 10 * MIB],
    ]);
    expect(JSON.stringify(w.kept)).not.toContain('"g"');
  });

  it("goes on from its record where the server says that it is", async () => {
    const w = await world(10 * MIB, {}, { videoId: "v1", location: "/uploads/u9", saved: 3 });
    w.server.size = 10 * MIB;
    w.server.uploads.set("/uploads/u9", 9 * MIB);
    await w.uploader.run();
    expect(w.server.asked).toEqual(["where g2", `append g2 ${9 * MIB}+${MIB} last`]);
    expect(w.create).not.toHaveBeenCalled();
    expect(w.uploader.state.value.step.name).toBe("ready");
  });

  it("sends nothing when all of it is there", async () => {
    const w = await world(MIB, {}, { videoId: "v1", location: "/uploads/u9", saved: MIB });
    w.server.uploads.set("/uploads/u9", MIB);
    w.server.stored = true;
    await w.uploader.run();
    expect(w.server.asked).toEqual(["where g2"]);
    expect(w.uploader.state.value.step.name).toBe("ready");
  });

  it("refuses a file over maxBytes before sending a byte", async () => {
    const w = await world(10, { create: async () => ({ video: video("awaiting_upload"), upload: { ...ticket(), maxBytes: 9 } }) });
    await w.uploader.run();
    expect(w.uploader.state.value.step).toMatchObject({ name: "failed", mayRetry: false, problem: { status: 413, detail: "10 > 9" } });
    expect(w.server.asked).toEqual([]);
  });

  it("shows how far it is as the server tells it", async () => {
    let tell: (bytes: number) => void = () => {};
    const w = await world(10 * MIB, { onArrival: (_, listener) => ((tell = listener), () => (tell = () => {})) });
    const seen: number[] = [];
    w.uploader.state.watch(({ sent }) => seen.at(-1) !== sent && seen.push(sent));
    const { append } = w.server.tus;
    w.server.tus.append = async (location, grant, offset, bytes, last, onSent, signal) => {
      tell(offset + 1000);
      onSent(2000); // handed over, not arrived
      return await append(location, grant, offset, bytes, last, () => {}, signal);
    };
    await w.uploader.run();
    expect(seen).toEqual([0, 1000, 4 * MIB, 4 * MIB + 1000, 10 * MIB]);
  });
});

describe("what breaks", () => {
  it("is mended: the server is asked where it is, and the rest is sent", async () => {
    const w = await world(10 * MIB);
    w.server.faults = [{ on: "append", problem: network(), keeps: 5 }, { on: "where", problem: network() }];
    await w.uploader.run();
    expect(w.server.asked).toEqual(["create g", `append g 0+${4 * MIB}`, "where g", "where g", `append g 5+${2 * MIB}`, expect.stringContaining(`append g ${2 * MIB + 5}+`)]);
    expect(w.sleeps).toEqual([1000, 2000]);
    expect(w.steps).toEqual(["preparing", "sending", "waiting", "preparing", "waiting", "preparing", "sending", "storing", "processing", "ready"]);
  });

  it("after the last byte: the file is not sent twice", async () => {
    const w = await world(MIB);
    w.server.faults = [{ on: "append", problem: network(), keeps: MIB }];
    w.server.stored = true;
    await w.uploader.run();
    expect(w.server.asked).toEqual(["create g", `append g 0+${MIB} last`, "where g"]);
    expect(w.uploader.state.value.step.name).toBe("ready");
  });

  it("is tried for ever while nothing answers, and less and less often", async () => {
    const w = await world(MIB);
    w.server.faults = Array.from({ length: 40 }, () => ({ on: "create" as const, problem: network() }));
    await w.uploader.run();
    expect(w.sleeps.slice(0, 7)).toEqual([1000, 2000, 4000, 8000, 15_000, 30_000, 30_000]);
    expect(w.sleeps).toHaveLength(40);
    expect(w.uploader.state.value.step.name).toBe("ready");
  });

  it("counts failures anew when bytes got through", async () => {
    const w = await world(10 * MIB);
    w.server.faults = [1, 2, 3].map(() => ({ on: "append" as const, problem: network(), keeps: MIB }));
    await w.uploader.run();
    expect(w.sleeps).toEqual([1000, 1000, 1000]);
  });

  it("goes on at once when the connection is back, without a network it says so", async () => {
    let back: () => void = () => {};
    const w = await world(MIB, {
      isOffline: () => true,
      sleep: (ms, signal) => (ms === 0 ? Promise.resolve() : new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)))),
      connected: () => new Promise((resolve) => (back = resolve)),
    });
    w.server.faults = [{ on: "append", problem: network() }];
    const running = w.uploader.run();
    await vi.waitFor(() => expect(w.uploader.state.value.step).toMatchObject({ name: "waiting", why: "offline", until: NOW + 1000 }));
    back();
    await running;
    expect(w.uploader.state.value.step.name).toBe("ready");
  });

  it("waits as long as the server says, whatever the network does", async () => {
    const w = await world(MIB, { connected: () => Promise.resolve() });
    w.server.faults = [{ on: "append", problem: refused(429, { retryAfter: 7 }) }];
    const whys: string[] = [];
    w.uploader.state.watch(({ step }) => step.name === "waiting" && whys.push(step.why));
    await w.uploader.run();
    expect(w.sleeps).toEqual([7000]);
    expect(whys).toEqual(["busy"]);
  });

  it("takes the true offset from a 409", async () => {
    const w = await world(10 * MIB);
    w.server.faults = [{ on: "append", problem: refused(409, { code: "offset_mismatch", offset: 77 }), keeps: 77 }];
    await w.uploader.run();
    expect(w.server.asked.slice(1, 3)).toEqual([`append g 0+${4 * MIB}`, `append g 77+${4 * MIB}`]);
    expect(w.sleeps).toEqual([]);
  });

  it("sends smaller pieces where something in between refuses large ones", async () => {
    const w = await world(2 * MIB);
    w.server.faults = [1, 2].map(() => ({ on: "append" as const, problem: refused(413) }));
    await w.uploader.run();
    expect(w.server.asked.filter((line) => line.startsWith("append")).slice(0, 4)).toEqual([`append g 0+${2 * MIB} last`, `append g 0+${MIB / 2}`, `append g 0+${MIB / 4}`, `append g ${MIB / 4}+${MIB / 4}`]);
    expect(w.uploader.state.value.step.name).toBe("ready");
  });

  it("begins anew once when the server has forgotten it, not twice", async () => {
    const w = await world(10 * MIB);
    w.server.faults = [{ on: "append", problem: refused(410), gone: true }];
    await w.uploader.run();
    expect(w.server.asked.filter((line) => line === "create g")).toHaveLength(2);
    expect(w.uploader.state.value.step.name).toBe("ready");
    const again = await world(10 * MIB);
    again.server.faults = [1, 2].map(() => ({ on: "append" as const, problem: refused(410), gone: true }));
    await again.uploader.run();
    expect(again.uploader.state.value.step).toMatchObject({ name: "failed", mayRetry: true, problem: { status: 410 } });
  });

  it("doesn't send again by itself what was ended when it was whole", async () => {
    const w = await world(MIB);
    const { append } = w.server.tus;
    w.server.tus.append = async (...args) => {
      await append(...args);
      w.server.uploads.clear();
      throw network();
    };
    await w.uploader.run();
    expect(w.uploader.state.value.step).toMatchObject({ name: "failed", mayRetry: true, problem: { code: "ended_whole" } });
  });

  it.each([[415, false], [507, true], [400, true]])("with %i stops and says so", async (status, mayRetry) => {
    const w = await world(MIB);
    w.server.faults = [{ on: "append", problem: refused(status) }];
    await w.uploader.run();
    expect(w.uploader.state.value.step).toMatchObject({ name: "failed", mayRetry, problem: { status, detail: `because of ${status}` } });
    expect(w.server.asked).toHaveLength(2);
  });

  it("is told from a file that can't be read any more", async () => {
    const w = await world(MIB);
    w.server.faults = [{ on: "append", problem: network() }];
    if (w.uploader.file) w.uploader.file.slice = () => ({ size: 1, arrayBuffer: () => Promise.reject(new DOMException("", "NotReadableError")) }) as unknown as Blob;
    await w.uploader.run();
    expect(w.uploader.state.value.step).toEqual({ name: "asleep", keptFile: false, complaint: "unreadable" });
  });
});

describe("grants and sessions", () => {
  it("asks for another grant when one has expired, and goes on", async () => {
    const w = await world(10 * MIB);
    w.server.faults = [{ on: "append", problem: refused(401), keeps: 0 }];
    await w.uploader.run();
    expect(w.server.asked).toEqual(["create g", `append g 0+${4 * MIB}`, "where g2", `append g2 0+${4 * MIB}`, `append g2 ${4 * MIB}+${6 * MIB} last`]);
  });

  it("asks beforehand when the clock says so", async () => {
    const w = await world(MIB, { create: async () => ({ video: video("awaiting_upload"), upload: ticket("old", "2025-12-31T23:59:59.000Z") }) });
    await w.uploader.run();
    expect(w.server.asked).toEqual(["create g2", `append g2 0+${MIB} last`]);
  });

  it("doesn't ask for grants without end", async () => {
    const w = await world(MIB);
    w.server.faults = [401, 401, 401].map((status) => ({ on: "append" as const, problem: refused(status) }));
    const { where } = w.server.tus;
    let refusals = 0;
    w.server.tus.where = async (...args) => {
      if ((refusals += 1) <= 2) throw refused(401);
      return await where(...args);
    };
    await w.uploader.run();
    expect(w.sleeps.length).toBeGreaterThan(1);
    expect(w.uploader.state.value.step.name).toBe("ready");
  });

  it("waits for a sign-in when the session is over, and goes on after it", async () => {
    const grant = vi.fn<UploadWorld["grant"]>(async () => Promise.reject(refused(401)));
    const w = await world(10 * MIB, { grant });
    w.server.faults = [{ on: "append", problem: refused(401), keeps: 5 }];
    await w.uploader.run();
    expect(w.uploader.state.value.step.name).toBe("signed_out");
    grant.mockResolvedValue(ticket("g3"));
    w.uploader.tell({ type: "queued" });
    await w.uploader.run();
    expect(w.server.asked.slice(2)).toEqual(["where g3", `append g3 5+${4 * MIB}`, expect.stringContaining("last")]);
    expect(w.uploader.state.value.step.name).toBe("ready");
  });

  it("waits for a sign-in also when everything is sent", async () => {
    const look = vi.fn<UploadWorld["video"]>(async () => Promise.reject(refused(401)));
    const w = await world(MIB, { video: look });
    await w.uploader.run();
    expect(w.uploader.state.value.step.name).toBe("signed_out");
    look.mockImplementation(async () => video("ready"));
    w.uploader.tell({ type: "queued" });
    await w.uploader.run();
    expect(w.uploader.state.value.step.name).toBe("ready");
    expect(w.server.asked.filter((line) => line.startsWith("append"))).toHaveLength(1);
  });
});

describe("a conflict", () => {
  it("is no failure when the video has its file", async () => {
    const w = await world(MIB);
    w.server.faults = [{ on: "append", problem: refused(409) }];
    w.server.stored = true;
    await w.uploader.run();
    expect(w.uploader.state.value.step.name).toBe("ready");
  });

  it("means that somebody else is sending it: this one stops", async () => {
    const w = await world(MIB);
    w.server.faults = [{ on: "append", problem: refused(409) }];
    await w.uploader.run();
    expect(w.uploader.state.value.step).toMatchObject({ name: "failed", mayRetry: true, problem: { code: "taken_over" } });
    expect(w.server.asked).toHaveLength(2);
  });

  it("with a video that waited too long: the same as a new video", async () => {
    const look = vi.fn<UploadWorld["video"]>();
    const w = await world(MIB, { grant: async () => Promise.reject(refused(409)), video: look }, { videoId: "v0", location: "/uploads/u9", saved: 5 });
    look.mockImplementation(async () => video(w.server.stored ? "ready" : "failed"));
    await w.uploader.run();
    expect(w.remove).toHaveBeenCalledOnce();
    expect(w.create).toHaveBeenCalledOnce();
    expect(w.server.asked).toEqual(["create g", `append g 0+${MIB} last`]);
    expect(w.uploader.state.value.step.name).toBe("ready");
  });

  it.each([["failed", "unsupported_media"], ["trashed", "gone"], ["purging", "gone"]] as const)("with a video that is %s in the end: it says so", async (state, code) => {
    const w = await world(MIB, { video: async () => video(state, "why") });
    await w.uploader.run();
    expect(w.uploader.state.value.step).toMatchObject({ name: "failed", problem: { code } });
  });

  it("with a video that was deleted: it says so", async () => {
    const gone = async () => Promise.reject(refused(404));
    const w = await world(MIB, { grant: vi.fn(gone), video: vi.fn(gone) }, { videoId: "v0", location: "/uploads/u9", saved: 5 });
    await w.uploader.run();
    expect(w.uploader.state.value.step).toMatchObject({ name: "failed", problem: { status: 404 } });
  });
});

describe("stopping", () => {
  const hanging: UploadWorld["tus"]["append"] = (_location, _grant, _offset, _bytes, _last, _onSent, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

  it("a pause stops the bytes and stays one, and it goes on where it was", async () => {
    const w = await world(10 * MIB);
    const { append } = w.server.tus;
    w.server.tus.append = hanging;
    const running = w.uploader.run();
    await vi.waitFor(() => expect(w.uploader.state.value.step.name).toBe("sending"));
    w.uploader.stop("paused");
    await running;
    expect(w.uploader.state.value.step.name).toBe("paused");
    w.server.tus.append = append;
    w.server.uploads.set("/uploads/u1", 7);
    w.uploader.tell({ type: "queued" });
    await w.uploader.run();
    expect(w.server.asked.slice(1, 3)).toEqual(["where g2", `append g2 7+${4 * MIB}`]);
    expect(w.uploader.state.value.step.name).toBe("ready");
  });

  it("a video that is stored can't be paused", async () => {
    const sleep: UploadWorld["sleep"] = (ms, signal) => (ms === 0 ? Promise.resolve() : new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))));
    const w = await world(MIB, { sleep, video: async () => video("processing") });
    const running = w.uploader.run();
    await vi.waitFor(() => expect(w.uploader.state.value.step.name).toBe("processing"));
    w.uploader.stop("paused");
    expect(w.uploader.state.value.step.name).toBe("processing");
    w.uploader.halt();
    await running;
  });
});
