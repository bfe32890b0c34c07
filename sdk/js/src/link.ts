// The connection and its whole life: opening, noticing that it is dead, coming back with a jittered wait, and stopping for good when the
// gateway says so. It knows nothing of rooms; it hands frames up and says when a connection begins and ends.
import { afterClose, backoffMs, CLOSE, onlineMs, restartMs, type Chance } from "./backoff.js";
import { Calls } from "./calls.js";
import { GatewayError, type GatewayErrorCode } from "./errors.js";
import { parseFrame, type ConnectSuccess, type Frame } from "./wire.js";

/** From dialling to the gateway's first frame. */
export const OPEN_MS = 10_000;
/** A connection that lasted this long was a good one: the next loss starts again with the shortest wait. */
export const STABLE_MS = 5_000;
/** A connection that is silent is asked; what doesn't answer this long is dead. */
export const PROBE_MS = 10_000;
/** The same when the browser says that the network has changed. */
export const QUICK_PROBE_MS = 4_000;
const DEFAULT_PING_INTERVAL_MS = 25_000;

/** As much of a WebSocket as is used here: the browser's own, and `ws` of npm. */
export interface SocketLike {
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}
export type SocketConstructor = new (url: string, protocols?: string | string[]) => SocketLike;

export type StateName = "idle" | "connecting" | "online" | "waiting" | "signed_out" | "refused" | "closed";

export interface ClientState {
  name: StateName;
  /** Tries since the last good connection; 0 while it is good. A browser can't see why a handshake was refused: this number is what tells. */
  attempt: number;
  /** When the next try begins (as Date.now() counts); in state `waiting`. */
  retryAt?: number;
  /** How the last connection ended. */
  closeCode?: number;
}

/** After these nothing is tried again by itself. */
export const FINAL: ReadonlySet<StateName> = new Set(["signed_out", "refused", "closed"]);

export interface LinkWorld {
  url: string;
  protocols: string[];
  Socket: SocketConstructor;
  chance: Chance;
  /** Asked before a try that follows one in vain. */
  beforeReconnect?: (() => Promise<"go" | "signed_out">) | undefined;
  onState(state: ClientState): void;
  onUp(info: ConnectSuccess): void;
  onDown(): void;
  onFrame(frame: Frame): void;
}

export class Link {
  readonly calls = new Calls((text) => this.#socket?.send(text));
  state: ClientState = { name: "idle", attempt: 0 };
  #world: LinkWorld;
  #socket: SocketLike | undefined;
  #up = false;
  #heard = 0;
  #attempt = 0;
  #restarting = false;
  #kicked = false;
  #probing = false;
  /** Counts what is asked before a try, so that a late answer is not taken. */
  #question = 0;
  #pingIntervalMs = DEFAULT_PING_INTERVAL_MS;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #openTimer: ReturnType<typeof setTimeout> | undefined;
  #stableTimer: ReturnType<typeof setTimeout> | undefined;
  #watchTimer: ReturnType<typeof setInterval> | undefined;

  constructor(world: LinkWorld) {
    this.#world = world;
  }

  get up(): boolean {
    return this.#up;
  }

  /** Begins, also after a final state. Does nothing while a connection is there or being made; a wait is cut short. */
  open(): void {
    if (this.state.name === "connecting" || this.state.name === "online") return;
    if (FINAL.has(this.state.name)) this.#attempt = 0;
    this.#dial();
  }

  close(name: "closed" | "signed_out"): void {
    const reason = name === "closed" ? "The client was closed." : "The session has ended.";
    this.#end(name, reason, CLOSE.normal);
    this.#to({ name, attempt: 0 });
  }

  /** The network is back, or may be: a wait is nearly over, and a connection must show that it lives. */
  onNetwork(back: boolean): void {
    if (this.state.name === "waiting" && back) this.#wait(onlineMs(this.#world.chance));
    else if (this.#up) this.probe(QUICK_PROBE_MS);
  }

  /** The page is looked at again: timers slept, so ask. */
  onVisible(): void {
    if (this.#up && Date.now() - this.#heard > QUICK_PROBE_MS) this.probe(QUICK_PROBE_MS);
    else if (this.state.name === "waiting" && (this.state.retryAt ?? 0) <= Date.now()) this.#wait(0);
  }

  /** Asks for a sign of life; without one in time the connection counts as lost. Any answer counts. */
  probe(timeoutMs: number): void {
    if (this.#probing || !this.#up) return;
    this.#probing = true;
    const socket = this.#socket;
    this.calls.call("Ping", {}, timeoutMs, { rank: "now" }).then(
      () => (this.#probing = false),
      (thrown: unknown) => {
        if (socket !== this.#socket) return;
        this.#probing = false;
        const silent = thrown instanceof GatewayError && thrown.code === "timeout" && Date.now() - this.#heard >= timeoutMs;
        if (silent) this.#lost(1006);
      },
    );
  }

  #dial(): void {
    this.#clearTimers();
    this.#attempt += 1;
    this.#restarting = false;
    this.#kicked = false;
    this.#to({ name: "connecting", attempt: this.#attempt });
    if (this.state.name !== "connecting") return; // closed by who was told
    const { beforeReconnect } = this.#world;
    if (!beforeReconnect || this.#attempt < 2) return this.#connect();
    this.#question += 1;
    const question = this.#question;
    const on = (answer: "go" | "signed_out") => {
      if (question !== this.#question) return;
      this.#question += 1;
      clearTimeout(this.#openTimer);
      if (answer === "go") return this.#connect();
      this.#end("signed_out", "The session has ended.");
      this.#to({ name: "signed_out", attempt: 0 });
    };
    // Who can't be asked is no reason not to try.
    this.#openTimer = setTimeout(() => on("go"), OPEN_MS);
    Promise.resolve().then(beforeReconnect).then(on, () => on("go"));
  }

  #connect(): void {
    const { Socket, url, protocols } = this.#world;
    const socket = protocols.length > 0 ? new Socket(url, protocols) : new Socket(url);
    this.#socket = socket;
    const mine = () => this.#socket === socket;
    socket.onmessage = (event: { data: unknown }) => mine() && this.#onMessage(event.data);
    socket.onclose = (event: { code?: number }) => mine() && this.#lost(event.code ?? 1006);
    socket.onerror = () => {}; // a close always follows, and a browser says no more here than there
    this.#openTimer = setTimeout(() => mine() && this.#lost(1006), OPEN_MS);
  }

  #onMessage(data: unknown): void {
    this.#heard = Date.now();
    const frame = parseFrame(data);
    if (!frame) return;
    if (!this.#up) {
      if (frame.event === "OnConnectSuccess") this.#begin(frame.data as ConnectSuccess);
      return;
    }
    if (frame.event === "OnServerDraining") this.#restarting = true;
    if (frame.event === "OnKickedOffline" || frame.event === "OnUserTokenExpired") this.#kicked = true;
    if (!this.calls.onFrame(frame)) this.#world.onFrame(frame);
  }

  #begin(info: ConnectSuccess): void {
    clearTimeout(this.#openTimer);
    this.#up = true;
    this.calls.begin(info.limits);
    this.#pingIntervalMs = info.pingIntervalMs || DEFAULT_PING_INTERVAL_MS;
    this.#stableTimer = setTimeout(() => {
      this.#attempt = 0;
      this.#to({ name: "online", attempt: 0 });
    }, STABLE_MS);
    this.#watchTimer = setInterval(() => {
      if (Date.now() - this.#heard >= this.#pingIntervalMs) this.probe(PROBE_MS);
    }, this.#pingIntervalMs / 2);
    this.#to({ name: "online", attempt: this.#attempt });
    this.#world.onUp(info);
  }

  #lost(code: number): void {
    // A kick whose close frame got lost is a kick all the same, and so is a restart.
    const after = this.#kicked ? "signed_out" : this.#restarting ? "restart" : afterClose(code);
    if (after === "signed_out" || after === "refused") {
      const reason: [GatewayErrorCode, string] =
        after === "signed_out" ? ["signed_out", "The session has ended."] : ["protocol", "The gateway refused this client."];
      this.#end(reason[0], reason[1]);
      this.#to({ name: after, attempt: 0, closeCode: code });
      return;
    }
    this.#end("disconnected", "The connection was lost before the answer came.");
    const wait = after === "restart" ? restartMs(this.#world.chance) : backoffMs(Math.max(this.#attempt, 1), this.#world.chance);
    this.#wait(wait, code);
  }

  #wait(ms: number, closeCode = this.state.closeCode): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#dial(), ms);
    this.#to({ name: "waiting", attempt: this.#attempt, retryAt: Date.now() + ms, ...(closeCode === undefined ? {} : { closeCode }) });
  }

  /** Lets go of the socket, which may never say that it has closed. */
  #end(code: GatewayErrorCode, message: string, closeCode?: number): void {
    this.#clearTimers();
    this.#question += 1;
    const socket = this.#socket;
    const wasUp = this.#up;
    this.#socket = undefined;
    this.#up = false;
    this.#probing = false;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.onerror = () => {};
      if (socket.readyState <= 1) {
        // A browser throws for a socket that is still connecting only when the code is not allowed; `ws` emits an error, which is heard above.
        if (closeCode === undefined) socket.close();
        else socket.close(closeCode);
      }
    }
    this.calls.rejectAll(code, message);
    if (wasUp) this.#world.onDown();
  }

  #clearTimers(): void {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#openTimer);
    clearTimeout(this.#stableTimer);
    clearInterval(this.#watchTimer);
  }

  #to(state: ClientState): void {
    this.state = state;
    this.#world.onState(state);
  }
}
