// An honest client is never refused for going too fast, and never closed with 4429, however much is asked of it at once.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { toldWait } from "../src/calls.js";
import { BURST_SHARE, Pace, RATE_SHARE } from "../src/pace.js";
import { GatewayError, type ClientState } from "../src/index.js";
import { Site, until, upTo } from "./helpers.js";

const LIMITS = { callsPerSecond: 20, callBurst: 40 };

describe("the pace", () => {
  it("lets a burst through and then the rate, both with a margin", () => {
    const pace = new Pace();
    pace.begin(LIMITS);
    const at = (nowMs: number) => upTo(100).filter(() => pace.take(1, nowMs) === 0).length;
    expect(at(1_000)).toBe(40 * BURST_SHARE);
    expect(pace.take(1, 1_000)).toBe(Math.ceil(1000 / (20 * RATE_SHARE)));
    expect(at(2_000)).toBe(20 * RATE_SHARE);
    expect(at(60_000)).toBe(40 * BURST_SHARE);
  });

  it("says how long to wait, and that is enough", () => {
    const pace = new Pace();
    pace.begin(LIMITS);
    let now = 5;
    for (let call = 0; call < 200; call += 1) {
      const wait = pace.take(1, now);
      if (wait === 0) continue;
      now += wait;
      expect(pace.take(1, now)).toBe(0);
    }
  });

  it("takes a heavy call whole or not at all, also one heavier than the bucket", () => {
    const pace = new Pace();
    pace.begin(LIMITS);
    expect(pace.take(21, 0)).toBe(0);
    expect(pace.take(21, 0)).toBeGreaterThan(0);
    expect(pace.take(9, 0)).toBe(0);
    expect(pace.take(500, 60_000)).toBe(0);
    expect(pace.take(1, 60_000)).toBeGreaterThan(0);
  });

  it("makes what follows pay for what doesn't wait, and obeys a refusal", () => {
    const pace = new Pace();
    pace.begin(LIMITS);
    for (let ping = 0; ping < 5; ping += 1) pace.charge(0);
    expect(upTo(100).filter(() => pace.take(1, 0) === 0).length).toBe(40 * BURST_SHARE - 5);
    pace.begin(LIMITS);
    pace.refused(700, 0);
    expect(pace.take(1, 0)).toBe(700);
    expect(pace.take(1, 700)).toBe(0);
    pace.begin(LIMITS);
    pace.refused(undefined, 0);
    expect(pace.take(1, 0)).toBeGreaterThan(1000 / 20);
  });

  it.each([["At most 20 calls a second; try again in 50 ms.", 50], ["Too much at once on all your connections; try again in 1200 ms.", 1200], ["You write faster than is taken.", undefined], ["", undefined]])("%j tells %s", (text, told) =>
    expect(toldWait(text)).toBe(told));
});

describe("a client of a gateway with the real rule", () => {
  let site: Site;
  beforeEach(async () => {
    site = await new Site().listen();
  });
  afterEach(() => site.end());
  const asked = (name: string) => site.gateway.requests.filter((request) => request.reqFuncName === name);
  const closes = (states: ClientState[]) => states.map(({ closeCode }) => closeCode).filter((code) => code !== undefined);

  it("the rule does close who ignores it", async () => {
    const client = site.client();
    const states: ClientState[] = [];
    client.on("state", (state) => states.push(state));
    await client.connect();
    const [connection] = site.gateway.connections;
    const raw = connection?.ws as unknown as { emit(event: string, data: string, isBinary: boolean): void };
    for (const number of upTo(90)) raw.emit("message", JSON.stringify({ reqFuncName: "Ping", operationID: `x${number}`, data: {} }), false);
    await until("it is closed", () => closes(states).length > 0);
    expect(closes(states)).toEqual([4429]);
  });

  it("joins a hundred rooms and makes as many calls at once, and is not refused once", async () => {
    site.world.call = (_user: unknown, _name: string, data: unknown) => ({ id: (data as { videoID: string }).videoID });
    const client = site.client();
    const states: ClientState[] = [];
    client.on("state", (state) => states.push(state));
    await client.connect();
    await client.login();
    const joins = upTo(200).map((number) => client.joinRoom(`room-${number}`));
    const calls = upTo(100).map((number) => client.call("GetVideo", { videoID: String(number) }, { timeoutMs: 60_000 }));
    const joined = await Promise.allSettled(joins);
    const called = await Promise.allSettled(calls);
    expect(joined.filter(({ status }) => status === "fulfilled").length).toBe(100);
    expect(called.every(({ status }) => status === "fulfilled")).toBe(true);
    for (const join of joined.slice(100)) expect(join).toMatchObject({ status: "rejected", reason: { code: "too_many_rooms" } });
    expect(site.gateway.refusals).toBe(0);
    expect(closes(states)).toEqual([]);
    expect(asked("JoinRoom").length).toBe(100);
  }, 60_000);

  it("a Login goes before a hundred calls that wait", async () => {
    const client = site.client();
    await client.connect();
    const calls = Promise.allSettled(upTo(100).map(() => client.call("GetLoginUser", {}, { timeoutMs: 60_000 })));
    await client.login();
    expect(site.gateway.requests.findIndex((request) => request.reqFuncName === "Login")).toBeLessThan(40);
    await calls;
    expect(site.gateway.refusals).toBe(0);
  }, 60_000);

  it("when it is refused all the same, waits as long as it is told, and the call is made", async () => {
    const client = site.client();
    await client.connect();
    site.gateway.limits = { ...site.gateway.limits, callBurst: 10 }; // less than it was told, as when the wire bunches what was sent evenly
    const calls = await Promise.allSettled(upTo(40).map(() => client.call("Ping", {}, { timeoutMs: 60_000 })));
    expect(calls.map((call) => (call.status === "rejected" ? (call.reason as GatewayError).message : "ok")).filter((outcome) => outcome !== "ok")).toEqual([]);
    expect(site.gateway.refusals).toBeGreaterThan(0);
    expect(client.state.name).toBe("online");
  }, 60_000);

  it("a refusal that tells no time is the caller's to hear", async () => {
    site.gateway.faults.errors = { PostComment: [2019] };
    const client = site.client();
    await client.connect();
    await client.login();
    await expect(client.call("PostComment", { videoID: "v", text: "x" })).rejects.toMatchObject({ code: "refused", errCode: 2019 });
    expect(asked("PostComment").length).toBe(1);
  });
});
