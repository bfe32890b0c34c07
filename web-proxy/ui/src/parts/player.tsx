// The player: the browser's own controls over a source whose address carries a grant that expires. When the grant has expired in the middle
// (a long pause, a seek hours later) a new one is fetched and the video goes on where it was.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { getPlayback, probeMedia } from "../api";
import { useText } from "../language";
import { asProblem, Problem } from "../problem";
import type { Playback, Source, Video } from "../types";
import { ProblemBox } from "./problem_box";

/** More new grants than this within a minute mean that the grant is not what is wrong. */
const MOST_REFRESHES = 4;
const REFRESH_WINDOW_MS = 60_000;

/** What a media server answers to a grant it no longer takes. */
const GRANT_REFUSED = [401, 403, 404, 410];

interface Props {
  video: Video;
  /** The element, once it is there. */
  onMedia?: (element: HTMLVideoElement | null) => void;
  onFrame?: (element: HTMLElement | null) => void;
  /** What lies over the picture. */
  children?: ComponentChildren;
}

export function Player({ video, onMedia, onFrame, children }: Props) {
  const t = useText();
  const element = useRef<HTMLVideoElement>(null);
  const [playback, setPlayback] = useState<Playback>();
  const [problem, setProblem] = useState<Problem>();
  const [refreshing, setRefreshing] = useState(false);
  const position = useRef(0);
  const resume = useRef<{ at: number; playing: boolean } | null>(null);
  const refreshes = useRef<number[]>([]);
  const abort = useRef(new AbortController());

  const load = async () => {
    const { signal } = abort.current;
    try {
      const answer = await getPlayback(video.id, signal);
      if (signal.aborted) return;
      setProblem(undefined);
      setPlayback(answer);
    } catch (thrown) {
      if (!signal.aborted) setProblem(asProblem(thrown));
    }
  };

  useEffect(() => {
    abort.current = new AbortController();
    void load();
    return () => abort.current.abort();
  }, [video.id]);

  useEffect(() => {
    onMedia?.(element.current);
    return () => onMedia?.(null);
  }, []);

  const source = playback && pickSource(playback.sources, element.current);
  useEffect(() => {
    const player = element.current;
    if (player && source) player.src = source.url; // also when the address is the same: it must be fetched anew
  }, [playback]);

  const onError = async () => {
    const player = element.current;
    if (!player || !source) return;
    resume.current ??= { at: position.current, playing: !player.paused };
    const { signal } = abort.current;
    const answer = await probeMedia(source.url, signal).catch((thrown: unknown) => asProblem(thrown));
    if (signal.aborted) return;
    if (answer === null) {
      setProblem(new Problem({ code: "unplayable", status: 0, detail: t.watch.noCodec }));
    } else if (GRANT_REFUSED.includes(answer.status) && mayRefresh(refreshes.current)) {
      setRefreshing(true);
      await load();
      setRefreshing(false);
    } else {
      setProblem(answer);
    }
  };

  const onLoadedMetadata = () => {
    const player = element.current;
    const before = resume.current;
    resume.current = null;
    if (!player || !before) return;
    player.currentTime = before.at;
    if (before.playing) player.play().catch(() => {}); // the browser may want a click first; its controls are there
  };

  const onMoved = () => {
    const player = element.current;
    if (player && !player.error && player.readyState > 0 && !resume.current) position.current = player.currentTime;
  };

  const again = () => {
    refreshes.current = [];
    setProblem(undefined);
    void load();
  };

  return (
    <div class="player" ref={onFrame ?? null} data-testid="player-frame">
      <video
        ref={element}
        data-testid="player"
        controls
        playsInline
        preload="metadata"
        {...(playback?.poster ? { poster: playback.poster } : {})}
        aria-label={t.watch.player(video.title)}
        style={video.width && video.height ? { aspectRatio: `${video.width} / ${video.height}` } : {}}
        onError={() => void onError()}
        onLoadedMetadata={onLoadedMetadata}
        onTimeUpdate={onMoved}
        onSeeking={onMoved}
      />
      {children}
      {refreshing && <p class="player-note" role="status">{t.watch.refreshing}</p>}
      {problem && (
        <div class="player-problem">
          <ProblemBox problem={problem} onRetry={again} testid="player-problem" />
        </div>
      )}
    </div>
  );
}

/** The first whole file this browser thinks it can play, else the first whole file: the browser may be too modest. */
function pickSource(sources: Source[], player: HTMLVideoElement | null): Source | undefined {
  const files = sources.filter((source) => source.type === "file");
  return files.find((source) => player?.canPlayType(source.mime)) ?? files[0];
}

function mayRefresh(times: number[]): boolean {
  const now = performance.now();
  while (times.length > 0 && now - (times[0] ?? 0) > REFRESH_WINDOW_MS) times.shift();
  times.push(now);
  return times.length <= MOST_REFRESHES;
}
