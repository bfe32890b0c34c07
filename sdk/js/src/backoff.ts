// How long to wait before the next try, and what a close code asks for. Pure: chance and time come from outside.

/** The first wait lies between 0 and this. */
export const BASE_MS = 500;
/** No wait is longer. */
export const CAP_MS = 15_000;
/** After a restart of the server everybody comes back, spread over this range. */
export const RESTART_MIN_MS = 1_000;
export const RESTART_MAX_MS = 15_000;
/** When the browser says that the network is back: soon, but not all of an office at the same instant. */
export const ONLINE_MAX_MS = 300;

/** A number in [0, 1), like Math.random. */
export type Chance = () => number;

/** Full jitter: anything between nothing and an exponentially growing limit. `attempt` is 1 for the first try after a loss. */
export function backoffMs(attempt: number, chance: Chance): number {
  const limit = Math.min(BASE_MS * 2 ** Math.min(attempt - 1, 20), CAP_MS);
  return Math.floor(chance() * limit);
}

export const restartMs = (chance: Chance): number => RESTART_MIN_MS + Math.floor(chance() * (RESTART_MAX_MS - RESTART_MIN_MS));

export const onlineMs = (chance: Chance): number => Math.floor(chance() * ONLINE_MAX_MS);

/** Close codes of the gateway (gateway.md). */
export const CLOSE = { normal: 1000, goingAway: 1001, restart: 1012, tooBig: 1009, protocol: 4400, signedOut: 4401, tooSlow: 4408, tooManyCalls: 4429 } as const;

export type AfterClose = "signed_out" | "refused" | "restart" | "retry";

/** What to do after a socket has closed with `code` (1006 when there was no close frame). */
export function afterClose(code: number): AfterClose {
  if (code === CLOSE.signedOut) return "signed_out";
  if (code === CLOSE.protocol) return "refused";
  return code === CLOSE.restart ? "restart" : "retry";
}
