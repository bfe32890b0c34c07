// How fast calls may go out: the gateway's own rule (a token bucket, generic cell rate algorithm) with a margin, because frames that left here
// evenly may arrive there in a bunch. A client that keeps to this is not refused, and never closed with 4429. Pure: time comes from outside.
import type { Limits } from "./wire.js";

/** Of what the gateway allows, so much is used. */
export const RATE_SHARE = 0.9;
export const BURST_SHARE = 0.75;

/** Until the gateway has said its own. */
const DEFAULT_RATE = 20;
const DEFAULT_BURST = 40;

export class Pace {
  /** One call, in milliseconds. */
  #cost = 0;
  #burst = 1;
  /** The moment at which the bucket is full again. */
  #fullAt = 0;
  /** The gateway has said to wait until then. */
  #heldUntil = 0;

  constructor() {
    this.begin();
  }

  /** A connection begins with a full bucket, there and here. */
  begin(limits: Partial<Limits> = {}): void {
    this.#cost = 1000 / ((limits.callsPerSecond || DEFAULT_RATE) * RATE_SHARE);
    this.#burst = Math.max(Math.floor((limits.callBurst || DEFAULT_BURST) * BURST_SHARE), 1);
    this.#fullAt = 0;
    this.#heldUntil = 0;
  }

  /** Takes `count` calls, all or none: how long to wait for them, 0 when they are taken. What is more than the bucket holds costs all of it. */
  take(count: number, nowMs: number): number {
    if (nowMs < this.#heldUntil) return Math.ceil(this.#heldUntil - nowMs);
    const fullAt = Math.max(this.#fullAt, nowMs) + this.#cost * Math.min(count, this.#burst);
    const over = fullAt - nowMs - this.#cost * this.#burst;
    if (over > 1e-6) return Math.max(Math.ceil(over), 1);
    this.#fullAt = fullAt;
    return 0;
  }

  /** A call that doesn't wait: what comes after it pays. The margin of the burst is there for these. */
  charge(nowMs: number): void {
    this.#fullAt = Math.max(this.#fullAt, nowMs) + this.#cost;
  }

  /** The gateway has refused a call: its bucket is empty, for so long if it said. */
  refused(toldMs: number | undefined, nowMs: number): void {
    this.#heldUntil = Math.max(this.#heldUntil, nowMs + (toldMs ?? this.#cost));
    this.#fullAt = Math.max(this.#fullAt, nowMs + this.#cost * this.#burst);
  }
}
