// The life of a connection in time that the test makes: waits, jitter, silence, the browser's word on the network.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { backoffMs, BASE_MS, CAP_MS, ONLINE_MAX_MS, RESTART_MAX_MS, RESTART_MIN_MS, restartMs } from "../src/backoff.js";
import { Link, OPEN_MS, PROBE_MS, QUICK_PROBE_MS, STABLE_MS, type ClientState } from "../src/link.js";

class FakeSocket {
  static made: FakeSocket[] = [];
  readyState = 0;
  sent: Array<{ reqFuncName: string; operationID: string }> = [];
  closed = false;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  constructor(readonly url: string) {
    FakeSocket.made.push(this);
  }
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true; // and never says so, as on a dead network
  }
  says(event: string, data: unknown = {}, operationID = "") {
    this.onmessage?.({ data: JSON.stringify({ event, errCode: 0, errMsg: "", data, operationID }) } as never);
  }
  welcomes() {
    this.readyState = 1;
    this.says("OnConnectSuccess", { pingIntervalMs: 25_000, limits: { maxCallsInFlight: 8 } });
  }
  ends(code: number) {
    this.readyState = 3;
    this.onclose?.({ code } as never);
  }
}

let chance = 0.999;
let states: ClientState[] = [];
let frames: string[] = [];
function newLink(): Link {
  return new Link({
    url: "ws://x/ws", protocols: [], Socket: FakeSocket, chance: () => chance,
    onState: (state) => states.push(state), onUp: () => {}, onDown: () => {}, onFrame: (frame) => frames.push(frame.event),
  });
}
const socket = () => FakeSocket.made.at(-1) as FakeSocket;
const wait = (link: Link) => (link.state.retryAt ?? NaN) - Date.now();

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.made = [];
  chance = 0.999;
  states = [];
  frames = [];
});
afterEach(() => {
  vi.useRealTimers();
});

describe("waits", () => {
  it("lie between nothing and a limit that doubles up to the cap", () => {
    for (let attempt = 1; attempt <= 50; attempt += 1) {
      const limit = Math.min(BASE_MS * 2 ** (attempt - 1), CAP_MS);
      expect(backoffMs(attempt, () => 0)).toBe(0);
      expect(backoffMs(attempt, () => 0.5)).toBe(Math.floor(limit / 2));
      expect(backoffMs(attempt, () => 0.999999)).toBeLessThanOrEqual(limit);
    }
    expect(restartMs(() => 0)).toBe(RESTART_MIN_MS);
    expect(restartMs(() => 0.999999)).toBeLessThanOrEqual(RESTART_MAX_MS);
  });

  it("grow while handshakes fail, with the number of tries to be seen", () => {
    const link = newLink();
    link.open();
    const waits: number[] = [];
    for (let attempt = 1; attempt <= 8; attempt += 1) {
      expect(link.state).toMatchObject({ name: "connecting", attempt });
      socket().ends(1006);
      waits.push(wait(link));
      vi.advanceTimersByTime(wait(link));
    }
    expect(waits).toEqual([499, 999, 1998, 3996, 7992, 14985, 14985, 14985]);
    expect(FakeSocket.made.length).toBe(9);
  });

  it("stay grown when a connection doesn't last, and shrink when it does", () => {
    const link = newLink();
    link.open();
    for (let round = 0; round < 3; round += 1) {
      socket().welcomes();
      vi.advanceTimersByTime(STABLE_MS - 1);
      socket().ends(1006);
      vi.advanceTimersByTime(wait(link));
    }
    expect(link.state.attempt).toBe(4);
    socket().welcomes();
    vi.advanceTimersByTime(STABLE_MS);
    expect(link.state).toEqual({ name: "online", attempt: 0 });
    socket().ends(1006);
    expect(wait(link)).toBe(499);
  });

  it("after a restart lie between one and fifteen seconds, and don't add up", () => {
    for (const [dealt, expected] of [[0, 1_000], [0.5, 8_000], [0.999, 14_986]] as const) {
      chance = dealt;
      const link = newLink();
      link.open();
      socket().welcomes();
      socket().ends(1012);
      expect(wait(link)).toBe(expected);
    }
  });

  it("are cut short when the browser says that the network is back", () => {
    const link = newLink();
    link.open();
    for (let attempt = 1; attempt <= 6; attempt += 1) {
      socket().ends(1006);
      if (attempt < 6) vi.advanceTimersByTime(wait(link));
    }
    expect(wait(link)).toBeGreaterThan(10_000);
    link.onNetwork(true);
    expect(wait(link)).toBeLessThanOrEqual(ONLINE_MAX_MS);
    vi.advanceTimersByTime(ONLINE_MAX_MS);
    expect(link.state.name).toBe("connecting");
  });

  it("end with close()", () => {
    const link = newLink();
    link.open();
    socket().ends(1006);
    link.close("closed");
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.made.length).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("silence", () => {
  it("before the first frame is given up", () => {
    const link = newLink();
    link.open();
    vi.advanceTimersByTime(OPEN_MS);
    expect(FakeSocket.made[0]?.closed).toBe(true);
    expect(link.state.name).toBe("waiting");
  });

  it("is asked about, and an answer is enough", async () => {
    const link = newLink();
    link.open();
    socket().welcomes();
    await vi.advanceTimersByTimeAsync(25_000);
    const ping = socket().sent.at(-1);
    expect(ping?.reqFuncName).toBe("Ping");
    socket().says("Ping", {}, ping?.operationID);
    await vi.advanceTimersByTimeAsync(PROBE_MS);
    expect(link.state.name).toBe("online");
  });

  it("that goes on is the end, without waiting for the socket to say so", async () => {
    const link = newLink();
    link.open();
    socket().welcomes();
    const call = link.calls.call("GetVideo", {}, 600_000);
    const outcome = expect(call).rejects.toMatchObject({ code: "disconnected" });
    await vi.advanceTimersByTimeAsync(25_000 + PROBE_MS);
    await outcome;
    expect(socket().closed).toBe(true);
    expect(link.state.name).toBe("waiting");
    socket().ends(1006); // late, and of no interest
    expect(states.filter((state) => state.name === "waiting").length).toBe(1);
  });

  it("is broken by any frame, not only by the answer", async () => {
    const link = newLink();
    link.open();
    socket().welcomes();
    await vi.advanceTimersByTimeAsync(25_000);
    await vi.advanceTimersByTimeAsync(PROBE_MS - 1);
    socket().says("OnSomething");
    await vi.advanceTimersByTimeAsync(10);
    expect(link.state.name).toBe("online");
    expect(frames).toEqual(["OnSomething"]);
  });

  it("is asked about at once when the network changes", async () => {
    const link = newLink();
    link.open();
    socket().welcomes();
    link.onNetwork(false);
    expect(socket().sent.map(({ reqFuncName }) => reqFuncName)).toEqual(["Ping"]);
    await vi.advanceTimersByTimeAsync(QUICK_PROBE_MS);
    expect(link.state.name).toBe("waiting");
  });
});

describe("what is not a frame", () => {
  it.each([["not JSON"], ["[]"], ["{}"], ["null"], ['{"event":1,"errCode":0}'], [new ArrayBuffer(4)]])("%s is passed over", (data) => {
    const link = newLink();
    link.open();
    socket().welcomes();
    socket().onmessage?.({ data } as never);
    expect(link.state.name).toBe("online");
    expect(frames).toEqual([]);
  });
});
