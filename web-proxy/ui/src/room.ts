// Following one room: over the page's connection for whoever is signed in, else (and where no connection can be had: a proxy that knows no
// WebSockets, too many tabs) by reading the room's log now and then while the page is looked at. Either way every entry after `afterSeq` is handed
// on once and in order.
import type { Entry } from "@sluice/gateway";
import { useEffect, useRef, useState } from "preact/hooks";
import { listEvents } from "./api";
import { live } from "./live_page";
import { asProblem } from "./problem";
import { readLog, type Ask } from "./room_log";

export const POLL_MS = 15_000;
/** Tries in vain after which a signed-in visitor's page reads the log, too. */
const POLL_AFTER_TRIES = 3;

/** `missing`: the room can't be seen any more, and nobody said why. */
export type Closed = "trashed" | "private" | "purged" | "missing";

export interface Room {
  /** Who is in the room now; undefined when it isn't known. */
  count: number | undefined;
  closed: Closed | undefined;
}

interface Wanted {
  videoId: string;
  /** Where the log stood before the page was loaded; undefined when that isn't known. */
  afterSeq: number | undefined;
  /** Name of the signed-in person, null for nobody, undefined while that isn't known. */
  who: string | null | undefined;
  active: boolean;
  /** Another number joins anew. */
  round: number;
}

/** There is no connection, and it doesn't look as if there will be one soon. */
function inVain(): boolean {
  const { name, attempt } = live.state.value;
  return name !== "live" && (name === "refused" || attempt >= POLL_AFTER_TRIES);
}

export function useRoom({ videoId, afterSeq, who, active, round }: Wanted, onEntry: (entry: Entry) => void): Room {
  const [count, setCount] = useState<number>();
  const [closed, setClosed] = useState<Closed>();
  const last = useRef(afterSeq);
  const listener = useRef(onEntry);
  listener.current = onEntry;

  const tell = (entry: Entry) => {
    if (last.current !== undefined && entry.seq <= last.current) return; // heard the other way
    last.current = entry.seq;
    if (entry.kind === "closed") setClosed(entry.data.reason);
    listener.current(entry);
  };

  useEffect(() => {
    if (!active || who === undefined) return;
    setClosed(undefined);
    last.current ??= afterSeq;
    return who === null ? poll(() => true) : join();
  }, [videoId, who, active, round]);

  function join(): () => void {
    const stops = [
      live.on("entry", (entry) => entry.videoID === videoId && tell(entry)),
      live.on("OnRoomMemberCount", (event) => event.videoID === videoId && setCount(event.count)),
      live.state.watch(({ name }) => name !== "live" && setCount(undefined)), // what it was is not what it is
      live.on("roomLost", (lost) => lost.videoID === videoId && setClosed((before) => before ?? "missing")),
    ];
    stops.push(live.on("roomReset", (reset) => reset.videoID === videoId && (last.current = reset.seq)), poll(inVain));
    live.join(videoId, last.current).then(({ seq }) => (last.current ??= seq), () => {}); // a refusal is told as roomLost
    return () => {
      for (const stop of stops) stop();
      live.leave(videoId);
      setCount(undefined);
    };
  }

  function poll(wanted: () => boolean): () => void {
    const abort = new AbortController();
    let looking = false;
    const look = async () => {
      if (looking || !wanted() || document.visibilityState !== "visible") return;
      looking = true;
      try {
        const ask: Ask = (after, limit) => listEvents(videoId, after, limit, abort.signal);
        last.current ??= (await ask(0, 1)).seq;
        await readLog(ask, last.current, tell);
      } catch (thrown) {
        // Whatever it is, the next look may work; only a video that is gone stays gone.
        if (!abort.signal.aborted && [404, 410].includes(asProblem(thrown).status)) setClosed((before) => before ?? "missing");
      } finally {
        looking = false;
      }
    };
    const timer = setInterval(() => void look(), POLL_MS);
    const onVisible = () => void look();
    document.addEventListener("visibilitychange", onVisible);
    return () => {
      abort.abort();
      clearInterval(timer);
      document.removeEventListener("visibilitychange", onVisible);
    };
  }

  return { count, closed };
}
