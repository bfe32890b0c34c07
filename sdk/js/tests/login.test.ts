// Being logged in, and in the rooms that are wanted and no others, whatever is asked in whichever order.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Link, OPEN_MS } from "../src/link.js";
import { MOST_NOT_READY } from "../src/rooms.js";
import type { ClientState, Events, SluiceClient } from "../src/index.js";
import { Site, until, upTo } from "./helpers.js";

let site: Site;
beforeEach(async () => {
  site = await new Site().listen();
});
afterEach(() => site.end());
const asked = (name: string) => site.gateway.requests.filter((request) => request.reqFuncName === name);
/** The client has noticed, too. */
async function cut(client: SluiceClient): Promise<void> {
  site.gateway.cutAll();
  await until("it has noticed", () => client.state.name !== "online");
}
const status = async (client: SluiceClient) => (await client.call("GetLoginStatus")).status;
const failures = (client: SluiceClient) => {
  const told: Array<Events["loginFailed"]> = [];
  client.on("loginFailed", (failed) => told.push(failed));
  return told;
};

describe("a Login that is refused", () => {
  it("is tried again when the client was logged in before, and that can be seen", async () => {
    const client = site.client();
    const told = failures(client);
    await client.connect();
    await client.joinRoom("room");
    site.gateway.faults.errors = { Login: [1001, 2000, 2002] };
    site.gateway.cutAll();
    await until("it was refused", () => told.length > 0);
    expect(client.loginState).not.toBe("in");
    await until("it is back in the room", () => client.loggedIn && site.gateway.count("room") === 1);
    expect(told.map(({ attempt, retryAt }) => [attempt, retryAt !== undefined])).toEqual([[1, true], [2, true], [3, true]]);
    expect(client.rooms).toEqual(["room"]);
  });

  it("is the end of it when there was none before: who waits hears it, and may try again", async () => {
    site.gateway.faults.errors = { Login: [1001, 1001] };
    const client = site.client();
    const told = failures(client);
    const lost: string[] = [];
    client.on("roomLost", ({ videoID }) => lost.push(videoID));
    await client.connect();
    const joined = expect(client.joinRoom("room")).rejects.toMatchObject({ errCode: 1001 });
    await expect(client.login()).rejects.toMatchObject({ errCode: 1001 });
    await joined;
    expect(told.at(-1)?.retryAt).toBeUndefined();
    expect([client.loginState, client.rooms, lost]).toEqual(["out", [], ["room"]]);
    await client.login();
    expect(client.loggedIn).toBe(true);
  });

  it("for a room in it is repeated without rooms: the others are joined all the same", async () => {
    site.gateway.faults.errors = { Login: [1001] };
    const client = site.client();
    await client.connect();
    const joins = [client.joinRoom("a"), client.joinRoom("b")];
    for (const join of joins) expect(await join).toMatchObject({ seq: 0 });
    expect(asked("Login").map(({ data }) => "rooms" in data)).toEqual([true, false]);
  });
});

describe("more rooms than a connection may be in", () => {
  it("are refused at once, and the others survive a loss", async () => {
    site.gateway.limits = { ...site.gateway.limits, maxRooms: 5 };
    const client = site.client();
    const lost: string[] = [];
    client.on("roomLost", ({ videoID }) => lost.push(videoID));
    await client.connect();
    await client.login({ rooms: upTo(5).map((number) => ({ videoID: `room-${number}` })) });
    await expect(client.joinRoom("room-6")).rejects.toMatchObject({ code: "too_many_rooms" });
    expect(lost).toEqual(["room-6"]);
    expect(asked("JoinRoom").length).toBe(0);
    await cut(client);
    await until("all are back", () => client.loggedIn && upTo(5).every((number) => site.gateway.count(`room-${number}`) === 1));
    await client.leaveRoom("room-1");
    await client.joinRoom("room-6");
  });

  it("asked for before that was known: the first ones stay, the others are told to be lost", async () => {
    site.gateway.limits = { ...site.gateway.limits, maxRooms: 3 };
    const client = site.client();
    const joins = Promise.allSettled(upTo(5).map((number) => client.joinRoom(`room-${number}`)));
    await client.connect();
    expect((await joins).map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "fulfilled", "rejected", "rejected"]);
    expect(asked("Login").at(-1)?.data["rooms"]).toHaveLength(3);
    expect(client.loggedIn).toBe(true);
  });

  it("a hundred are resumed in one Login", async () => {
    const rooms = upTo(100).map((number) => ({ videoID: `room-${number}` }));
    const client = site.client();
    await client.connect();
    await client.login({ rooms });
    for (let round = 0; round < 2; round += 1) {
      await cut(client);
      await until("all are back", () => client.loggedIn && rooms.every(({ videoID }) => site.gateway.count(videoID) === 1));
    }
    expect([asked("Login").length, asked("JoinRoom").length, site.gateway.refusals]).toEqual([3, 0, 0]);
  });
});

it("a room that is never ready is asked for so often, then given up", async () => {
  site.gateway.faults.errors = { JoinRoom: Array<number>(50).fill(1004) };
  const client = site.client("mira", { random: () => 0.001 });
  await client.connect();
  await client.login();
  await expect(client.joinRoom("room")).rejects.toMatchObject({ code: "refused", errCode: 1004 });
  expect(asked("JoinRoom").length).toBe(MOST_NOT_READY + 1);
  expect(client.rooms).toEqual([]);
});

describe("a room that was left", () => {
  it("while the Login that resumes it is under way is left on the gateway, too", async () => {
    site.gateway.heartbeat = () => {}; // a count would show it, too
    const client = site.client();
    await client.connect();
    await client.login({ rooms: [{ videoID: "gone" }, { videoID: "kept" }] });
    await until("both joined", () => client.lastSeq("kept") === 0);
    site.gateway.faults.delay = { Login: 60 };
    await cut(client);
    await until("the Login is under way", () => asked("Login").length === 2);
    await client.leaveRoom("gone");
    await until("in one room", () => client.loggedIn && site.gateway.count("kept") === 1 && site.gateway.count("gone") === 0);
    expect(asked("LeaveRoom").map(({ data }) => data["videoID"])).toEqual(["gone"]);
  });

  it("and wanted again meanwhile stays", async () => {
    const client = site.client();
    await client.connect();
    await client.joinRoom("room");
    site.gateway.faults.delay = { Login: 60 };
    await cut(client);
    await until("the Login is under way", () => asked("Login").length === 2);
    await client.leaveRoom("room");
    await client.joinRoom("room", { afterSeq: 0 });
    await client.call("Ping");
    expect(site.gateway.count("room")).toBe(1);
    expect(asked("LeaveRoom").length).toBe(0);
  });

  it("and still sends something is left once more", async () => {
    const client = site.client();
    await client.connect();
    await client.login();
    for (const connection of site.gateway.connections) connection.rooms.add("room"); // a leave that got lost
    for (const number of upTo(5)) site.say("room", String(number));
    await until("it is left", () => site.gateway.count("room") === 0);
    expect(asked("LeaveRoom").length).toBe(1);
  });
});

describe("login and logout without waiting", () => {
  it("come out as the last word, here and there", async () => {
    const client = site.client();
    await client.connect();
    for (const delay of [{ Login: 40 }, { Logout: 40 }, { Login: 40, Logout: 20 }, { Login: 20, Logout: 40 }, {}] as Array<Record<string, number>>) {
      site.gateway.faults.delay = delay;
      const first = client.login().then(() => "in", (error: { code: string }) => error.code);
      const out = client.logout();
      await client.login();
      await out;
      expect(["in", "left"]).toContain(await first);
      await new Promise((resolve) => setTimeout(resolve, 100)); // answers of what was overtaken
      expect([client.loggedIn, await status(client)]).toEqual([true, 3]);
      const last = client.logout();
      await last;
      expect([client.loggedIn, await status(client)]).toEqual([false, 1]);
    }
  });

  it("a login after a logout names only the rooms wanted since", async () => {
    const client = site.client();
    await client.connect();
    await client.joinRoom("old");
    site.gateway.faults.delay = { Logout: 40 };
    const out = client.logout();
    await client.joinRoom("new");
    await out;
    expect([site.gateway.count("old"), site.gateway.count("new")]).toEqual([0, 1]);
    expect(client.rooms).toEqual(["new"]);
  });

  it("a Login whose answer is lost with the connection is made on the next one", async () => {
    const client = site.client();
    await client.connect();
    site.gateway.faults.mute.add("Login");
    const done = client.login();
    await until("it is asked for", () => asked("Login").length === 1);
    site.gateway.faults.mute.clear();
    site.gateway.cutAll();
    await done;
    expect(await status(client)).toBe(3);
  });
});

describe("before it tries again", () => {
  const refused = async (beforeReconnect: () => Promise<"go" | "signed_out">) => {
    const client = site.client("mira", { beforeReconnect });
    const states: ClientState[] = [];
    client.on("state", (state) => states.push(state));
    await client.connect();
    site.gateway.faults.refuse = 401;
    site.gateway.cutAll();
    return { client, states };
  };

  it("a client asks whether its session lives, and stops for good when it doesn't", async () => {
    let questions = 0;
    const { client, states } = await refused(async () => ((questions += 1), "signed_out"));
    await until("it knows", () => client.state.name === "signed_out");
    expect(questions).toBe(1);
    const count = states.length;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(states.length).toBe(count);
    expect(site.gateway.connections.size).toBe(0);
  });

  it.each([["says go", async () => "go" as const], ["can't say", () => Promise.reject(new Error("away"))], ["throws", () => { throw new Error("broken"); }]])("it goes on when the answer %s", async (_, answer) => {
    let questions = 0;
    const { client } = await refused(() => ((questions += 1), answer()));
    await until("some tries", () => client.state.attempt >= 4);
    site.gateway.faults.refuse = 0;
    await until("it is back", () => client.state.name === "online");
    expect(questions).toBeGreaterThanOrEqual(3);
  });

  it("an answer that doesn't come holds nobody up, and a late one changes nothing", async () => {
    vi.useFakeTimers();
    try {
      let made = 0;
      let late: (answer: "go" | "signed_out") => void = () => {};
      class Socket {
        readyState = 0;
        onopen = null;
        onmessage = null;
        onerror = null;
        onclose: ((event: never) => void) | null = null;
        constructor() {
          made += 1;
          last = this;
        }
        send() {}
        close() {}
      }
      let last: Socket | undefined;
      const link = new Link({
        url: "ws://x/ws", protocols: [], Socket, chance: () => 0.5, onState: () => {}, onUp: () => {}, onDown: () => {}, onFrame: () => {},
        beforeReconnect: () => new Promise((resolve) => (late = resolve)),
      });
      link.open();
      expect(made).toBe(1);
      last?.onclose?.({ code: 1006 } as never);
      await vi.advanceTimersByTimeAsync(1_000);
      expect([link.state.name, made]).toEqual(["connecting", 1]);
      await vi.advanceTimersByTimeAsync(OPEN_MS);
      expect(made).toBe(2);
      late("signed_out");
      await vi.advanceTimersByTimeAsync(1);
      expect(link.state.name).toBe("connecting");
      link.close("closed");
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});
