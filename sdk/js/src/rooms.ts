// The rooms this client wants to be in. Each is joined again after every loss of the connection with the seq it had come to, asked for more
// while the gateway says that there is more, and asked again when a seq is missing; see feed.ts for what is given on.
import { backoffMs, type Chance } from "./backoff.js";
import { ERR, GatewayError } from "./errors.js";
import { Feed, type Outcome } from "./feed.js";
import type { ClosedData, Entry, RoomCount, RoomSnapshot } from "./wire.js";

/** A count may overtake entries that are still being batched (200 ms at most); what is missing after this long is asked for. */
export const HEAD_GRACE_MS = 1_000;

/** Until the gateway has said how many rooms a connection may be in. */
const DEFAULT_MAX_ROOMS = 100;

/** A room that isn't ready so often in a row won't be. */
export const MOST_NOT_READY = 5;

export interface RoomRequest {
  videoID: string;
  afterSeq?: number;
}

export interface Joined {
  videoID: string;
  /** Seq of the last entry given to the application. */
  seq: number;
  memberCount: number;
}

export interface RoomsWorld {
  chance: Chance;
  /** Calls JoinRoom on this connection. */
  ask(request: RoomRequest): Promise<RoomSnapshot>;
  onEntry(entry: Entry): void;
  onCount(count: RoomCount): void;
  onGap(gap: { videoID: string; from: number; to: number }): void;
  onReset(reset: { videoID: string; seq: number }): void;
  /** The room is given up: it can't be joined (any more). */
  onLost(lost: { videoID: string; error: GatewayError }): void;
  /** The room has closed, and this connection isn't in it any more. */
  onEnded(ended: { videoID: string; reason: ClosedData["reason"] }): void;
  /** This connection is in a room that nobody wants. */
  onStray(videoID: string): void;
  /** The gateway says that this connection isn't logged in. */
  onNotLoggedIn(): void;
}

interface Room {
  feed: Feed;
  asking: boolean;
  tries: number;
  /** Answers "not ready" in a row, over connections, too. */
  notReady: number;
  timer: ReturnType<typeof setTimeout> | undefined;
  waiters: Array<{ resolve: (joined: Joined) => void; reject: (error: unknown) => void }>;
}

/** What passes by itself: login under way, not ready, busy, or a service away (numbers of the catalogue in common::error). */
const PASSING: ReadonlySet<number> = new Set([ERR.loginPending, ERR.notReady, ERR.tooManyRequests, 2006, 2025, 2026, 2027]);

export const passing = (error: unknown): boolean =>
  error instanceof GatewayError && (error.code === "timeout" || error.code === "too_many_pending" || (error.code === "refused" && PASSING.has(error.errCode)));

export class Rooms {
  #world: RoomsWorld;
  #rooms = new Map<string, Room>();
  #live = false;
  #max = DEFAULT_MAX_ROOMS;

  constructor(world: RoomsWorld) {
    this.#world = world;
  }

  get videoIDs(): string[] {
    return [...this.#rooms.keys()];
  }

  lastSeq(videoID: string): number | undefined {
    return this.#rooms.get(videoID)?.feed.last;
  }

  /** What this connection allows. Rooms beyond it, the latest first, are given up: a Login that names them all would be refused. */
  setMax(max: number | undefined): void {
    this.#max = max || DEFAULT_MAX_ROOMS;
    for (const room of [...this.#rooms.values()].slice(this.#max)) this.#lose(room, this.#tooMany(room.feed.videoID));
  }

  /** Resolves when the room is joined and caught up. A room that is already wanted keeps its own place; `afterSeq` is for a new one. */
  join(videoID: string, afterSeq?: number): Promise<Joined> {
    let room = this.#rooms.get(videoID);
    if (!room) {
      if (this.#rooms.size >= this.#max) {
        const error = this.#tooMany(videoID);
        this.#world.onLost({ videoID, error });
        return Promise.reject(error);
      }
      room = { feed: new Feed(videoID, afterSeq), asking: false, tries: 0, notReady: 0, timer: undefined, waiters: [] };
      this.#rooms.set(videoID, room);
    }
    const { waiters } = room;
    const joined = new Promise<Joined>((resolve, reject) => waiters.push({ resolve, reject }));
    this.#ask(room);
    return joined;
  }

  leave(videoID: string): boolean {
    const room = this.#rooms.get(videoID);
    if (room) this.#drop(room, new GatewayError("left", `The room of ${videoID} was left.`));
    return room !== undefined;
  }

  /** There will be no login: none of them can be joined. */
  loseAll(error: unknown): void {
    const known = error instanceof GatewayError ? error : new GatewayError("refused", `Login: ${String(error)}`);
    for (const room of [...this.#rooms.values()]) this.#lose(room, known);
  }

  leaveAll(error: GatewayError): void {
    for (const room of [...this.#rooms.values()]) this.#drop(room, error);
  }

  /** What a Login asks for, so that all rooms are resumed in one call. */
  wanted(): RoomRequest[] {
    return [...this.#rooms.values()].map((room) => {
      room.asking = true;
      return requestOf(room.feed);
    });
  }

  /** The Login has been answered: calls may be made, and these are the rooms that it resumed. */
  onLogin(asked: readonly RoomRequest[], answers: readonly unknown[]): void {
    this.#live = true;
    const byID = new Map(answers.flatMap((answer) => (isAnswer(answer) ? [[answer.videoID, answer] as const] : [])));
    for (const { videoID, afterSeq } of asked) {
      const room = this.#rooms.get(videoID);
      const answer = byID.get(videoID);
      if (!room) {
        if (answer?.errCode === 0) this.#world.onStray(videoID); // left while the Login was under way
        continue;
      }
      room.asking = false;
      if (!answer) this.#ask(room);
      else if (answer.errCode === 0) this.#take(room, answer, afterSeq);
      else this.#failed(room, new GatewayError("refused", `JoinRoom: ${answer.errMsg}`, { errCode: answer.errCode }));
    }
    const known = new Set(asked.map(({ videoID }) => videoID));
    for (const room of [...this.#rooms.values()]) if (!known.has(room.feed.videoID)) this.#ask(room); // wanted while the Login was under way
  }

  /** The Login was refused: what it asked for is not being asked for any more. */
  onLoginFailed(): void {
    for (const room of this.#rooms.values()) room.asking = false;
  }

  onDown(): void {
    this.#live = false;
    this.onLoginFailed();
    for (const room of this.#rooms.values()) {
      room.tries = 0;
      clearTimeout(room.timer);
      room.timer = undefined;
      room.feed.disconnected();
    }
  }

  onEntries(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const room = this.#rooms.get(entry.videoID);
      if (!room) {
        this.#stray(entry.videoID);
        continue;
      }
      const outcome = room.feed.onPush(entry);
      this.#deliver(room, outcome);
      if (outcome.behind && this.#rooms.get(entry.videoID) === room) this.#ask(room);
    }
  }

  onCount(count: RoomCount): void {
    const room = this.#rooms.get(count.videoID);
    if (!room) return this.#stray(count.videoID);
    this.#world.onCount(count);
    room.feed.onHead(count.seq);
    if (room.feed.behind && !room.asking && room.timer === undefined) this.#later(room, HEAD_GRACE_MS);
  }

  #ask(room: Room): void {
    if (!this.#live || room.asking) return;
    clearTimeout(room.timer);
    room.timer = undefined;
    room.asking = true;
    const request = requestOf(room.feed);
    const current = () => this.#live && room.asking && this.#rooms.get(request.videoID) === room;
    this.#world.ask(request).then(
      (snapshot) => {
        if (!current()) return this.#stray(request.videoID);
        room.asking = false;
        this.#take(room, snapshot, request.afterSeq);
      },
      (error: unknown) => {
        if (!current()) return;
        room.asking = false;
        this.#failed(room, error);
      },
    );
  }

  #take(room: Room, snapshot: RoomSnapshot, afterSeq: number | undefined): void {
    const { feed } = room;
    const outcome = feed.onSnapshot(snapshot, afterSeq);
    room.tries = 0;
    room.notReady = 0;
    this.#deliver(room, outcome);
    if (this.#rooms.get(feed.videoID) !== room) return;
    if (outcome.behind) {
      if (feed.stalls > 0) this.#later(room, backoffMs(feed.stalls, this.#world.chance));
      else this.#ask(room);
      return;
    }
    this.#world.onCount({ videoID: feed.videoID, count: snapshot.memberCount, seq: snapshot.seq });
    const joined: Joined = { videoID: feed.videoID, seq: feed.last ?? snapshot.seq, memberCount: snapshot.memberCount };
    for (const { resolve } of room.waiters.splice(0)) resolve(joined);
  }

  #deliver(room: Room, outcome: Outcome): void {
    const { feed } = room;
    const { videoID } = feed;
    if (outcome.reset) this.#world.onReset({ videoID, seq: feed.last ?? 0 });
    for (const entry of outcome.deliver) {
      if (outcome.gap && entry.seq > outcome.gap.to) {
        this.#world.onGap({ videoID, ...outcome.gap });
        delete outcome.gap;
      }
      this.#world.onEntry(entry);
      if (this.#rooms.get(videoID) !== room) return; // the application left while it was told
      if (entry.kind === "closed") this.#closed(room, entry.seq, entry.data.reason);
      if (this.#rooms.get(videoID) !== room) return;
    }
    if (outcome.gap) this.#world.onGap({ videoID, ...outcome.gap });
  }

  /** A closing that was pushed ends the membership. One in the past of a room that could be joined is over; one at its very end is asked about. */
  #closed(room: Room, seq: number, reason: ClosedData["reason"]): void {
    const { videoID } = room.feed;
    if (seq > room.feed.answered) {
      this.#drop(room, new GatewayError("left", `The room of ${videoID} has closed.`));
      this.#world.onEnded({ videoID, reason });
    } else if (seq === room.feed.answered) this.#later(room, 0);
  }

  #failed(room: Room, error: unknown): void {
    if (!(error instanceof GatewayError) || error.code === "disconnected" || error.code === "not_connected") return; // the next connection asks
    if (error.errCode === ERR.notLoggedIn) return this.#world.onNotLoggedIn();
    room.notReady = error.errCode === ERR.notReady ? room.notReady + 1 : 0;
    if (passing(error) && room.notReady <= MOST_NOT_READY) {
      room.tries += 1;
      return this.#later(room, backoffMs(room.tries, this.#world.chance));
    }
    this.#lose(room, error);
  }

  #lose(room: Room, error: GatewayError): void {
    this.#drop(room, error);
    this.#world.onLost({ videoID: room.feed.videoID, error });
  }

  #tooMany(videoID: string): GatewayError {
    return new GatewayError("too_many_rooms", `${videoID} would be one room too many: a connection is in at most ${this.#max}.`);
  }

  /** Something came of a room that isn't wanted: it was on its way, or the gateway still has this connection in it. */
  #stray(videoID: string): void {
    if (this.#live && !this.#rooms.has(videoID)) this.#world.onStray(videoID);
  }

  #later(room: Room, ms: number): void {
    clearTimeout(room.timer);
    room.timer = setTimeout(() => {
      room.timer = undefined;
      // A count that ran ahead of its entries needs nothing once they are here.
      if (ms === HEAD_GRACE_MS && !room.feed.behind) return;
      this.#ask(room);
    }, ms);
  }

  #drop(room: Room, error: GatewayError): void {
    clearTimeout(room.timer);
    this.#rooms.delete(room.feed.videoID);
    for (const { reject } of room.waiters.splice(0)) reject(error);
  }
}

function requestOf(feed: Feed): RoomRequest {
  return feed.last === undefined ? { videoID: feed.videoID } : { videoID: feed.videoID, afterSeq: feed.last };
}

type Answer = RoomSnapshot & { errCode: number; errMsg: string };

function isAnswer(value: unknown): value is Answer {
  return typeof value === "object" && value !== null && "videoID" in value && "errCode" in value;
}
