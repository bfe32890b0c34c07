// The client against a gateway on a real socket.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { GatewayError, SluiceClient, type ClientState } from "../src/index.js";
import { heard, Site, until, upTo } from "./helpers.js";

let site: Site;
beforeEach(async () => {
  site = await new Site().listen();
});
afterEach(() => site.end());

const names = (states: ClientState[]) => states.map((state) => state.name).filter((name, index, all) => name !== all[index - 1]);
const asked = (name: string) => site.gateway.requests.filter((request) => request.reqFuncName === name);

describe("connecting", () => {
  it("says who it is and is told so", async () => {
    const info = await site.client("mira").connect();
    expect(info).toMatchObject({ username: "mira", platformID: 5, limits: { maxCallsInFlight: 8 } });
  });

  it("keeps trying while the handshake is refused, and counts", async () => {
    site.gateway.faults.refuse = 503;
    const client = site.client();
    const connected = client.connect();
    await until("three tries", () => client.state.attempt >= 3);
    expect(["waiting", "connecting"]).toContain(client.state.name);
    site.gateway.faults.refuse = 0;
    await connected;
    expect(client.state.name).toBe("online");
  });

  it("is not fooled by a socket that opens and says nothing", async () => {
    site.gateway.faults.silentOpen = true;
    const client = site.client();
    void client.connect().catch(() => {});
    await until("a socket is there", () => site.gateway.connections.size === 1);
    expect(client.state.name).toBe("connecting");
    expect(client.info).toBeUndefined();
  });

  it("sends the token as a subprotocol, never in the address", () => {
    const seen: unknown[] = [];
    class Fake {
      readyState = 0;
      onopen = null;
      onmessage = null;
      onclose = null;
      onerror = null;
      constructor(...args: unknown[]) {
        seen.push(args);
      }
      send() {}
      close() {}
    }
    const client = new SluiceClient({ url: "https://host.example/ws", sendID: "a b", token: "secret", WebSocket: Fake });
    void client.connect().catch(() => {});
    expect(seen).toEqual([["wss://host.example/ws?sendID=a+b&platformID=5", ["sluice.v1", "bearer.secret"]]]);
    client.close();
  });

  it("needs a WebSocket and an address", () => {
    expect(() => new SluiceClient({ url: "ftp://x/ws", sendID: "a", WebSocket })).toThrow(/protocol/);
    if (!("WebSocket" in globalThis)) expect(() => new SluiceClient({ url: "ws://x/ws", sendID: "a" })).toThrow(/WebSocket/);
  });
});

describe("calls", () => {
  it("are answered each with its own, in any order, at most as many at a time as allowed", async () => {
    let running = 0;
    let most = 0;
    site.world.call = async (_user: unknown, _name: string, data: unknown) => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 20 * Math.random()));
      running -= 1;
      return { id: (data as { videoID: string }).videoID };
    };
    const client = site.client();
    await client.connect();
    await client.login();
    const ids = upTo(40).map(String);
    const replies = await Promise.all(ids.map((videoID) => client.call("GetVideo", { videoID })));
    expect(replies.map((reply) => reply.id)).toEqual(ids);
    expect(most).toBe(8);
    expect(new Set(site.gateway.requests.map((request) => request.operationID)).size).toBe(site.gateway.requests.length);
    expect(site.gateway.requests[0]?.operationID).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it("fail with the gateway's number and words", async () => {
    const client = site.client();
    await client.connect();
    await expect(client.call("GetVideo", { videoID: "x" })).rejects.toMatchObject({ name: "GatewayError", code: "refused", errCode: 1003 });
  });

  it("that are not sent say so", async () => {
    await expect(site.client().call("Ping")).rejects.toMatchObject({ code: "not_connected" });
  });

  it("time out, and their place is free again", async () => {
    site.gateway.faults.mute.add("GetVideo");
    const client = site.client();
    await client.connect();
    await client.login();
    const calls = upTo(8).map(() => client.call("GetVideo", { videoID: "x" }, { timeoutMs: 30 }));
    for (const call of await Promise.allSettled(calls)) expect(call).toMatchObject({ status: "rejected", reason: { code: "timeout" } });
    await client.call("GetLoginStatus");
  });

  it("are rejected when the connection ends, and not sent again", async () => {
    site.gateway.faults.mute.add("GetVideo");
    const client = site.client();
    await client.connect();
    await client.login();
    const calls = upTo(12).map(() => client.call("GetVideo", { videoID: "x" }));
    const settled = Promise.allSettled(calls);
    await until("eight are under way", () => asked("GetVideo").length === 8);
    site.gateway.cutAll();
    for (const call of await settled) expect(call).toMatchObject({ status: "rejected", reason: { code: "disconnected" } });
    await until("it is back", () => client.loggedIn);
    expect(asked("GetVideo").length).toBe(8);
  });

  it("beyond a bound are refused at once", async () => {
    site.gateway.faults.mute.add("GetVideo");
    const client = site.client();
    await client.connect();
    await client.login();
    const settled = Promise.allSettled(upTo(109).map(() => client.call("GetVideo", { videoID: "x" }, { timeoutMs: 200 })));
    const codes = (await settled).map((call) => (call.status === "rejected" ? (call.reason as GatewayError).code : "ok"));
    expect(codes.filter((code) => code === "too_many_pending").length).toBe(1);
    expect(codes.filter((code) => code === "timeout").length).toBe(108);
  });

  it("end with the signal's reason, waiting or under way", async () => {
    site.gateway.faults.mute.add("GetVideo");
    const client = site.client();
    await client.connect();
    await client.login();
    const abort = new AbortController();
    const calls = upTo(9).map(() => client.call("GetVideo", { videoID: "x" }, { signal: abort.signal }));
    const settled = Promise.allSettled(calls);
    const reason = new Error("enough");
    abort.abort(reason);
    for (const call of await settled) expect(call).toMatchObject({ status: "rejected", reason });
    await expect(client.call("Ping", {}, { signal: abort.signal })).rejects.toBe(reason);
  });

  it("take an event with their own operation id for an event", async () => {
    site.world.call = (_user: unknown, _name: string, data: unknown) => {
      const { videoID } = data as { videoID: string };
      const operationID = site.gateway.requests.at(-1)?.operationID ?? "";
      site.gateway.publish(site.world.append(videoID, "comment", { id: "c", text: "hi" }, operationID));
      return { id: "c" };
    };
    const client = site.client();
    const seen = heard(client);
    await client.connect();
    await client.joinRoom("room", {});
    expect(await client.call("PostComment", { videoID: "room", text: "hi" })).toMatchObject({ id: "c" });
    expect(seen.seqs).toEqual([1]);
  });
});

describe("rooms", () => {
  it("give entries in order, each by its kind, batched or not", async () => {
    for (const batch of [false, true]) {
      const client = site.client("mira", { batch });
      const seen = heard(client);
      const danmakus: string[] = [];
      client.on("OnRecvDanmaku", (entry) => danmakus.push(entry.data?.text ?? "gone"));
      await client.connect();
      const joined = await client.joinRoom(`room-${batch}`, { afterSeq: 0 });
      expect(joined).toMatchObject({ seq: 0, memberCount: 1 });
      for (const number of upTo(30)) site.say(`room-${batch}`, String(number));
      await until("all are there", () => seen.seqs.length >= 30);
      expect(seen.seqs).toEqual(upTo(30));
      expect(danmakus).toEqual(upTo(30).map(String));
    }
    expect(asked("Login").map((request) => request.batchMsg)).toEqual([undefined, 1]);
  });

  it("of a newer version keep their place and are told to nobody (promise 22)", async () => {
    for (const batch of [false, true]) {
      const room = `newer-${batch}`;
      const client = site.client("mira", { batch });
      const seen = heard(client);
      const gaps: unknown[] = [];
      client.on("roomGap", (gap) => gaps.push(gap));
      await client.connect();
      site.world.append(room, "poll", { question: "?" });
      site.say(room, "2");
      await client.joinRoom(room, { afterSeq: 0 });
      const requests = site.gateway.requests.length;
      site.gateway.publish(site.world.append(room, "poll", { question: "!" }));
      site.say(room, "4");
      await until("the last is there", () => seen.seqs.includes(4));
      expect(seen.seqs).toEqual([2, 4]);
      expect(gaps).toEqual([]);
      expect(site.gateway.requests).toHaveLength(requests); // nothing was missing
    }
  });

  it("without afterSeq are live from now", async () => {
    for (const number of upTo(5)) site.say("room", String(number));
    const client = site.client();
    const seen = heard(client);
    await client.connect();
    expect(await client.joinRoom("room")).toMatchObject({ seq: 5 });
    site.say("room", "6");
    await until("six", () => seen.seqs.length > 0);
    expect(seen.seqs).toEqual([6]);
  });

  it("come page by page while live entries go on", async () => {
    site.gateway.pageSize = 10;
    for (const number of upTo(95)) site.say("room", String(number));
    site.gateway.faults.delay["JoinRoom"] = 5;
    const client = site.client();
    const seen = heard(client);
    await client.connect();
    await client.login();
    const joined = client.joinRoom("room", { afterSeq: 0 });
    await until("some pages", () => seen.seqs.length >= 20);
    for (const number of upTo(5)) site.say("room", `live ${number}`);
    expect((await joined).seq).toBe(100);
    expect(seen.seqs).toEqual(upTo(100));
  });

  it("repair a lost entry in the middle, and drop a repeated one", async () => {
    const client = site.client();
    const seen = heard(client);
    let counts = 0;
    client.on("OnRoomMemberCount", () => (counts += 1));
    await client.connect();
    await client.joinRoom("room");
    await until("the counts are over: they would find the loss, too", () => counts === 2);
    site.gateway.faults.drop = ({ seq }) => [3, 4, 8].includes(seq);
    site.gateway.faults.twice = ({ seq }) => seq % 2 === 0;
    for (const number of upTo(10)) site.say("room", String(number));
    await until("all are there", () => seen.seqs.length >= 10);
    expect(seen.seqs).toEqual(upTo(10));
    expect(asked("JoinRoom").length).toBeLessThanOrEqual(4);
  });

  it("find a loss at the end by the heartbeat", async () => {
    const client = site.client();
    const seen = heard(client);
    const counts: number[] = [];
    client.on("OnRoomMemberCount", ({ count }) => counts.push(count));
    await client.connect();
    await client.joinRoom("room");
    site.gateway.faults.drop = () => true;
    site.say("room", "1");
    site.say("room", "2");
    site.gateway.heartbeat("room");
    await until("both are there", () => seen.seqs.length === 2);
    expect(seen.seqs).toEqual([1, 2]);
    expect(counts.at(-1)).toBe(1);
  });

  it("are resumed in one call after a loss, nothing missing, nothing twice", async () => {
    const client = site.client();
    const seen = { a: [] as number[], b: [] as number[] };
    client.on("entry", ({ videoID, seq }) => seen[videoID as "a" | "b"].push(seq));
    await client.connect();
    await client.login({ rooms: [{ videoID: "a", afterSeq: 0 }, { videoID: "b" }] });
    await until("both joined", () => client.lastSeq("a") === 0 && client.lastSeq("b") === 0);
    expect(asked("JoinRoom").length).toBe(0);
    for (let round = 0; round < 4; round += 1) {
      site.say("a", "before");
      if (round % 2) site.gateway.cutAll();
      else site.gateway.closeAll(1001);
      site.say("a", "while away");
      site.say("b", "while away");
      await until("it is back", () => client.loggedIn && client.lastSeq("b") === round + 1);
      site.say("a", "after");
      await until("what came after is there", () => seen.a.length >= 3 * (round + 1));
    }
    expect(seen).toEqual({ a: upTo(12), b: upTo(4) });
    expect(asked("Login").length).toBe(5);
    expect(asked("Login").at(-1)?.data["rooms"]).toEqual([{ videoID: "a", afterSeq: 10 }, { videoID: "b", afterSeq: 3 }]);
    expect(asked("JoinRoom").length).toBe(0);
  });

  it("survive a server that is away and starts again", async () => {
    const client = site.client();
    const seen = heard(client);
    await client.connect();
    await client.joinRoom("room");
    site.say("room", "1");
    await until("one", () => seen.seqs.length === 1);
    await site.stop();
    site.world.append("room", "danmaku", null);
    await until("it has tried in vain", () => client.state.attempt >= 2);
    await site.listen();
    await until("two", () => seen.seqs.length === 2);
    expect(seen.seqs).toEqual([1, 2]);
  });

  it("that can't be joined are said to be lost, once", async () => {
    site.world.hidden.add("secret");
    const client = site.client();
    const lost: number[] = [];
    client.on("roomLost", ({ error }) => lost.push(error.errCode));
    await client.connect();
    await expect(client.joinRoom("secret")).rejects.toMatchObject({ errCode: 2004 });
    await client.joinRoom("open");
    site.world.hidden.add("open");
    site.gateway.cutAll();
    await until("told", () => lost.length === 2);
    expect(lost).toEqual([2004, 2004]);
    expect(client.rooms).toEqual([]);
  });

  it("are asked again when the refusal passes", async () => {
    site.gateway.faults.errors = { JoinRoom: [2026, 1004], Login: [1002] };
    const client = site.client();
    await client.connect();
    await client.login();
    expect(await client.joinRoom("room")).toMatchObject({ seq: 0 });
    expect(asked("JoinRoom").length).toBe(3);
    expect(asked("Login").length).toBe(2);
  });

  it("log in again when the gateway has forgotten", async () => {
    const client = site.client();
    await client.connect();
    await client.login();
    for (const connection of site.gateway.connections) connection.loggedIn = false;
    expect(await client.joinRoom("room")).toMatchObject({ seq: 0 });
    expect(asked("Login").length).toBe(2);
  });

  it("end when they close, and not when the closing is history", async () => {
    const client = site.client();
    const seen = heard(client);
    await client.connect();
    await client.joinRoom("room");
    site.gateway.publish(site.world.append("room", "closed", { reason: "trashed" }));
    await until("closed", () => client.rooms.length === 0);
    site.gateway.publish(site.world.append("room", "info", { title: "Back", visibility: "public" }));
    await client.joinRoom("room", { afterSeq: 0 });
    expect(seen.seqs).toEqual([1, 1, 2]);
    expect(client.rooms).toEqual(["room"]);
  });

  it("say so when the log has a hole, or is shorter than it was", async () => {
    for (const number of upTo(3)) site.say("room", String(number));
    const log = site.world.log("room");
    const client = site.client();
    const seen = heard(client);
    const told: unknown[] = [];
    client.on("roomGap", (gap) => told.push(gap));
    client.on("roomReset", (reset) => told.push(reset));
    await client.connect();
    log.splice(1, 1);
    await client.joinRoom("room", { afterSeq: 0 });
    expect(seen.seqs).toEqual([1, 3]);
    expect(told).toEqual([{ videoID: "room", from: 2, to: 2 }]);
    log.splice(1);
    site.gateway.cutAll();
    await until("told of the shorter log", () => told.length === 2);
    expect(told[1]).toEqual({ videoID: "room", seq: 1 });
    site.say("room", "new");
    await until("it goes on", () => seen.seqs.length === 3);
    expect(seen.seqs).toEqual([1, 3, 2]);
  });

  it("are joined and left in the order asked for, whichever call takes longer", async () => {
    const client = site.client();
    await client.connect();
    await client.joinRoom("room");
    site.gateway.faults.delay = { LeaveRoom: 60 };
    const left = client.leaveRoom("room");
    await client.joinRoom("room");
    await left;
    expect(site.gateway.count("room")).toBe(1);
    site.gateway.faults.delay = { JoinRoom: 60 };
    const joined = expect(client.joinRoom("other")).rejects.toMatchObject({ code: "left" });
    await client.leaveRoom("other");
    await joined;
    expect(site.gateway.count("other")).toBe(0);
  });

  it("that are left are silent", async () => {
    const client = site.client();
    const seen = heard(client);
    await client.connect();
    await client.joinRoom("room");
    await client.leaveRoom("room");
    expect(site.gateway.count("room")).toBe(0);
    site.say("room", "1");
    await client.call("Ping");
    expect(seen.seqs).toEqual([]);
  });
});

describe("the end of a connection", () => {
  const after = async (code: number) => {
    const client = site.client();
    const states: ClientState[] = [];
    client.on("state", (state) => states.push(state));
    await client.connect();
    site.gateway.closeAll(code);
    await until("it has noticed", () => client.state.name !== "online");
    return { client, states };
  };

  it.each([[4401, "signed_out"], [4400, "refused"]])("%i is final: %s", async (code, name) => {
    const { client } = await after(code);
    expect(client.state).toMatchObject({ name, closeCode: code });
    await expect(client.call("Ping")).rejects.toMatchObject({ code: "not_connected" });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(site.gateway.connections.size).toBe(0);
  });

  it.each([1000, 1001, 1009, 4408, 4429])("%i is not: it comes back", async (code) => {
    const { client, states } = await after(code);
    await until("it is back", () => client.state.name === "online");
    expect(names(states)).toEqual(["connecting", "online", "waiting", "connecting", "online"]);
  });

  it("a restart is waited for", async () => {
    const { client } = await after(1012);
    expect(client.state).toMatchObject({ name: "waiting", closeCode: 1012 });
  });

  it("a drain that ends without its close code is a restart all the same", async () => {
    const client = site.client();
    await client.connect();
    const told = new Promise((resolve) => client.on("OnServerDraining", resolve));
    site.gateway.drain(60_000);
    expect(await told).toEqual({ closeWithinMs: 60_000 });
    let wait = 0;
    client.on("state", (state) => {
      if (state.retryAt !== undefined) wait = state.retryAt - Date.now();
    });
    site.gateway.cutAll();
    await until("it has noticed", () => client.state.name === "waiting");
    expect(wait).toBeGreaterThan(1_000); // a loss waits 500 ms at most
  });

  it("a kick is told, rejects what is under way, and is final", async () => {
    site.gateway.faults.mute.add("GetVideo");
    const client = site.client("mira");
    const kicks: string[] = [];
    client.on("OnKickedOffline", ({ reason }) => kicks.push(reason));
    await client.connect();
    await client.login();
    const call = client.call("GetVideo", { videoID: "x" });
    site.gateway.kick("token-of-mira");
    await expect(call).rejects.toMatchObject({ code: "signed_out" });
    expect(kicks).toEqual(["signed_out"]);
    expect(client.state.name).toBe("signed_out");
  });

  it("open() after a final state begins anew", async () => {
    const { client } = await after(4401);
    await client.connect();
    expect(client.state.name).toBe("online");
  });
});

describe("user events", () => {
  it("come typed, and login says when it was again", async () => {
    const client = site.client("mira");
    const seen: unknown[] = [];
    client.on("OnUploadProgress", (progress) => seen.push(progress));
    client.on("OnVideoReady", (video) => seen.push(video));
    client.on("loggedIn", (event) => seen.push(event));
    client.on("other", (frame) => seen.push(frame.event));
    await client.connect();
    await client.login();
    site.gateway.toUser("mira", "OnUploadProgress", { videoID: "v", receivedBytes: 1, totalBytes: null });
    site.gateway.toUser("jonas", "OnVideoReady", { videoID: "not mine" });
    site.gateway.toUser("mira", "OnVideoReady", { videoID: "v" });
    site.gateway.toUser("mira", "OnSomethingNew", {});
    await until("all", () => seen.length === 4);
    site.gateway.cutAll();
    await until("again", () => seen.length === 5);
    expect(seen).toEqual([{ again: false }, { videoID: "v", receivedBytes: 1, totalBytes: null }, { videoID: "v" }, "OnSomethingNew", { again: true }]);
  });

  it("stop at logout, with the session the client is signed out", async () => {
    const client = site.client("mira");
    await client.connect();
    await client.joinRoom("room");
    await client.logout();
    expect(site.gateway.count("room")).toBe(0);
    expect(client.rooms).toEqual([]);
    await client.login();
    await client.logout({ session: true });
    expect(client.state.name).toBe("signed_out");
  });

  it("a logout whose answer is overtaken by the kick is a logout", async () => {
    const client = site.client("mira");
    await client.connect();
    await client.login();
    site.gateway.faults.mute.add("Logout");
    const done = client.logout({ session: true });
    await until("it is asked for", () => asked("Logout").length === 1);
    site.gateway.kick("token-of-mira");
    await done;
    expect(client.state.name).toBe("signed_out");
  });
});
