// The page's connection, with a client that the test holds.
import type { ClientState, Entry } from "@sluice/gateway";
import { describe, expect, it, vi } from "vitest";
import { Live, shown, type Client } from "../src/live";

function setUp() {
  const clients: Array<{ username: string; say: (event: string, value: unknown) => void; client: Record<string, ReturnType<typeof vi.fn>> }> = [];
  const onSignedOut = vi.fn();
  const live = new Live((username) => {
    const listeners = new Map<string, (value: never) => void>();
    const client = {
      on: vi.fn((event: string, listener: (value: never) => void) => (listeners.set(event, listener), () => {})),
      connect: vi.fn(() => Promise.resolve({})), login: vi.fn(() => Promise.resolve()), leaveRoom: vi.fn(() => Promise.resolve()), close: vi.fn(),
      joinRoom: vi.fn((videoID: string) => Promise.resolve({ videoID, seq: 7, memberCount: 1 })),
    };
    clients.push({ username, client, say: (event, value) => listeners.get(event)?.(value as never) });
    return client as unknown as Client;
  }, onSignedOut);
  return { live, clients, onSignedOut };
}

const entry = (seq: number) => ({ videoID: "v", seq, kind: "info", at: "", operationID: null, data: { title: "", visibility: "public" } }) as Entry;

describe("the page's connection", () => {
  it("connects and logs in once for a person, and is gone without one", () => {
    const { live, clients } = setUp();
    live.start("mira");
    expect(clients[0]?.username).toBe("mira");
    expect(clients[0]?.client["connect"]).toHaveBeenCalledOnce();
    expect(clients[0]?.client["login"]).toHaveBeenCalledOnce();
    live.stop();
    expect(clients[0]?.client["close"]).toHaveBeenCalledOnce();
    expect(live.state.value).toEqual({ name: "off", attempt: 0 });
  });

  it("keeps listeners when another person signs in, and hears nothing of the old one", () => {
    const { live, clients } = setUp();
    const heard: number[] = [];
    const stop = live.on("entry", ({ seq }) => heard.push(seq));
    live.start("mira");
    clients[0]?.say("entry", entry(1));
    live.start("jonas");
    clients[0]?.say("entry", entry(2));
    clients[0]?.say("state", { name: "waiting", attempt: 3, retryAt: 1 });
    clients[1]?.say("entry", entry(3));
    stop();
    clients[1]?.say("entry", entry(4));
    expect(heard).toEqual([1, 3]);
    expect(live.state.value.name).toBe("off");
  });

  it("joins with the place it was at, and says when there is no connection", async () => {
    const { live, clients } = setUp();
    await expect(live.join("v", 3)).rejects.toThrow();
    live.start("mira");
    await expect(live.join("v", 3)).resolves.toMatchObject({ seq: 7 });
    await live.join("w", undefined);
    expect(clients[0]?.client["joinRoom"]?.mock.calls).toEqual([["v", { afterSeq: 3 }], ["w", {}]]);
    live.leave("v");
    expect(clients[0]?.client["leaveRoom"]).toHaveBeenCalledWith("v");
  });

  it("tells a kick once, and not for a loss", () => {
    const { live, clients, onSignedOut } = setUp();
    live.start("mira");
    clients[0]?.say("state", { name: "waiting", attempt: 1, retryAt: 5 });
    expect(onSignedOut).not.toHaveBeenCalled();
    clients[0]?.say("state", { name: "signed_out", attempt: 0, closeCode: 4401 });
    expect(onSignedOut).toHaveBeenCalledOnce();
  });

  it("tries again at once only while it waits", () => {
    const { live, clients } = setUp();
    live.start("mira");
    clients[0]?.say("state", { name: "online", attempt: 0 });
    live.retry();
    expect(clients[0]?.client["connect"]).toHaveBeenCalledOnce();
    clients[0]?.say("state", { name: "waiting", attempt: 1, retryAt: 5 });
    live.retry();
    expect(clients[0]?.client["connect"]).toHaveBeenCalledTimes(2);
  });
});

it("a connection whose login is refused is not live, and says when it tries again", () => {
  const { live, clients } = setUp();
  live.start("mira");
  const [first] = clients;
  first?.say("state", { name: "online", attempt: 1 });
  first?.say("loginFailed", { error: new Error("refused"), attempt: 2, retryAt: 77 });
  first?.say("state", { name: "online", attempt: 0 });
  expect(live.state.value).toEqual({ name: "waiting", attempt: 2, retryAt: 77 });
  live.retry();
  expect(first?.client["login"]).toHaveBeenCalledTimes(2);
  first?.say("loggedIn", { again: true });
  expect(live.state.value).toEqual({ name: "live", attempt: 0 });
  first?.say("loginFailed", { error: new Error("refused"), attempt: 1, retryAt: 78 });
  first?.say("state", { name: "waiting", attempt: 1, retryAt: 5 });
  first?.say("state", { name: "online", attempt: 1 });
  expect(live.state.value).toEqual({ name: "live", attempt: 1 });
});

it.each<[ClientState, object]>([
  [{ name: "idle", attempt: 0 }, { name: "off", attempt: 0 }],
  [{ name: "connecting", attempt: 2 }, { name: "connecting", attempt: 2 }],
  [{ name: "online", attempt: 1 }, { name: "live", attempt: 1 }],
  [{ name: "waiting", attempt: 4, retryAt: 99, closeCode: 1006 }, { name: "waiting", attempt: 4, retryAt: 99 }],
  [{ name: "refused", attempt: 0, closeCode: 4400 }, { name: "refused", attempt: 0 }],
  [{ name: "closed", attempt: 0 }, { name: "off", attempt: 0 }],
])("%j is shown as %j", (state, seen) => expect(shown(state)).toEqual(seen));
