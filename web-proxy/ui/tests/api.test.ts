import { afterEach, describe, expect, it, vi } from "vitest";
import { createVideo, getVideo, listVideos, purgeVideo, whenSessionEnds, whoAmI, withQuery } from "../src/api";
import { Problem } from "../src/problem";

function answerWith(answer: Response | Error) {
  const calls: Array<{ url: string; init: RequestInit }> = [];
  vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
    calls.push({ url, init });
    if (answer instanceof Error) throw answer;
    return answer;
  });
  return calls;
}

const refusal = (status: number, code: string) =>
  new Response(JSON.stringify({ code, status, detail: "why" }), { status, headers: { "Content-Type": "application/problem+json" } });

afterEach(() => {
  vi.unstubAllGlobals();
  whenSessionEnds(() => {});
});

describe("calls", () => {
  it("send JSON with the cookie and no token", async () => {
    const calls = answerWith(Response.json({ video: {}, upload: {} }, { status: 201 }));
    await createVideo({ title: "A" }, undefined);
    expect(calls[0]?.url).toBe("/api/v1/videos");
    expect(calls[0]?.init).toMatchObject({ method: "POST", body: '{"title":"A"}', credentials: "same-origin" });
    expect(new Headers(calls[0]?.init.headers).get("Authorization")).toBeNull();
  });

  it("leave out parameters without a value and escape the others", async () => {
    expect(withQuery("/x", { a: "", b: null, c: undefined })).toBe("/x");
    expect(withQuery("/x", { q: "a&b c", permanent: true })).toBe("/x?q=a%26b+c&permanent=true");
    const calls = answerWith(Response.json({ items: [], next: null }));
    await listVideos({ q: "", author: "", sort: "new" }, null, undefined);
    expect(calls[0]?.url).toBe("/api/v1/videos?sort=new");
  });

  it("never let an id become another path", async () => {
    const calls = answerWith(Response.json({}));
    await getVideo("../users/me?x#y", undefined);
    expect(calls[0]?.url).toBe("/api/v1/videos/..%2Fusers%2Fme%3Fx%23y");
  });

  it("ask for a purge in words", async () => {
    const calls = answerWith(new Response("{}", { status: 202 }));
    await purgeVideo("abc");
    expect(calls[0]).toMatchObject({ url: "/api/v1/videos/abc?permanent=true", init: { method: "DELETE" } });
  });
});

describe("failures", () => {
  it.each([
    [413, "body_too_large"], [429, "too_many_requests"], [507, "storage_full"],
  ])("%i is thrown as %s with its detail", async (status, code) => {
    answerWith(refusal(status, code));
    await expect(createVideo({ title: "A" }, undefined)).rejects.toMatchObject({ status, code, detail: "why" });
  });

  it("a refused connection is a network problem", async () => {
    answerWith(new TypeError("Failed to fetch"));
    await expect(getVideo("a", undefined)).rejects.toMatchObject({ code: "network", status: 0 });
  });

  it("an answer that isn't JSON is broken, not a crash", async () => {
    answerWith(new Response("<html>", { status: 200 }));
    await expect(getVideo("a", undefined)).rejects.toBeInstanceOf(Problem);
  });

  it("what the caller aborted is not a problem", async () => {
    const abort = new AbortController();
    abort.abort();
    answerWith(new DOMException("stop", "AbortError"));
    await expect(getVideo("a", abort.signal)).rejects.toMatchObject({ name: "AbortError" });
  });
});

describe("sessions", () => {
  it("nobody is null, and an ended session is told", async () => {
    const told = vi.fn();
    whenSessionEnds(told);
    answerWith(refusal(401, "unauthenticated"));
    expect(await whoAmI()).toBeNull();
    expect(told).not.toHaveBeenCalled(); // that is what was asked
    answerWith(refusal(401, "unauthenticated"));
    await expect(createVideo({ title: "A" }, undefined)).rejects.toMatchObject({ status: 401 });
    expect(told).toHaveBeenCalledOnce();
  });

  it("a wrong password ends no session", async () => {
    const told = vi.fn();
    whenSessionEnds(told);
    answerWith(refusal(401, "wrong_credentials"));
    await expect(getVideo("a", undefined)).rejects.toMatchObject({ code: "wrong_credentials" });
    expect(told).not.toHaveBeenCalled();
  });
});
