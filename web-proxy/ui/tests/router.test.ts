import { describe, expect, it } from "vitest";
import { home, needsAccount, parseRoute, pathOf, safeNext, type Route } from "../src/router";

describe("parseRoute", () => {
  it.each<[string, string, Route]>([
    ["/", "", home()],
    ["/", "?q=a%26b&sort=title&author=mira", { page: "home", q: "a&b", author: "mira", sort: "title" }],
    ["/", "?sort=evil", home()],
    ["/v/0123456789ab", "", { page: "watch", id: "0123456789ab" }],
    ["/v/0123456789ab/", "", { page: "watch", id: "0123456789ab" }],
    ["/deletion/zzzzzzzzzzzz", "", { page: "deletion", id: "zzzzzzzzzzzz" }],
    ["/upload", "", { page: "upload" }],
    ["/me", "", { page: "mine" }],
    ["/account", "", { page: "account" }],
    ["/signin", "?next=/upload", { page: "signin", next: "/upload" }],
    ["/register", "", { page: "register", next: "/" }],
  ])("%s%s", (path, search, route) => expect(parseRoute(path, search)).toEqual(route));

  it.each(["/v", "/v/short", "/v/0123456789aB", "/v/0123456789al", "/v/0123456789ab/x", "/x", "/upload/0123456789ab", "/v/%2e%2e", "/me/me"])(
    "%s is missing",
    (path) => expect(parseRoute(path, "")).toEqual({ page: "missing" }),
  );

  it("is the inverse of pathOf", () => {
    const routes: Route[] = [
      home({ q: "ü & ?#", sort: "old" }), home({ author: "a-b" }), { page: "watch", id: "0123456789ab" }, { page: "deletion", id: "0123456789ab" },
      { page: "mine" }, { page: "upload" }, { page: "account" }, { page: "signin", next: "/v/0123456789ab" }, { page: "register", next: "/" },
    ];
    for (const route of routes) {
      const url = new URL(pathOf(route), "http://here");
      expect(parseRoute(url.pathname, url.search)).toEqual(route);
    }
  });
});

describe("safeNext", () => {
  it.each([
    [null, "/"], ["", "/"], ["/upload", "/upload"], ["/?q=a", "/?q=a"], ["//evil.example", "/"], ["/\\evil.example", "/"],
    ["https://evil.example", "/"], ["javascript:alert(1)", "/"], ["/\tx", "/"],
  ])("%s leads to %s", (next, path) => expect(safeNext(next)).toBe(path));
});

it("knows which pages need an account", () => {
  expect(["/", "/v/0123456789ab", "/signin", "/x"].map((path) => needsAccount(parseRoute(path, "")))).toEqual([false, false, false, false]);
  expect(["/upload", "/me", "/account", "/deletion/0123456789ab"].map((path) => needsAccount(parseRoute(path, "")))).toEqual([true, true, true, true]);
});
