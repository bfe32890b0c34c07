// The danmaku of the video on the page: loaded by stretches as it plays, live ones as they come, drawn over it while the switch is on.
import { useEffect, useRef, useState } from "preact/hooks";
import { listDanmaku } from "./api";
import { DanmakuStage } from "./danmaku_stage";
import { DanmakuTrack, type Window } from "./danmaku_track";
import type { Danmaku, Video } from "./types";

/** A stretch that couldn't be loaded is asked for again after this long. */
const AGAIN_MS = 5_000;
/** They fly at once; the list is drawn anew at most this often, however busy the room is. */
const LIST_MS = 150;
/** Pages of one stretch; more than 1,000 in a minute nobody can read. */
const MOST_PAGES = 2;

export interface DanmakuBox {
  items: readonly Danmaku[];
  /** Puts one in; `live`: it has just been said. */
  take(danmaku: Danmaku, live: boolean): void;
  drop(id: string): void;
  /** Where they fly. */
  setContainer(element: HTMLElement | null): void;
}

/** `shown`: they fly. `read`: somebody reads the list, so it is loaded also when they don't. */
export function useDanmaku(video: Video, media: HTMLVideoElement | null, shown: boolean, read: boolean): DanmakuBox {
  const track = useRef(new DanmakuTrack());
  const stage = useRef<DanmakuStage | undefined>(undefined);
  const [container, setContainer] = useState<HTMLElement | null>(null);
  const soon = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const [items, setItems] = useState<readonly Danmaku[]>([]);

  const put = (fresh: readonly Danmaku[], live: boolean) => {
    const added = track.current.add(fresh);
    if (added.length === 0) return;
    for (const danmaku of added) stage.current?.add(danmaku, live);
    const trimmed = track.current.trim((media?.currentTime ?? 0) * 1000);
    if (trimmed || stage.current?.isFull) stage.current?.restart(track.current.list());
    listSoon();
  };
  const listSoon = () => {
    soon.current ??= setTimeout(() => {
      soon.current = undefined;
      setItems(track.current.list());
    }, LIST_MS);
  };
  useEffect(() => () => clearTimeout(soon.current), []);

  useEffect(() => {
    if (!media || !container) return;
    const mine = new DanmakuStage(container, media, shown);
    stage.current = mine;
    for (const danmaku of track.current.list()) mine.add(danmaku, false);
    return () => {
      mine.destroy();
      stage.current = undefined;
    };
  }, [media, container]);

  useEffect(() => stage.current?.show(shown), [shown]);

  useEffect(() => {
    if (!media || !(shown || read)) return;
    const abort = new AbortController();
    const { signal } = abort;
    const load = async (window: Window) => {
      try {
        for (let cursor: string | null = null, page = 0; page < MOST_PAGES; page += 1) {
          const answer: { items: Danmaku[]; next: string | null } = await listDanmaku(video.id, window, cursor, signal);
          put(answer.items, false);
          cursor = answer.next;
          if (cursor === null) break;
        }
      } catch {
        // What is missing is decoration: it is tried again, and nobody is told.
        if (signal.aborted) track.current.giveBack(window);
        else setTimeout(() => track.current.giveBack(window), AGAIN_MS);
      }
    };
    const look = () => {
      for (const window of track.current.wanted(media.currentTime * 1000, video.durationMs)) void load(window);
    };
    look();
    media.addEventListener("timeupdate", look);
    media.addEventListener("seeking", look);
    return () => {
      media.removeEventListener("timeupdate", look);
      media.removeEventListener("seeking", look);
      abort.abort();
    };
  }, [media, video.id, video.durationMs, shown || read]);

  return {
    items,
    take: (danmaku, live) => put([danmaku], live),
    drop: (id) => {
      track.current.remove(id);
      stage.current?.remove(id);
      listSoon();
    },
    setContainer,
  };
}
