import { describe, expect, it } from "vitest";
import { asProblem, Problem, problemOf, retryAfterSeconds } from "../src/problem";

const NOW = Date.parse("2026-01-01T00:00:00Z");
const headers = (given: Record<string, string> = {}) => (name: string) => given[name] ?? null;

describe("problemOf", () => {
  it("takes code, detail, fields, wait and operation from problem+json", () => {
    const body = JSON.stringify({
      type: "/problems/invalid", title: "Invalid", status: 422, detail: "Some fields are wrong.", code: "invalid", errCode: 7,
      operationID: "op-1", errors: [{ pointer: "/title", detail: "Too long." }, { pointer: 3 }, null],
    });
    const problem = problemOf(422, body, headers({ "Retry-After": "4" }), NOW);
    expect(problem).toMatchObject({ code: "invalid", status: 422, detail: "Some fields are wrong.", retryAfter: 4, operation: "op-1" });
    expect(problem.field("title")).toBe("Too long.");
    expect(problem.field("description")).toBeUndefined();
  });

  it.each([
    [413, "body_too_large"], [415, "unsupported_media"], [429, "too_many_requests"], [507, "storage_full"],
    [502, "upstream_unavailable"], [500, "internal"], [599, "internal"], [418, "broken"],
  ])("names a bare %i without the contract's body %s", (status, code) => {
    for (const body of ["", "<html>nginx</html>", "null", "[]", '"x"']) {
      expect(problemOf(status, body, headers(), NOW)).toMatchObject({ code, status, detail: "" });
    }
  });

  it("falls back to the title and the request id", () => {
    const problem = problemOf(500, '{"title":"Internal"}', headers({ "X-Request-Id": "r-9" }), NOW);
    expect(problem).toMatchObject({ detail: "Internal", operation: "r-9" });
  });
});

describe("retryAfterSeconds", () => {
  it.each([
    [null, undefined], ["", undefined], ["7", 7], [" 7 ", 7], ["soon", undefined], ["-1", undefined], ["99999999", 3600],
    ["Thu, 01 Jan 2026 00:00:30 GMT", 30], ["Wed, 31 Dec 2025 23:00:00 GMT", 0],
  ])("%s is %s", (header, seconds) => expect(retryAfterSeconds(header, NOW)).toBe(seconds));
});

describe("asProblem", () => {
  it("keeps a Problem", () => {
    const problem = new Problem({ code: "gone", status: 410, detail: "" });
    expect(asProblem(problem)).toBe(problem);
  });
  it.each([
    [new TypeError("Failed to fetch"), "network"], [new DOMException("late", "TimeoutError"), "timeout"], [new Error("odd"), "broken"], ["text", "broken"],
  ])("%s is %s", (thrown, code) => expect(asProblem(thrown)).toMatchObject({ code, status: 0 }));
});

describe("passing", () => {
  it.each([[429, true], [503, true], [507, false], [413, false], [401, false]])("%i: %s", (status, passing) => {
    expect(problemOf(status, "", headers(), NOW).passing).toBe(passing);
  });
  it("a broken connection passes", () => expect(asProblem(new TypeError()).passing).toBe(true));
});
