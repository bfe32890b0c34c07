// One video: the player, what it is, and what people say about it, as they say it. The owner also edits and deletes here.
import type { Entry } from "@sluice/gateway";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { getVideo, listEvents } from "../api";
import { useDanmaku, type DanmakuBox } from "../danmaku";
import { language, useText } from "../language";
import { useAction, useLoad, type Loaded } from "../loading";
import { moment, relative } from "../format";
import { person } from "../person";
import { go } from "../place";
import { usePolling } from "../polling";
import { home, pathOf } from "../router";
import { Picture } from "../parts/art";
import { Comments } from "../parts/comments";
import { DanmakuBar } from "../parts/danmaku_bar";
import { EditDialog } from "../parts/edit_dialog";
import { Empty, Loading } from "../parts/empty";
import { EditIcon, TrashIcon } from "../parts/icons";
import { Player } from "../parts/player";
import { ProblemBox } from "../parts/problem_box";
import { PurgeDialog } from "../parts/purge_dialog";
import { VideoFacts } from "../parts/video_facts";
import { danmakuShown } from "../preference";
import { useRoom } from "../room";
import type { Closed } from "../room_watch";
import { useStore } from "../store";
import { changes, restore, trash } from "../trash";
import type { Video } from "../types";
import { videoNews } from "../upload_watch";

/** A long video on a slow disk; after this the page says to look later. */
const FOLLOW_MS = 10 * 60_000;

export function Watch({ id }: { id: string }) {
  const t = useText();
  const loaded = useLoad((signal) => getVideo(id, signal), id);
  const changed = useStore(changes);
  useEffect(() => {
    if (changed > 0) loaded.reload();
  }, [changed]);
  useEffect(() => {
    if (loaded.value) document.title = `${loaded.value.title} · Sluice`;
  }, [loaded.value?.title]);

  const { value: video, problem } = loaded;
  if (problem?.status === 404 || problem?.status === 410) {
    return (
      <Empty title={t.watch.missing} text={t.watch.missingText} testid="missing">
        <a class="button" href="/">{t.home.allVideos}</a>
      </Empty>
    );
  }
  if (problem) return <ProblemBox problem={problem} onRetry={loaded.reload} />;
  if (!video) return <Loading />;
  return <VideoPage video={video} loaded={loaded} />;
}

function VideoPage({ video, loaded }: { video: Video; loaded: Loaded<Video> }) {
  const t = useText();
  const me = useStore(person);
  const own = me?.username === video.author.username;
  const name = video.author.displayName || video.author.username;
  const published = video.readyAt ?? video.createdAt;
  const shown = useStore(danmakuShown);
  const [media, setMedia] = useState<HTMLVideoElement | null>(null);
  const [frame, setFrame] = useState<HTMLElement | null>(null);
  const [reading, setReading] = useState(false);
  const danmaku = useDanmaku(video, media, shown, reading);
  const { room, begun, listen } = useTalk(video, own, loaded, danmaku);
  if (room.closed && !own) return <ClosedRoom video={video} why={room.closed} />;
  return (
    <article class="watch" data-testid="watch" data-state={video.state}>
      {video.state === "ready" ? (
        <Player video={video} onMedia={setMedia} onFrame={setFrame}>
          <div class="danmaku-stage" ref={danmaku.setContainer} aria-hidden="true" data-testid="danmaku-stage" />
        </Player>
      ) : (
        <Stand video={video} loaded={loaded} />
      )}
      {video.state === "ready" && <DanmakuBar video={video} media={media} box={danmaku} frame={frame} open={reading} onOpen={setReading} />}
      <div class="watch-head">
        <h1 tabIndex={-1} class="user-text" data-testid="watch-title">{video.title}</h1>
        <p class="quiet">
          <a class="user-text" href={pathOf(home({ author: video.author.username }))}>{name}</a>
          {" · "}
          <time dateTime={published} title={moment(published, language.value)}>{relative(published, Date.now(), language.value)}</time>
          {video.visibility !== "public" && <> · <span class="chip">{t.form.visibilities[video.visibility]}</span></>}
          {room.count !== undefined && <> · <span data-testid="watching" data-count={room.count}>{t.live.watching(room.count)}</span></>}
        </p>
      </div>
      {own && <OwnerActions video={video} onChange={loaded.put} />}
      {video.description && <p class="description user-text" data-testid="watch-description">{video.description}</p>}
      <VideoFacts video={video} />
      {video.state === "ready" && begun && <Comments video={video} listen={listen} />}
    </article>
  );
}

/**
 * What is said in the video's room, given to whoever shows it. The room's place in its log is asked for before comments and danmaku are loaded
 * (`begun`), so that nothing falls between the two.
 */
function useTalk(video: Video, own: boolean, loaded: Loaded<Video>, danmaku: DanmakuBox) {
  const who = useStore(person);
  const [round, setRound] = useState(0);
  const ready = video.state === "ready";
  const start = useLoad((signal) => (ready ? listEvents(video.id, 0, 1, signal).then(({ seq }) => seq) : Promise.resolve(0)), `${video.id} ${ready}`);
  const begun = start.value !== undefined || start.problem !== undefined;
  const listeners = useRef(new Set<(entry: Entry) => void>());
  const listen = useCallback((listener: (entry: Entry) => void) => {
    listeners.current.add(listener);
    return () => void listeners.current.delete(listener);
  }, []);

  const onEntry = (entry: Entry) => {
    if (entry.kind === "danmaku" && entry.data) danmaku.take(entry.data, true);
    if (entry.kind === "revoked" && entry.data.kind === "danmaku") danmaku.drop(entry.data.id);
    if (entry.kind === "info") loaded.put({ ...video, ...entry.data });
    for (const listener of [...listeners.current]) listener(entry);
  };
  const username = who === undefined ? undefined : (who?.username ?? null);
  const room = useRoom({ videoId: video.id, afterSeq: start.value, who: username, active: ready && begun, round, onEntry, onReopened: loaded.reload });
  useEffect(() => {
    if (!own || !room.closed) return;
    loaded.reload();
    if (room.closed === "private") setRound((before) => before + 1); // it is still its owner's
  }, [own, room.closed]);

  useEffect(() => (own ? videoNews.watch((news) => news?.videoID === video.id && loaded.reload()) : undefined), [own, video.id]);
  return { room, begun, listen };
}

/** The video was here a moment ago. */
function ClosedRoom({ video, why }: { video: Video; why: Closed }) {
  const t = useText();
  return (
    <article class="watch" data-testid="room-closed" data-why={why}>
      <div class="player stand">
        <Picture id={video.id} />
        <div class="stand-text" role="alert">
          <p>{t.live.closed[why]}</p>
          <a class="button" href="/">{t.home.allVideos}</a>
        </div>
      </div>
      <h1 tabIndex={-1} class="user-text">{video.title}</h1>
    </article>
  );
}

/** What stands in the player's place while there is nothing to play. */
function Stand({ video, loaded }: { video: Video; loaded: Loaded<Video> }) {
  const t = useText();
  const { gaveUp, again } = usePolling(video.state === "processing", FOLLOW_MS, async (signal) => loaded.put(await getVideo(video.id, signal)));
  const back = useAction(async () => loaded.put(await restore(video)));
  return (
    <div class="player stand" data-testid="stand">
      <Picture id={video.id} />
      <div class="stand-text" role="status">
        {video.state === "processing" && <p>{gaveUp ? t.watch.stillProcessing : t.watch.processing}</p>}
        {gaveUp && video.state === "processing" && <button type="button" class="button" onClick={again}>{t.receipt.look}</button>}
        {video.state === "awaiting_upload" && <p>{t.watch.awaiting}</p>}
        {video.state === "failed" && <><p>{t.watch.failed}</p>{video.failure && <p class="user-text">{video.failure}</p>}</>}
        {video.state === "purging" && <><p>{t.watch.purging}</p><a class="button" href={pathOf({ page: "deletion", id: video.id })}>{t.mine.receipt}</a></>}
        {video.state === "trashed" && (
          <>
            <p>{t.watch.trashed}</p>
            {video.purgeAt && <p>{t.watch.trashedUntil(moment(video.purgeAt, language.value))}</p>}
            <button type="button" class="button" disabled={back.busy} onClick={() => void back.run()} data-testid="restore">{t.mine.restore}</button>
            <ProblemBox problem={back.problem} />
          </>
        )}
      </div>
    </div>
  );
}

function OwnerActions({ video, onChange }: { video: Video; onChange: (video: Video) => void }) {
  const t = useText();
  const [open, setOpen] = useState<"edit" | "purge">();
  const close = () => setOpen(undefined);
  const toTrash = useAction(async () => {
    await trash(video);
    go({ page: "mine" });
  });
  const gone = video.state === "trashed" || video.state === "purging";
  return (
    <>
      <div class="actions" data-testid="owner-actions">
        {!gone && <button type="button" class="button" onClick={() => setOpen("edit")} data-testid="edit"><EditIcon />{t.watch.edit}</button>}
        {!gone && <button type="button" class="button" disabled={toTrash.busy} onClick={() => void toTrash.run()} data-testid="delete"><TrashIcon />{t.watch.delete}</button>}
        {video.state !== "purging" && (
          <button type="button" class="button danger-quiet" onClick={() => setOpen("purge")} data-testid="delete-for-good">{t.watch.deleteForGood}</button>
        )}
      </div>
      <ProblemBox problem={toTrash.problem} />
      {open === "edit" && (
        <EditDialog
          video={video}
          onClose={close}
          onSaved={(changed) => {
            onChange(changed);
            close();
          }}
        />
      )}
      {open === "purge" && <PurgeDialog video={video} onClose={close} />}
    </>
  );
}
