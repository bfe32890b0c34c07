import { describe, expect, it, vi } from "vitest";
import { Problem } from "../src/problem";
import type { Upload, Video } from "../src/types";
import { Uploader, type UploadWorld } from "../src/uploader";

const NOW = Date.parse("2026-01-01T00:00:00Z");
const upload: Upload = { url: "/uploads/by-video/v1", grant: "g", maxBytes: 1000, expiresAt: "2026-01-01T01:00:00.000Z" };
const fields = { title: "T", description: "", visibility: "public" as const };
const file = (size = 10) => new File([new Uint8Array(size)], "t.mp4");
const video = (state: Video["state"], failure?: string) => ({ id: "v1", state, failure }) as Video;
const network = () => new Problem({ code: "network", status: 0, detail: "" });
const refused = (status: number, code: string) => new Problem({ code, status, detail: `because of ${status}` });

/** A world where all goes well at once, except for what the test says. */
function world(changes: Partial<UploadWorld> = {}) {
  const sleeps: number[] = [];
  const parts = {
    create: vi.fn(async () => ({ video: video("awaiting_upload"), upload })),
    transfer: vi.fn<UploadWorld["transfer"]>(async (_upload, blob, onProgress) => onProgress(blob.size)),
    video: vi.fn(async () => video("ready")),
    discard: vi.fn(async () => {}),
    sleep: vi.fn(async (ms: number, signal: AbortSignal) => {
      sleeps.push(ms);
      signal.throwIfAborted();
    }),
    now: () => NOW,
    tooLarge: (size: number, most: number) => `${size} > ${most}`,
    ...changes,
  };
  const uploader = new Uploader(parts);
  const steps: string[] = [];
  uploader.state.watch((state) => steps.at(-1) !== state.step && steps.push(state.step));
  return { ...parts, uploader, steps, sleeps };
}

describe("an upload", () => {
  it("goes from the file to a ready video", async () => {
    const looks = [video("processing"), video("processing"), video("ready")];
    const w = world({ video: vi.fn(async () => looks.shift() ?? video("ready")) });
    await w.uploader.start(file(), fields);
    expect(w.steps).toEqual(["creating", "sending", "storing", "processing", "ready"]);
    expect(w.discard).not.toHaveBeenCalled();
  });

  it("refuses a file over maxBytes before sending a byte, and removes the entry", async () => {
    const w = world();
    await w.uploader.start(file(1001), fields);
    expect(w.uploader.state.value).toMatchObject({ step: "failed", problem: { code: "body_too_large", detail: "1001 > 1000" } });
    expect(w.transfer).not.toHaveBeenCalled();
    expect(w.discard).toHaveBeenCalledWith("v1");
  });

  it.each([[413, "body_too_large"], [415, "unsupported_media"], [429, "too_many_uploads"], [507, "storage_full"]])(
    "shows a %i in the server's words and does not send again by itself",
    async (status, code) => {
      const w = world({ transfer: vi.fn(async () => Promise.reject(refused(status, code))) });
      await w.uploader.start(file(), fields);
      expect(w.uploader.state.value).toMatchObject({ step: "failed", videoId: "v1", problem: { status, code, detail: `because of ${status}` } });
      expect(w.transfer).toHaveBeenCalledOnce();
    },
  );

  it("shows what the server found inside", async () => {
    const w = world({ video: vi.fn(async () => video("failed", "It is a zip.")) });
    await w.uploader.start(file(), fields);
    expect(w.uploader.state.value).toMatchObject({ step: "failed", problem: { code: "unsupported_media", detail: "It is a zip." } });
  });
});

describe("a broken connection", () => {
  it("is tried again after 1, 3, 9 and 20 s, then left to the visitor", async () => {
    const w = world({ transfer: vi.fn(async () => Promise.reject(network())), video: vi.fn(async () => video("awaiting_upload")) });
    await w.uploader.start(file(), fields);
    expect(w.sleeps).toEqual([1000, 3000, 9000, 20_000]);
    expect(w.transfer).toHaveBeenCalledTimes(5);
    expect(w.uploader.state.value).toMatchObject({ step: "failed", problem: { code: "network" } });
  });

  it("after the last byte: the file is not sent twice", async () => {
    const looks = [video("processing"), video("ready")];
    const w = world({ transfer: vi.fn(async () => Promise.reject(network())), video: vi.fn(async () => looks.shift() ?? video("ready")) });
    await w.uploader.start(file(), fields);
    expect(w.transfer).toHaveBeenCalledOnce();
    expect(w.uploader.state.value.step).toBe("ready");
  });

  it("after the last byte, when the browser itself sent it again: the 409 is not a failure", async () => {
    const w = world({ transfer: vi.fn(async () => Promise.reject(refused(409, "conflict"))) });
    await w.uploader.start(file(), fields);
    expect(w.uploader.state.value.step).toBe("ready");
  });

  it("goes on with the same video when the visitor tries again", async () => {
    let broken = true;
    const w = world({
      transfer: vi.fn(async () => {
        if (broken) throw network();
      }),
      video: vi.fn(async () => video(broken ? "awaiting_upload" : "ready")),
    });
    await w.uploader.start(file(), fields);
    broken = false;
    await w.uploader.retry();
    expect(w.create).toHaveBeenCalledOnce();
    expect(w.uploader.state.value.step).toBe("ready");
  });

  it("begins anew when the grant has expired meanwhile", async () => {
    let now = NOW;
    const transfer = vi.fn<UploadWorld["transfer"]>(async () => {});
    transfer.mockRejectedValueOnce(refused(429, "too_many_uploads"));
    const w = world({ transfer, now: () => now });
    await w.uploader.start(file(), fields);
    now += 2 * 3_600_000;
    await w.uploader.retry();
    expect(w.create).toHaveBeenCalledTimes(2);
    expect(w.discard).toHaveBeenCalledWith("v1");
    expect(w.uploader.state.value.step).toBe("ready");
  });
});

describe("giving up", () => {
  it("a cancel stops the bytes and removes the entry", async () => {
    const transfer = vi.fn<UploadWorld["transfer"]>((_upload, _file, _onProgress, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    );
    const w = world({ transfer });
    const running = w.uploader.start(file(), fields);
    await vi.waitFor(() => expect(transfer).toHaveBeenCalled());
    w.uploader.cancel();
    await running;
    expect(w.uploader.state.value.step).toBe("idle");
    expect(w.discard).toHaveBeenCalledWith("v1");
  });

  it("a video that is being processed is left alone when the visitor moves on", async () => {
    const sleep = (_ms: number, signal: AbortSignal) =>
      new Promise<void>((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const w = world({ video: vi.fn(async () => video("processing")), sleep });
    const running = w.uploader.start(file(), fields);
    await vi.waitFor(() => expect(w.uploader.state.value.step).toBe("processing"));
    await w.uploader.dismiss();
    await running;
    expect(w.uploader.state.value.step).toBe("idle");
    expect(w.discard).not.toHaveBeenCalled();
  });

  it("a failed one is removed when it is dismissed, and a failing removal is not the visitor's trouble", async () => {
    const quiet = vi.spyOn(console, "info").mockImplementation(() => {});
    const w = world({ transfer: vi.fn(async () => Promise.reject(refused(415, "unsupported_media"))), discard: vi.fn(async () => Promise.reject(network())) });
    await w.uploader.start(file(), fields);
    await w.uploader.dismiss();
    expect(w.discard).toHaveBeenCalledWith("v1");
    expect(w.uploader.state.value.step).toBe("idle");
    quiet.mockRestore();
  });
});
