// How far an upload is and how fast, for the eye. The browser counts a byte when it has handed it to the system, which may hold megabytes on a
// slow line; the gateway tells what has arrived. While it tells, it is believed; else the browser is. The number never goes back.

/** After the last word of the gateway, and before its first where one may be hoped for. */
const TRUST_MS = 5_000;
const HOPE_MS = 2_000;
const SMOOTH_SECONDS = 5;
const LEAST_SECONDS = 0.25;

export class Meter {
  bytes: number;
  /** Bytes per second, null until something can be said. */
  rate: number | null = null;
  #now: () => number;
  /** The browser is believed from then on. */
  #trustUntil: number;
  #from: { time: number; bytes: number };

  /** `hope`: the gateway is there. */
  constructor(bytes: number, now: () => number, hope: boolean) {
    this.bytes = bytes;
    this.#now = now;
    this.#trustUntil = hope ? now() + HOPE_MS : -Infinity;
    this.#from = { time: now(), bytes };
  }

  sent(bytes: number): void {
    if (this.#now() > this.#trustUntil) this.#tell(bytes);
  }

  arrived(bytes: number): void {
    this.#trustUntil = this.#now() + TRUST_MS;
    this.#tell(bytes);
  }

  saved(bytes: number): void {
    this.#tell(bytes);
  }

  #tell(bytes: number): void {
    this.bytes = Math.max(this.bytes, bytes);
    const seconds = (this.#now() - this.#from.time) / 1000;
    if (seconds < LEAST_SECONDS) return;
    const fresh = (this.bytes - this.#from.bytes) / seconds;
    const weight = Math.min(seconds / SMOOTH_SECONDS, 1);
    this.rate = this.rate === null ? fresh : this.rate * (1 - weight) + fresh * weight;
    this.#from = { time: this.#now(), bytes: this.bytes };
  }
}
