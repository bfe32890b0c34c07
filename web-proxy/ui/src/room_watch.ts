// Following one room: over the page's connection for whoever is signed in, else (and where no connection can be had: a proxy that knows no
// WebSockets, too many tabs) by reading the room's log now and then while the page is looked at. Either way every entry after `last` is handed
// on once and in order. A closing is shown only while it holds: one that was followed by anything is history.
import type { Entry, GatewayError } from "@sluice/gateway";
import type { Live } from "./live";
import { asProblem } from "./problem";
import { readLog } from "./room_log";
import type { LogPage } from "./types";

export const POLL_MS = 15_000;
/** Tries in vain after which a signed-in visitor's page reads the log, too. */
const POLL_AFTER_TRIES = 3;
/** The catalogue's numbers of "not found" and "gone". */
const NOT_THERE: readonly number[] = [2004, 2010];

/** `missing`: the room can't be seen any more, and nobody said why. */
export type Closed = "trashed" | "private" | "purged" | "missing";

export interface RoomWorld {
  live: Pick<Live, "on" | "join" | "leave" | "state">;
  ask(afterSeq: number, limit: number, signal: AbortSignal): Promise<LogPage>;
  /** Whether the page is looked at, and when it is again; returns the way to stop. */
  isLookedAt(): boolean;
  onLookedAt(listener: () => void): () => void;
  onEntry(entry: Entry): void;
  onCount(count: number | undefined): void;
  /** undefined: it is open. */
  onClosed(closed: Closed | undefined): void;
  /** It was closed and is open again: what the page shows of it may be out of date. */
  onReopened(): void;
}

export class RoomWatch {
  /** Where the log stands here; undefined while that isn't known. */
  last: number | undefined;
  #videoId: string;
  #world: RoomWorld;
  #closed: Closed | undefined;
  /** What the last entry says of it. */
  #ending: Exclude<Closed, "missing"> | undefined;
  #signedIn = false;
  #joined = false;

  constructor(videoId: string, afterSeq: number | undefined, world: RoomWorld) {
    this.#videoId = videoId;
    this.last = afterSeq;
    this.#world = world;
  }

  /** Returns the way to stop. */
  start(signedIn: boolean): () => void {
    this.#signedIn = signedIn;
    this.#ending = undefined;
    this.#show(undefined);
    const stops = [this.#poll(), ...(signedIn ? this.#follow() : [])];
    if (signedIn) this.#join();
    return () => {
      for (const stop of stops) stop();
      if (signedIn) this.#world.live.leave(this.#videoId);
      this.#joined = false;
      this.#world.onCount(undefined);
    };
  }

  #follow(): Array<() => void> {
    const { live, onCount } = this.#world;
    const mine = ({ videoID }: { videoID: string }) => videoID === this.#videoId;
    return [
      live.on("entry", (entry) => mine(entry) && this.#tell(entry)),
      live.on("OnRoomMemberCount", (event) => mine(event) && onCount(event.count)),
      live.state.watch(({ name }) => name !== "live" && onCount(undefined)), // what it was is not what it is
      live.on("roomReset", (reset) => mine(reset) && (this.last = reset.seq)),
      live.on("loggedIn", () => !this.#joined && !this.#closed && this.#join()), // what kept it out may be over
      live.on("roomEnded", (ended) => mine(ended) && this.#left(ended.reason)),
      live.on("roomLost", (lost) => mine(lost) && this.#left(isNotThere(lost.error) ? (this.#ending ?? "missing") : undefined)),
    ];
  }

  #join(): void {
    this.#joined = true;
    this.#world.live.join(this.#videoId, this.last).then(({ seq }) => (this.last ??= seq), () => {}); // a refusal is told as roomLost
  }

  /** This connection is not in the room any more. Without a reason the room is there all the same: its log is read. */
  #left(why: Closed | undefined): void {
    this.#joined = false;
    this.#world.onCount(undefined);
    if (why) this.#show(why);
  }

  #tell(entry: Entry): void {
    if (this.last !== undefined && entry.seq <= this.last) return; // heard the other way
    this.last = entry.seq;
    this.#ending = entry.kind === "closed" ? entry.data.reason : undefined;
    if (!this.#ending) this.#reopen();
    this.#world.onEntry(entry);
  }

  #reopen(): void {
    if (this.#closed === undefined) return;
    this.#show(undefined);
    this.#world.onReopened();
    if (this.#signedIn && !this.#joined) this.#join();
  }

  #show(closed: Closed | undefined): void {
    if (this.#closed === closed) return;
    this.#closed = closed;
    this.#world.onClosed(closed);
  }

  /** There is nobody else to tell what happens in the room. */
  #mustLook(): boolean {
    if (this.#closed === "purged") return false;
    if (!this.#signedIn || !this.#joined || this.#closed) return true;
    const { name, attempt } = this.#world.live.state.value;
    return name !== "live" && (name === "refused" || attempt >= POLL_AFTER_TRIES);
  }

  #poll(): () => void {
    const abort = new AbortController();
    const { signal } = abort;
    let looking = false;
    const look = async () => {
      if (looking || !this.#mustLook() || !this.#world.isLookedAt()) return;
      looking = true;
      try {
        await this.#look(signal);
      } catch (thrown) {
        // Whatever it is, the next look may work; only a video that is gone stays gone.
        if (!signal.aborted && [404, 410].includes(asProblem(thrown).status)) this.#show(this.#closed ?? this.#ending ?? "missing");
      } finally {
        looking = false;
      }
    };
    const timer = setInterval(() => void look(), POLL_MS);
    const stop = this.#world.onLookedAt(() => void look());
    return () => {
      abort.abort();
      clearInterval(timer);
      stop();
    };
  }

  async #look(signal: AbortSignal): Promise<void> {
    const ask = (after: number, limit: number) => this.#world.ask(after, limit, signal);
    this.last ??= (await ask(0, 1)).seq;
    await readLog(ask, this.last, (entry) => signal.aborted || this.#tell(entry));
    if (signal.aborted) return;
    if (this.#ending) this.#show(this.#ending);
    else this.#reopen(); // it can be read, and its last word is not that it has closed
  }
}

const isNotThere = (error: GatewayError): boolean => NOT_THERE.includes(error.errCode);
