import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { send, type Ask } from "../src/transfer";

/** What the browser gives, driven by hand. */
class FakeRequest {
  static last: FakeRequest;
  upload: { onprogress?: (event: { loaded: number }) => void; onload?: () => void } = {};
  onload?: () => void;
  onerror?: () => void;
  status = 0;
  responseText = "";
  headers: Record<string, string> = {};
  sent: unknown;
  aborted = false;
  opened = "";
  answers: Record<string, string> = {};

  constructor() {
    FakeRequest.last = this;
  }

  open(method: string, url: string): void {
    this.opened = `${method} ${url}`;
  }

  setRequestHeader(name: string, value: string): void {
    this.headers[name] = value;
  }

  getResponseHeader(name: string): string | null {
    return this.answers[name] ?? null;
  }

  send(body: unknown): void {
    this.sent = body;
  }

  abort(): void {
    this.aborted = true;
  }

  answer(status: number, text = "", answers: Record<string, string> = {}): void {
    Object.assign(this, { status, responseText: text, answers });
    this.onload?.();
  }
}

const page = new EventTarget();
const ask = (body?: Blob): Ask => ({ method: "PATCH", url: "/uploads/u", headers: { A: "b" }, answerMs: 60_000, ...(body ? { body } : {}) });
const begin = (body: Blob | undefined = new Blob(["abc"])) => {
  const abort = new AbortController();
  const seen: number[] = [];
  const result = send(ask(body), abort.signal, (bytes) => seen.push(bytes));
  let over = false;
  result.catch(() => (over = true));
  /** Lets time pass; says whether it was given up by then. */
  const after = async (ms: number) => {
    await vi.advanceTimersByTimeAsync(ms);
    return over;
  };
  return { abort, seen, result, after, request: FakeRequest.last };
};

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("XMLHttpRequest", FakeRequest);
  vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
  vi.stubGlobal("removeEventListener", page.removeEventListener.bind(page));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a request", () => {
  it("is answered", async () => {
    const { request, result, seen } = begin();
    expect([request.opened, request.headers]).toEqual(["PATCH /uploads/u", { A: "b" }]);
    request.upload.onprogress?.({ loaded: 2 });
    request.answer(204, "", { "Upload-Offset": "3" });
    expect((await result).header("Upload-Offset")).toBe("3");
    expect(seen).toEqual([2]);
    vi.advanceTimersByTime(1e6);
    expect(request.aborted).toBe(false);
  });

  it("is refused, in the server's words", async () => {
    const { request, result } = begin();
    request.answer(409, JSON.stringify({ code: "offset_mismatch", detail: "no", offset: 7 }));
    await expect(result).rejects.toMatchObject({ status: 409, code: "offset_mismatch", offset: 7 });
  });

  it("breaks", async () => {
    const { request, result } = begin();
    request.onerror?.();
    await expect(result).rejects.toMatchObject({ code: "network" });
  });

  it("is cancelled", async () => {
    const { request, result, abort } = begin();
    abort.abort(new Error("enough"));
    await expect(result).rejects.toThrow("enough");
    expect(request.aborted).toBe(true);
    await expect(send(ask(), abort.signal)).rejects.toThrow("enough");
  });
});

describe("a connection over which nothing moves", () => {
  it("is given up, one that moves slowly is not", async () => {
    const { request, result, after } = begin();
    for (let minute = 1; minute < 10; minute += 1) {
      expect(await after(44_000)).toBe(false);
      request.upload.onprogress?.({ loaded: minute });
    }
    expect(await after(44_000)).toBe(false);
    expect(await after(2_000)).toBe(true);
    await expect(result).rejects.toMatchObject({ code: "timeout" });
    expect(request.aborted).toBe(true);
  });

  it("has longer when everything is sent and the server is at work", async () => {
    const { request, result, after } = begin();
    request.upload.onload?.();
    expect(await after(59_000)).toBe(false);
    expect(await after(2_000)).toBe(true);
    await expect(result).rejects.toMatchObject({ code: "timeout" });
  });

  it("is given up soon when the network is gone, unless it moves all the same", async () => {
    const { request, result, after } = begin();
    page.dispatchEvent(new Event("offline"));
    expect(await after(2_900)).toBe(false);
    request.upload.onprogress?.({ loaded: 1 });
    expect(await after(40_000)).toBe(false);
    page.dispatchEvent(new Event("offline"));
    expect(await after(3_100)).toBe(true);
    await expect(result).rejects.toMatchObject({ code: "timeout" });
  });

  it("that was given up hears no more", async () => {
    const { request, result, after } = begin();
    await after(46_000);
    await expect(result).rejects.toMatchObject({ code: "timeout" });
    page.dispatchEvent(new Event("offline"));
    vi.advanceTimersByTime(1e6);
    expect(vi.getTimerCount()).toBe(0);
    expect(request.aborted).toBe(true);
  });
});
