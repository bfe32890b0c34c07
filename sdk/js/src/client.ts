// The client an application holds: one connection, kept; calls by name; rooms that miss nothing and repeat nothing; events.
import { addressOf, watchBrowser } from "./browser.js";
import { Emitter, type Listener } from "./emitter.js";
import { GatewayError, type GatewayErrorCode } from "./errors.js";
import { FUNCTIONS, type FunctionName, type Functions } from "./functions.js";
import { FINAL, Link, type ClientState, type SocketConstructor } from "./link.js";
import { Login, type LoginState } from "./login.js";
import type { CallOptions as Sending } from "./calls.js";
import type { CallOptions, Events, Options } from "./options.js";
import { Rooms, type Joined, type RoomRequest } from "./rooms.js";
import { entriesOf, EVENT_OF_KIND, isKnown, type ConnectSuccess, type Entry, type Frame, type RoomCount, type RoomSnapshot } from "./wire.js";

/** What a call may take beyond the function's own deadline: the way there and back, and the wait for a turn. */
const GRACE_MS = 5_000;

/** A Login may count for one call for so many rooms that it names. */
const ROOMS_PER_CALL = 5;

/** The data may be left out where the function needs none. */
type CallArguments<N extends FunctionName> = {} extends Functions[N]["request"]
  ? [data?: Functions[N]["request"], options?: CallOptions]
  : [data: Functions[N]["request"], options?: CallOptions];

interface Waiter<T> {
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}

/** Events handed on as they come; the others are looked at first. */
const PLAIN = [
  "OnKickedOffline", "OnUserTokenExpired", "OnServerDraining", "OnSelfInfoUpdated",
  "OnUploadProgress", "OnVideoReady", "OnVideoFailed", "OnVideoTrashed", "OnVideoRestored", "OnVideoPurged", "OnEventsMissed",
] as const satisfies ReadonlyArray<keyof Events>;
const isPlain = (event: string): event is (typeof PLAIN)[number] => (PLAIN as readonly string[]).includes(event);

export class SluiceClient {
  #link: Link;
  #rooms: Rooms;
  #emitter = new Emitter<Events>();
  #login: Login;
  #batch: boolean;
  #connectWaiters: Array<Waiter<ConnectSuccess>> = [];
  #info: ConnectSuccess | undefined;
  #turns = new Map<string, Promise<void>>();
  /** LeaveRooms under way, by room. */
  #leaving = new Map<string, number>();
  #stopWatching: () => void = () => {};

  constructor(options: Options) {
    const chance = options.random ?? Math.random;
    this.#batch = options.batch ?? false;
    const Socket = (options.WebSocket ?? (globalThis as { WebSocket?: unknown }).WebSocket) as SocketConstructor | undefined;
    if (!Socket) throw new TypeError("There is no WebSocket here: give one as option `WebSocket` (that of the package `ws`).");
    this.#rooms = new Rooms({
      chance,
      ask: (request) => this.#inTurn(request.videoID, () => this.#send("JoinRoom", request, {}, { patient: true, batch: this.#batch }) as Promise<RoomSnapshot>),
      onEntry: (entry) => this.#tellEntry(entry),
      onCount: (count) => this.#emitter.emit("OnRoomMemberCount", count),
      onGap: (gap) => this.#emitter.emit("roomGap", gap),
      onReset: (reset) => this.#emitter.emit("roomReset", reset),
      onLost: (lost) => this.#emitter.emit("roomLost", lost),
      onEnded: (ended) => this.#emitter.emit("roomEnded", ended),
      onStray: (videoID) => void (this.loggedIn && !this.#leaving.has(videoID) && this.#leave(videoID).catch(() => {})),
      onNotLoggedIn: () => this.#login.onForgotten(),
    });
    this.#login = new Login({
      chance,
      up: () => this.#link.up,
      rooms: () => this.#rooms.wanted(),
      send: (rooms, signal) => this.#sendLogin(rooms, signal),
      onIn: (again, rooms, answers) => {
        this.#emitter.emit("loggedIn", { again });
        if (this.loggedIn) this.#rooms.onLogin(rooms, answers);
      },
      onFailed: (failed) => this.#onLoginFailed(failed),
    });
    this.#link = new Link({
      url: addressOf(options),
      protocols: options.token === undefined ? [] : ["sluice.v1", `bearer.${options.token}`],
      Socket,
      chance,
      beforeReconnect: options.beforeReconnect,
      onState: (state) => this.#onState(state),
      onUp: (info) => this.#onUp(info),
      onDown: () => this.#onDown(),
      onFrame: (frame) => this.#onFrame(frame),
    });
  }

  get state(): ClientState {
    return this.#link.state;
  }

  /** What the gateway said of this connection; undefined while there is none. */
  get info(): ConnectSuccess | undefined {
    return this.#link.up ? this.#info : undefined;
  }

  get loggedIn(): boolean {
    return this.#login.state === "in";
  }

  get loginState(): LoginState {
    return this.#login.state;
  }

  get rooms(): string[] {
    return this.#rooms.videoIDs;
  }

  /** Seq of the last entry of a joined room that the application was given. */
  lastSeq(videoID: string): number | undefined {
    return this.#rooms.lastSeq(videoID);
  }

  on<E extends keyof Events>(event: E, listener: Listener<Events[E]>): () => void {
    return this.#emitter.on(event, listener);
  }

  /** Resolves at the first connection, however many tries it takes; rejects when there will be none. From then on it is kept. */
  connect(): Promise<ConnectSuccess> {
    if (this.#link.up && this.#info) return Promise.resolve(this.#info);
    const connected = new Promise<ConnectSuccess>((resolve, reject) => this.#connectWaiters.push({ resolve, reject }));
    this.#stopWatching();
    this.#stopWatching = watchBrowser(this.#link);
    try {
      this.#link.open();
    } catch (thrown) {
      this.#stopWatching();
      for (const { reject } of this.#connectWaiters.splice(0)) reject(thrown);
    }
    return connected;
  }

  /** Opens the user's event stream on this connection, and on every later one, and joins these rooms in the same call. */
  login(data: { rooms?: readonly RoomRequest[] } = {}): Promise<void> {
    for (const { videoID, afterSeq } of data.rooms ?? []) this.#rooms.join(videoID, afterSeq).catch(() => {}); // told as roomLost
    const done = this.#login.done();
    this.#login.want();
    return done;
  }

  /** Ends the event stream and the room memberships; with `session` the session itself, everywhere. */
  async logout(data: { session?: boolean } = {}): Promise<void> {
    const left = new GatewayError("left", "Logged out.");
    this.#rooms.leaveAll(left);
    this.#rooms.onDown();
    this.#login.give(left);
    const answered = this.#send("Logout", data, {}, { rank: "first", patient: true });
    this.#login.leave(answered);
    await answered.catch((error: unknown) => {
      // The end of the session may overtake the answer that says so.
      if (!(data.session && error instanceof GatewayError && error.code === "signed_out")) throw error;
    });
    if (data.session) this.#link.close("signed_out");
  }

  /** Calls a function of the gateway. Rejects with a GatewayError, or with the signal's reason. */
  call<N extends FunctionName>(name: N, ...[data, options]: CallArguments<N>): Promise<Functions[N]["reply"]> {
    return this.#send(name, data ?? {}, options) as Promise<Functions[N]["reply"]>;
  }

  /**
   * Joins a room and stays in it across reconnects. With `afterSeq` the entries after that one come first (0: all). Resolves when the room is
   * caught up; entries come as events. It needs a login and brings one about; while there is no connection it waits for one.
   */
  joinRoom(videoID: string, options: { afterSeq?: number } = {}): Promise<Joined> {
    const joined = this.#rooms.join(videoID, options.afterSeq);
    this.#login.want();
    return joined;
  }

  async leaveRoom(videoID: string): Promise<void> {
    // While a Login is under way its answer will show that this connection is in the room, see onStray.
    if (this.#rooms.leave(videoID) && this.loggedIn) await this.#leave(videoID);
  }

  /** For good: nothing is tried again, every listener is forgotten. */
  close(): void {
    const closed = new GatewayError("closed", "The client was closed.");
    this.#stopWatching();
    this.#rooms.leaveAll(closed);
    this.#login.give(closed);
    this.#link.close("closed");
    this.#emitter.clear();
  }

  async #leave(videoID: string): Promise<void> {
    this.#leaving.set(videoID, (this.#leaving.get(videoID) ?? 0) + 1);
    try {
      await this.#inTurn(videoID, () => this.#send("LeaveRoom", { videoID }, {}, { patient: true }));
    } finally {
      const others = (this.#leaving.get(videoID) ?? 1) - 1;
      if (others > 0) this.#leaving.set(videoID, others);
      else this.#leaving.delete(videoID);
    }
  }

  /** Joining and leaving one room go one after the other: the gateway runs calls side by side, and the last word must be the last. */
  #inTurn<T>(videoID: string, send: () => Promise<T>): Promise<T> {
    const { number } = this.#login;
    const turn = (this.#turns.get(videoID) ?? Promise.resolve()).then(() => {
      if (number === this.#login.number) return send();
      throw new GatewayError("disconnected", `The login was over before it was the turn of ${videoID}.`);
    });
    const over = turn.then(() => {}, () => {});
    this.#turns.set(videoID, over);
    void over.then(() => this.#turns.get(videoID) === over && this.#turns.delete(videoID));
    return turn;
  }

  #send(name: string, data: unknown, options: CallOptions = {}, sending: Sending = {}): Promise<unknown> {
    if (!this.#link.up) return Promise.reject(new GatewayError("not_connected", `${name}: there is no connection (${this.#link.state.name}).`));
    const deadline = (FUNCTIONS as Record<string, { deadlineMs: number }>)[name]?.deadlineMs ?? 5_000;
    return this.#link.calls.call(name, data, options.timeoutMs ?? deadline + GRACE_MS, { signal: options.signal, ...sending });
  }

  #sendLogin(rooms: readonly RoomRequest[], signal: AbortSignal): Promise<unknown> {
    const weight = 1 + Math.ceil(rooms.length / ROOMS_PER_CALL);
    return this.#send("Login", rooms.length > 0 ? { rooms } : {}, { signal }, { rank: "first", patient: true, weight, batch: this.#batch });
  }

  #onLoginFailed(failed: Events["loginFailed"]): void {
    this.#rooms.onLoginFailed();
    if (failed.retryAt === undefined) this.#rooms.loseAll(failed.error);
    this.#emitter.emit("loginFailed", failed);
  }

  #onUp(info: ConnectSuccess): void {
    this.#info = info;
    this.#rooms.setMax(info.limits?.maxRooms);
    for (const { resolve } of this.#connectWaiters.splice(0)) resolve(info);
    this.#emitter.emit("OnConnectSuccess", info);
    this.#login.onUp();
  }

  #onDown(): void {
    this.#login.onDown();
    this.#rooms.onDown();
  }

  #onState(state: ClientState): void {
    if (FINAL.has(state.name)) {
      const code: GatewayErrorCode = state.name === "refused" ? "protocol" : state.name === "signed_out" ? "signed_out" : "closed";
      const error = new GatewayError(code, `There will be no connection: ${state.name}.`);
      for (const { reject } of this.#connectWaiters.splice(0)) reject(error);
      this.#login.reject(error);
      this.#rooms.leaveAll(error);
      this.#stopWatching();
    }
    this.#emitter.emit("state", state);
  }

  #onFrame(frame: Frame): void {
    const entries = entriesOf(frame);
    if (entries) return this.#rooms.onEntries(entries);
    if (frame.event === "OnRoomMemberCount") return this.#rooms.onCount(frame.data as RoomCount);
    if (isPlain(frame.event)) this.#emitter.emit(frame.event, frame.data as never);
    else this.#emitter.emit("other", frame);
  }

  #tellEntry(entry: Entry): void {
    if (!isKnown(entry)) return;
    this.#emitter.emit("entry", entry);
    this.#emitter.emit(EVENT_OF_KIND[entry.kind], entry as never);
  }
}
