// Waiting for the server by looking again: soon at first, then less and less often, and not for ever.
import { useEffect, useRef, useState } from "preact/hooks";

export const FIRST_MS = 300;
export const MOST_MS = 5_000;

/** The wait after a wait of `ms`. */
export const longer = (ms: number): number => Math.min(Math.round(ms * 1.5), MOST_MS);

/** Resolves after `ms`, or throws the signal's reason. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", stop, { once: true });
  });
}

/**
 * Calls `look` while `active`, for at most `limitMs`. Says whether it has given up; `again` starts anew.
 * A `look` that fails is not the end: the next one may work.
 */
export function usePolling(active: boolean, limitMs: number, look: (signal: AbortSignal) => Promise<void>) {
  const [gaveUp, setGaveUp] = useState(false);
  const [round, setRound] = useState(0);
  const latest = useRef(look);
  latest.current = look;
  useEffect(() => {
    if (!active) return;
    setGaveUp(false);
    const abort = new AbortController();
    const run = async () => {
      const end = performance.now() + limitMs;
      for (let wait = FIRST_MS; performance.now() < end; wait = longer(wait)) {
        await sleep(wait, abort.signal);
        await latest.current(abort.signal).catch(() => abort.signal.throwIfAborted());
      }
      setGaveUp(true);
    };
    run().catch(() => {}); // only the abort below ends it early
    return () => abort.abort();
  }, [active, limitMs, round]);
  return { gaveUp, again: () => setRound((before) => before + 1) };
}
