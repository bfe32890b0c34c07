// What the page finds out before it tries a refused connection again.
import { afterEach, expect, it, vi } from "vitest";
import { whenSessionEnds } from "../src/api";
import { mayReconnect, person } from "../src/person";

vi.hoisted(() => Object.assign(globalThis, { location: { pathname: "/", search: "" } }));

afterEach(() => {
  vi.unstubAllGlobals();
  whenSessionEnds(() => {});
  person.set(undefined);
});
const mira = { username: "mira", displayName: "Mira", createdAt: "" };
const answer = (status: number, body: unknown) => vi.stubGlobal("fetch", async () => new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } }));

it("the session is over: it is the connection's to tell, once", async () => {
  const told = vi.fn();
  whenSessionEnds(told);
  person.set(mira);
  answer(401, { code: "unauthenticated", status: 401 });
  expect(await mayReconnect("mira")).toBe("signed_out");
  expect(told).not.toHaveBeenCalled();
  expect(person.value).toBe(mira);
});

it("the session lives: on", async () => {
  person.set(mira);
  answer(200, mira);
  expect(await mayReconnect("mira")).toBe("go");
  expect(person.value).toBe(mira);
});

it("it is somebody else's by now: the page becomes theirs", async () => {
  person.set(mira);
  answer(200, { ...mira, username: "jonas" });
  expect(await mayReconnect("mira")).toBe("go");
  expect(person.value?.username).toBe("jonas");
});

it("it can't be told", async () => {
  answer(503, { code: "upstream_unavailable", status: 503 });
  await expect(mayReconnect("mira")).rejects.toMatchObject({ status: 503 });
});
