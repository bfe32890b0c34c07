// The client an application holds: one connection, kept; calls by name; rooms that miss nothing and repeat nothing; events.
import { backoffMs, type Chance } from "./backoff.js";
import { addressOf, watchBrowser } from "./browser.js";
import { Emitter, type Listener } from "./emitter.js";
import { ERR, GatewayError, type GatewayErrorCode } from "./errors.js";
import { FUNCTIONS, type FunctionName, type Functions } from "./functions.js";
import { FINAL, Link, type ClientState, type SocketConstructor } from "./link.js";
import type { CallOptions, Events, Options } from "./options.js";
import { Rooms, passing, type Joined } from "./rooms.js";
import { entriesOf, EVENT_OF_KIND, type ConnectSuccess, type Entry, type Frame, type RoomCount, type RoomSnapshot } from "./wire.js";

/** What a call may take beyond the function's own deadline: the way there and back, and the wait for a turn. */
const GRACE_MS = 5_000;

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
  "OnUploadProgress", "OnVideoReady", "OnVideoFailed", "OnVideoTrashed", "OnVideoRestored", "OnVideoPurged",
] as const satisfies ReadonlyArray<keyof Events>;
const isPlain = (event: string): event is (typeof PLAIN)[number] => (PLAIN as readonly string[]).includes(event);

export class SluiceClient {
  #link: Link;
  #rooms: Rooms;
  #emitter = new Emitter<Events>();
  #chance: Chance;
  #batch: boolean;
  #wantLogin = false;
  #loggedIn = false;
  #loginRunning = false;
  #everLoggedIn = false;
  #loginTries = 0;
  #loginTimer: ReturnType<typeof setTimeout> | undefined;
  #connectWaiters: Array<Waiter<ConnectSuccess>> = [];
  #loginWaiters: Array<Waiter<void>> = [];
  #info: ConnectSuccess | undefined;
  #turns = new Map<string, Promise<void>>();
  #stopWatching: () => void = () => {};

  constructor(options: Options) {
    this.#chance = options.random ?? Math.random;
    this.#batch = options.batch ?? false;
    const Socket = (options.WebSocket ?? (globalThis as { WebSocket?: unknown }).WebSocket) as SocketConstructor | undefined;
    if (!Socket) throw new TypeError("There is no WebSocket here: give one as option `WebSocket` (that of the package `ws`).");
    this.#rooms = new Rooms({
      chance: this.#chance,
      ask: (request) => this.#inTurn(request.videoID, () => this.#send("JoinRoom", request, {}, this.#batch) as Promise<RoomSnapshot>),
      onEntry: (entry) => this.#tellEntry(entry),
      onCount: (count) => this.#emitter.emit("OnRoomMemberCount", count),
      onGap: (gap) => this.#emitter.emit("roomGap", gap),
      onReset: (reset) => this.#emitter.emit("roomReset", reset),
      onLost: (lost) => this.#emitter.emit("roomLost", lost),
      onNotLoggedIn: () => {
        this.#loggedIn = false;
        this.#enter();
      },
    });
    this.#link = new Link({
      url: addressOf(options),
      protocols: options.token === undefined ? [] : ["sluice.v1", `bearer.${options.token}`],
      Socket,
      chance: this.#chance,
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
    return this.#loggedIn;
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
  login(data: { rooms?: ReadonlyArray<{ videoID: string; afterSeq?: number }> } = {}): Promise<void> {
    this.#wantLogin = true;
    const done = this.#loggedIn ? Promise.resolve() : new Promise<void>((resolve, reject) => this.#loginWaiters.push({ resolve, reject }));
    for (const { videoID, afterSeq } of data.rooms ?? []) this.#rooms.join(videoID, afterSeq).catch(() => {}); // told as roomLost
    this.#enter();
    return done;
  }

  /** Ends the event stream and the room memberships; with `session` the session itself, everywhere. */
  async logout(data: { session?: boolean } = {}): Promise<void> {
    this.#wantLogin = false;
    this.#loggedIn = false;
    clearTimeout(this.#loginTimer);
    this.#rooms.leaveAll(new GatewayError("left", "Logged out."));
    this.#rooms.onDown();
    this.#rejectLogin(new GatewayError("left", "Logged out."));
    await this.#send("Logout", data).catch((error: unknown) => {
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
    this.#wantLogin = true;
    const joined = this.#rooms.join(videoID, options.afterSeq);
    this.#enter();
    return joined;
  }

  async leaveRoom(videoID: string): Promise<void> {
    if (this.#rooms.leave(videoID) && this.#loggedIn) await this.#inTurn(videoID, () => this.#send("LeaveRoom", { videoID }));
  }

  /** For good: nothing is tried again, every listener is forgotten. */
  close(): void {
    clearTimeout(this.#loginTimer);
    this.#stopWatching();
    this.#wantLogin = false;
    this.#rooms.leaveAll(new GatewayError("closed", "The client was closed."));
    this.#link.close("closed");
    this.#emitter.clear();
  }

  /** Joining and leaving one room go one after the other: the gateway runs calls side by side, and the last word must be the last. */
  #inTurn<T>(videoID: string, send: () => Promise<T>): Promise<T> {
    const info = this.#info;
    const turn = (this.#turns.get(videoID) ?? Promise.resolve()).then(() => {
      if (info === this.#info) return send();
      throw new GatewayError("disconnected", `The connection was lost before it was the turn of ${videoID}.`);
    });
    const over = turn.then(() => {}, () => {});
    this.#turns.set(videoID, over);
    void over.then(() => this.#turns.get(videoID) === over && this.#turns.delete(videoID));
    return turn;
  }

  #send(name: string, data: unknown, options: CallOptions = {}, batch = false): Promise<unknown> {
    if (!this.#link.up) return Promise.reject(new GatewayError("not_connected", `${name}: there is no connection (${this.#link.state.name}).`));
    const deadline = (FUNCTIONS as Record<string, { deadlineMs: number }>)[name]?.deadlineMs ?? 5_000;
    return this.#link.calls.call(name, data, options.timeoutMs ?? deadline + GRACE_MS, { signal: options.signal, batch, urgent: name === "Login" });
  }

  #onUp(info: ConnectSuccess): void {
    this.#info = info;
    for (const { resolve } of this.#connectWaiters.splice(0)) resolve(info);
    this.#emitter.emit("OnConnectSuccess", info);
    this.#loginTries = 0;
    this.#enter();
  }

  #onDown(): void {
    this.#loggedIn = false;
    this.#loginRunning = false;
    clearTimeout(this.#loginTimer);
    this.#rooms.onDown();
  }

  #onState(state: ClientState): void {
    if (FINAL.has(state.name)) {
      const code: GatewayErrorCode = state.name === "refused" ? "protocol" : state.name === "signed_out" ? "signed_out" : "closed";
      const error = new GatewayError(code, `There will be no connection: ${state.name}.`);
      for (const { reject } of this.#connectWaiters.splice(0)) reject(error);
      this.#rejectLogin(error);
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
    this.#emitter.emit("entry", entry);
    this.#emitter.emit(EVENT_OF_KIND[entry.kind], entry as never);
  }

  /** Logs in on this connection when that is wanted and not so yet, with all rooms in one call. */
  #enter(): void {
    if (!this.#wantLogin || this.#loggedIn || this.#loginRunning || !this.#link.up) return;
    this.#loginRunning = true;
    const rooms = this.#rooms.wanted();
    const info = this.#info;
    this.#send("Login", rooms.length > 0 ? { rooms } : {}, {}, this.#batch).then(
      (reply) => {
        if (info !== this.#info || !this.#loginRunning) return;
        this.#loginRunning = false;
        this.#onLogin(rooms, reply);
      },
      (error: unknown) => {
        if (info !== this.#info || !this.#loginRunning) return;
        this.#loginRunning = false;
        this.#loginFailed(error);
      },
    );
  }

  #onLogin(rooms: ReadonlyArray<{ videoID: string; afterSeq?: number }>, reply: unknown): void {
    if (!this.#wantLogin) return;
    this.#loggedIn = true;
    this.#loginTries = 0;
    const again = this.#everLoggedIn;
    this.#everLoggedIn = true;
    for (const { resolve } of this.#loginWaiters.splice(0)) resolve();
    this.#emitter.emit("loggedIn", { again });
    const answers = typeof reply === "object" && reply !== null && "rooms" in reply && Array.isArray(reply.rooms) ? reply.rooms : [];
    this.#rooms.onLogin(rooms, answers);
  }

  #loginFailed(error: unknown): void {
    if (error instanceof GatewayError && error.code === "disconnected") return; // the next connection logs in
    if (passing(error) || (error instanceof GatewayError && error.errCode === ERR.notLoggedIn)) {
      this.#loginTries += 1;
      this.#loginTimer = setTimeout(() => this.#enter(), backoffMs(this.#loginTries + 1, this.#chance));
      return;
    }
    this.#wantLogin = false;
    this.#rejectLogin(error);
  }

  #rejectLogin(error: unknown): void {
    for (const { reject } of this.#loginWaiters.splice(0)) reject(error);
  }
}
