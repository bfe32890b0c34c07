// Being logged in: wanted or not, and made so again on every connection and after every refusal. Logins and logouts are numbered: an answer from
// before the last logout, or from another connection, changes nothing; and no login begins before the logout that was asked for is answered.
import { backoffMs, type Chance } from "./backoff.js";
import { ERR, GatewayError } from "./errors.js";
import { passing, type RoomRequest } from "./rooms.js";

/** `waiting`: it was refused and is tried again. */
export type LoginState = "out" | "pending" | "in" | "waiting";

export interface LoginWorld {
  chance: Chance;
  up(): boolean;
  /** The rooms to ask for in the same call. */
  rooms(): RoomRequest[];
  send(rooms: readonly RoomRequest[], signal: AbortSignal): Promise<unknown>;
  onIn(again: boolean, rooms: readonly RoomRequest[], answers: readonly unknown[]): void;
  /** Without `retryAt` nothing is tried again by itself. */
  onFailed(failed: { error: unknown; attempt: number; retryAt?: number }): void;
}

export class Login {
  #world: LoginWorld;
  #wanted = false;
  #state: LoginState = "out";
  #number = 0;
  #tries = 0;
  /** A Login with rooms was refused: the next one names none, and they are asked for one by one, so that a bad one keeps nobody out. */
  #bare = false;
  #ever = false;
  /** Logouts that aren't answered yet. */
  #leaving = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort = new AbortController();
  #waiters: Array<{ resolve: () => void; reject: (error: unknown) => void }> = [];

  constructor(world: LoginWorld) {
    this.#world = world;
  }

  get state(): LoginState {
    return this.#state;
  }

  /** Another one after every logout and loss: what was begun before is over. */
  get number(): number {
    return this.#number;
  }

  want(): void {
    this.#wanted = true;
    this.enter();
  }

  /** Resolves when it is so. */
  done(): Promise<void> {
    if (this.#state === "in") return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** Logs in on this connection when that is wanted and not so yet; ends a wait. */
  enter(): void {
    if (!this.#wanted || this.#leaving > 0 || this.#state === "in" || this.#state === "pending" || !this.#world.up()) return;
    clearTimeout(this.#timer);
    this.#state = "pending";
    const rooms = this.#bare ? [] : this.#world.rooms();
    const number = this.#number;
    this.#abort = new AbortController();
    this.#world.send(rooms, this.#abort.signal).then(
      (reply) => number === this.#number && this.#in(rooms, reply),
      (error: unknown) => number === this.#number && this.#failed(error, rooms.length > 0),
    );
  }

  /** A new connection. */
  onUp(): void {
    this.#tries = 0;
    this.enter();
  }

  onDown(): void {
    this.#end();
  }

  /** The gateway says that this connection isn't logged in. */
  onForgotten(): void {
    if (this.#state === "in") this.#state = "out";
    this.enter();
  }

  /** Not wanted any more, for this reason. */
  give(up: GatewayError): void {
    this.#wanted = false;
    this.#end();
    this.#abort.abort(up);
    this.reject(up);
  }

  /** Nobody need wait for it. */
  reject(error: unknown): void {
    for (const { reject } of this.#waiters.splice(0)) reject(error);
  }

  /** `answered` settles with the Logout. */
  leave(answered: Promise<unknown>): void {
    this.#leaving += 1;
    const over = () => {
      this.#leaving -= 1;
      this.enter();
    };
    answered.then(over, over);
  }

  #end(): void {
    this.#number += 1;
    this.#state = "out";
    clearTimeout(this.#timer);
  }

  #in(rooms: readonly RoomRequest[], reply: unknown): void {
    this.#state = "in";
    this.#tries = 0;
    this.#bare = false;
    const again = this.#ever;
    this.#ever = true;
    for (const { resolve } of this.#waiters.splice(0)) resolve();
    const answers = typeof reply === "object" && reply !== null && "rooms" in reply && Array.isArray(reply.rooms) ? reply.rooms : [];
    this.#world.onIn(again, rooms, answers);
  }

  #failed(error: unknown, named: boolean): void {
    this.#state = "out";
    if (error instanceof GatewayError && (error.code === "disconnected" || error.code === "not_connected")) return; // the next connection logs in
    this.#tries += 1;
    const passes = passing(error) || (error instanceof GatewayError && error.errCode === ERR.notLoggedIn);
    if (!passes && named) this.#bare = true;
    // Who was logged in before is not let down: what was taken then will be taken again.
    if (passes || named || this.#ever) {
      this.#state = "waiting";
      const wait = backoffMs(this.#tries + 1, this.#world.chance);
      this.#timer = setTimeout(() => this.enter(), wait);
      return this.#world.onFailed({ error, attempt: this.#tries, retryAt: Date.now() + wait });
    }
    this.#wanted = false;
    this.reject(error);
    this.#world.onFailed({ error, attempt: this.#tries });
  }
}
