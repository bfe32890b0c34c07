// Under the player: the danmaku switch, the form to send one, and the list of them for whoever would rather read than watch them fly.
import type { TargetedEvent } from "preact";
import { useEffect, useId, useState } from "preact/hooks";
import { deleteDanmaku, sendDanmaku } from "../api";
import type { DanmakuBox } from "../danmaku";
import { around } from "../danmaku_track";
import { duration } from "../format";
import { useText } from "../language";
import { useAction } from "../loading";
import { person } from "../person";
import { place } from "../place";
import { danmakuShown } from "../preference";
import { pathOf } from "../router";
import { useStore } from "../store";
import type { Danmaku, DanmakuMode, Video } from "../types";
import { ProblemBox } from "./problem_box";

/** The contract's limit, in characters. */
const MOST = 100;
const MODES: readonly DanmakuMode[] = ["scroll", "top", "bottom"];
/** Lines of the list at a time. */
const LISTED = 100;

interface Props {
  video: Video;
  media: HTMLVideoElement | null;
  box: DanmakuBox;
  frame: HTMLElement | null;
  open: boolean;
  onOpen: (open: boolean) => void;
}

export function DanmakuBar({ video, media, box, frame, open, onOpen }: Props) {
  const t = useText();
  const me = useStore(person);
  const shown = useStore(danmakuShown);
  return (
    <section class="danmaku-bar" aria-label={t.danmaku.title} data-testid="danmaku-bar">
      <div class="actions">
        <button type="button" class="button" role="switch" aria-checked={shown} onClick={() => danmakuShown.set(!shown)} data-testid="danmaku-switch">
          <span class="switch" aria-hidden="true" />
          {t.danmaku.title}
        </button>
        {document.fullscreenEnabled && frame && (
          <button type="button" class="button" onClick={() => void frame.requestFullscreen().catch(() => {})} data-testid="fullscreen">{t.danmaku.fullscreen}</button>
        )}
      </div>
      {me ? <DanmakuForm video={video} media={media} box={box} /> : me === null && <a class="button" href={pathOf({ page: "signin", next: pathOf(place.value) })}>{t.danmaku.signIn}</a>}
      <details open={open} onToggle={(event: TargetedEvent<HTMLDetailsElement>) => onOpen(event.currentTarget.open)}>
        <summary data-testid="danmaku-count">{t.danmaku.count(box.items.length)}</summary>
        {open && <DanmakuList video={video} media={media} box={box} />}
      </details>
    </section>
  );
}

function DanmakuForm({ video, media, box }: Pick<Props, "video" | "media" | "box">) {
  const t = useText();
  const id = useId();
  const [draft, setDraft] = useState("");
  const [mode, setMode] = useState<DanmakuMode>("scroll");
  const [color, setColor] = useState("#ffffff");
  const length = [...draft.trim()].length;
  const send = useAction(async () => {
    const atMs = Math.min(Math.max(Math.round((media?.currentTime ?? 0) * 1000), 0), video.durationMs ?? Infinity);
    const sent = await sendDanmaku(video.id, { text: draft.trim(), atMs, mode, color });
    box.take(sent, true);
    setDraft((now) => (now === draft ? "" : now)); // what was written meanwhile stays
  });
  const ready = length > 0 && length <= MOST && !send.busy;
  const submit = (event?: Event) => {
    event?.preventDefault();
    if (ready) void send.run();
  };
  return (
    <form class="danmaku-form" onSubmit={submit} data-testid="danmaku-form">
      <div class="danmaku-line">
        <label for={id} class="visually-hidden">{t.danmaku.add}</label>
        <input
          id={id}
          type="text"
          placeholder={t.danmaku.add}
          autocomplete="off"
          value={draft}
          aria-invalid={length > MOST}
          onInput={(event: TargetedEvent<HTMLInputElement>) => {
            setDraft(event.currentTarget.value);
            if (!send.problem?.retryAfter) send.clear();
          }}
          data-testid="danmaku-input"
        />
        <select aria-label={t.danmaku.mode} value={mode} onChange={(event: TargetedEvent<HTMLSelectElement>) => setMode(event.currentTarget.value as DanmakuMode)} data-testid="danmaku-mode">
          {MODES.map((known) => <option key={known} value={known}>{t.danmaku.modes[known]}</option>)}
        </select>
        <input type="color" aria-label={t.danmaku.color} title={t.danmaku.color} value={color} onInput={(event: TargetedEvent<HTMLInputElement>) => setColor(event.currentTarget.value.toLowerCase())} data-testid="danmaku-color" />
        <button type="submit" class="button primary" disabled={!ready} data-testid="danmaku-send">{send.busy ? t.danmaku.sending : t.danmaku.send}</button>
      </div>
      {length > MOST && <p class="complaint" role="status">{t.form.tooLong(MOST)}</p>}
      <ProblemBox problem={send.problem} onRetry={send.problem?.passing && length > 0 ? () => submit() : undefined} testid="danmaku-problem" />
    </form>
  );
}

function DanmakuList({ video, media, box }: Pick<Props, "video" | "media" | "box">) {
  const t = useText();
  const me = useStore(person);
  const [now, setNow] = useState(0);
  useEffect(() => {
    if (!media) return;
    const look = () => setNow(Math.floor(media.currentTime));
    look();
    media.addEventListener("timeupdate", look);
    return () => media.removeEventListener("timeupdate", look);
  }, [media]);
  const removal = useAction(async (danmaku: Danmaku) => {
    await deleteDanmaku(danmaku.id);
    box.drop(danmaku.id);
  });
  if (box.items.length === 0) return <p class="quiet">{t.danmaku.none}</p>;
  const mine = (danmaku: Danmaku) => me && (me.username === danmaku.author.username || me.username === video.author.username);
  return (
    <>
      <ProblemBox problem={removal.problem} />
      <ul class="danmaku-list" data-testid="danmaku-list">
        {around(box.items, now * 1000, LISTED).map((danmaku) => (
          <li key={danmaku.id} data-testid="danmaku-row" data-danmaku-id={danmaku.id}>
            <button type="button" class="link" onClick={() => media && (media.currentTime = danmaku.atMs / 1000)}>{duration(danmaku.atMs)}</button>
            <span class="user-text" data-testid="danmaku-text">{danmaku.text}</span>
            <span class="quiet small user-text">{danmaku.author.displayName || danmaku.author.username}</span>
            {mine(danmaku) && (
              <button type="button" class="link" disabled={removal.busy} onClick={() => void removal.run(danmaku)} aria-label={t.danmaku.deleteOf(danmaku.text)} data-testid="danmaku-delete">{t.comments.delete}</button>
            )}
          </li>
        ))}
      </ul>
    </>
  );
}
