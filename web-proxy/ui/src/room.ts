// The room of the video on the page, for components: see room_watch.ts.
import type { Entry } from "@sluice/gateway";
import { useEffect, useRef, useState } from "preact/hooks";
import { listEvents } from "./api";
import { live } from "./live_page";
import { RoomWatch, type Closed } from "./room_watch";

export interface Room {
  /** Who is in the room now; undefined when it isn't known. */
  count: number | undefined;
  /** Why it can't be seen; undefined while it can. */
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
  onEntry: (entry: Entry) => void;
  /** The room was closed and is open again. */
  onReopened: () => void;
}

/** `videoId` stays what it is as long as the component lives. */
export function useRoom(wanted: Wanted): Room {
  const { videoId, afterSeq, who, active, round } = wanted;
  const [count, setCount] = useState<number>();
  const [closed, setClosed] = useState<Closed>();
  const told = useRef(wanted);
  told.current = wanted;
  const watch = useRef<RoomWatch | undefined>(undefined);

  useEffect(() => {
    if (!active || who === undefined) return;
    watch.current ??= new RoomWatch(videoId, afterSeq, {
      live,
      ask: (after, limit, signal) => listEvents(videoId, after, limit, signal),
      isLookedAt: () => document.visibilityState === "visible",
      onLookedAt: (listener) => {
        document.addEventListener("visibilitychange", listener);
        return () => document.removeEventListener("visibilitychange", listener);
      },
      onEntry: (entry) => told.current.onEntry(entry),
      onCount: setCount,
      onClosed: setClosed,
      onReopened: () => told.current.onReopened(),
    });
    return watch.current.start(who !== null);
  }, [videoId, who, active, round]);

  return { count, closed };
}
