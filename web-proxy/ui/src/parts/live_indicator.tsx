// How the connection to the gateway is: said in words, and a way to try again at once while it waits.
import { useEffect, useState } from "preact/hooks";
import { useText } from "../language";
import type { LiveState } from "../live";
import { live } from "../live_page";
import { useStore } from "../store";

/** A connection that comes back within this long needs no word. */
const CALM_MS = 400;

export function LiveIndicator() {
  const t = useText();
  const state = useCalm(useStore(live.state));
  const left = useSecondsUntil(state.retryAt);
  if (state.name === "off" || state.name === "signed_out") return null;
  const words = state.name === "waiting" ? t.live.offline : t.live.states[state.name];
  const tip = state.attempt > 1 ? `${words} · ${t.live.attempt(state.attempt)}` : words;
  return (
    <span class={`live live-${state.name}`} data-testid="live-state" data-state={state.name} data-attempt={state.attempt} title={tip}>
      <span class="live-dot" aria-hidden="true" />
      <span class="live-words" role="status">{words}</span>
      {state.name === "waiting" && (
        <button type="button" class="link" onClick={() => live.retry()} aria-label={t.live.retryNow} data-testid="live-retry">{t.live.retryIn(left)}</button>
      )}
    </span>
  );
}

/** Passing states are not shown: a short loss would only flicker. */
function useCalm(state: LiveState): LiveState {
  const [calm, setCalm] = useState(state);
  useEffect(() => {
    if (state.name === "live" || state.name === "off") {
      setCalm(state);
      return;
    }
    const timer = setTimeout(() => setCalm(state), CALM_MS);
    return () => clearTimeout(timer);
  }, [state]);
  return calm;
}

function useSecondsUntil(at: number | undefined): number {
  const seconds = () => (at === undefined ? 0 : Math.max(Math.ceil((at - Date.now()) / 1000), 0));
  const [left, setLeft] = useState(seconds);
  useEffect(() => {
    setLeft(seconds());
    if (at === undefined) return;
    const timer = setInterval(() => setLeft(seconds()), 500);
    return () => clearInterval(timer);
  }, [at]);
  return left;
}
