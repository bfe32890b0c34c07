// The visitor's own videos in every state, with what can be done in each.
import { useEffect, useRef, useState } from "preact/hooks";
import { getVideo, listMine } from "../api";
import { bytes, duration, moment, relative } from "../format";
import { language, useText } from "../language";
import { useAction, usePages, type Pages } from "../loading";
import { usePolling } from "../polling";
import { pathOf } from "../router";
import { Picture } from "../parts/art";
import { Empty, Loading } from "../parts/empty";
import { ProblemBox } from "../parts/problem_box";
import { PurgeDialog } from "../parts/purge_dialog";
import { RemoteBar } from "../parts/remote_uploads";
import { useStore } from "../store";
import { changes, restore, trash } from "../trash";
import type { Video } from "../types";
import { remoteUploads, videoNews } from "../upload_watch";
import { uploads } from "../uploads";

/** How long the page follows videos that are on their way by itself. */
const FOLLOW_MS = 120_000;

export function Mine() {
  const t = useText();
  const pages = usePages(listMine, "mine");
  const changed = useStore(changes);
  const [doomed, setDoomed] = useState<Video>();
  useEffect(() => {
    if (changed > 0) pages.reload();
  }, [changed]);

  const moving = pages.items.some((video) => video.state === "processing" || leaving(video));
  usePolling(moving, FOLLOW_MS, async (signal) => {
    const page = await listMine(null, signal);
    const fresh = new Map(page.items.map((video) => [video.id, video]));
    const inFirstPage = (video: Video) => pages.items.indexOf(video) < page.items.length;
    pages.change((items) => items.flatMap((video) => fresh.get(video.id) ?? (leaving(video) && inFirstPage(video) ? [] : video)));
  });

  useNews(pages);
  const replace = (video: Video) => pages.change((items) => items.map((item) => (item.id === video.id ? video : item)));
  return (
    <>
      <h1 class="head-row" tabIndex={-1}>{t.mine.title}</h1>
      <ProblemBox problem={pages.problem} onRetry={pages.more} />
      {!pages.begun && pages.busy && <Loading />}
      {pages.begun && pages.items.length === 0 && (
        <Empty title={t.mine.none} text={t.mine.noneText}>
          <a class="button primary" href={pathOf({ page: "upload" })}>{t.home.uploadFirst}</a>
        </Empty>
      )}
      <ul class="rows" data-testid="my-videos">
        {pages.items.map((video) => (
          <Row key={video.id} video={video} onChange={replace} onPurge={() => setDoomed(video)} />
        ))}
      </ul>
      {pages.hasMore && (
        <p class="more">
          <button type="button" class="button" disabled={pages.busy} onClick={pages.more} data-testid="more">{t.site.more}</button>
        </p>
      )}
      {doomed && <PurgeDialog video={doomed} onClose={() => setDoomed(undefined)} />}
    </>
  );
}

/** Keeps the list up with what the gateway tells: a video that changed is looked at, one that isn't in the list yet brings the list anew. */
function useNews(pages: Pages<Video>): void {
  const latest = useRef(pages);
  latest.current = pages;
  useEffect(() => {
    const abort = new AbortController();
    const look = async (videoID: string) => {
      const video = await getVideo(videoID, abort.signal).catch(() => null); // the next look at the list shows what became of it
      if (abort.signal.aborted || !video) return;
      if (!latest.current.items.some((item) => item.id === videoID)) latest.current.reload();
      else latest.current.change((items) => items.map((item) => (item.id === videoID ? video : item)));
    };
    const stop = videoNews.watch((news) => {
      if (!news) return;
      if (news.gone) latest.current.change((items) => items.filter((item) => item.id !== news.videoID));
      else void look(news.videoID);
    });
    return () => {
      stop();
      abort.abort();
    };
  }, []);
  const uploads = useStore(remoteUploads);
  const unknown = pages.begun ? [...uploads.keys()].filter((id) => !pages.items.some((item) => item.id === id)).join() : "";
  useEffect(() => {
    if (unknown !== "") latest.current.reload();
  }, [unknown]);
}

/** Being deleted, or about to be as soon as a worker is free. */
function leaving(video: Video): boolean {
  return video.state === "purging" || (video.state === "trashed" && !!video.purgeAt && Date.parse(video.purgeAt) <= Date.now());
}

interface RowProps {
  video: Video;
  onChange: (video: Video) => void;
  onPurge: () => void;
}

function Row({ video, onChange, onPurge }: RowProps) {
  const t = useText();
  const toTrash = useAction(async () => onChange(await trash(video)));
  const back = useAction(async () => onChange(await restore(video)));
  const { state } = video;
  const progress = useStore(remoteUploads).get(video.id);
  const unfinished = useStore(uploads.list).some((listed) => listed.state.videoId === video.id);
  const gone = state === "trashed" || state === "purging";
  const facts = [
    t.form.visibilities[video.visibility],
    video.durationMs !== null && duration(video.durationMs),
    video.sizeBytes !== null && bytes(video.sizeBytes, language.value),
    relative(video.createdAt, Date.now(), language.value),
  ].filter(Boolean);
  return (
    <li class={gone ? "row row-gone" : "row"} data-testid="my-video" data-video-id={video.id} data-state={state}>
      <a class="row-thumb" href={pathOf({ page: "watch", id: video.id })} tabIndex={-1} aria-hidden="true"><Picture id={video.id} /></a>
      <div class="row-main">
        <h2><a class="user-text" href={pathOf({ page: "watch", id: video.id })}>{video.title}</a></h2>
        <p class="row-facts"><span class={`chip chip-${state}`} data-testid="video-state">{state === "awaiting_upload" && progress ? t.mine.uploading : t.mine.states[state]}</span> {facts.join(" · ")}</p>
        {state === "awaiting_upload" && (progress ? <RemoteBar progress={progress} /> : <p class="hint" data-testid="awaiting">{unfinished ? t.mine.unfinishedText : t.mine.awaitingText}</p>)}
        {state === "failed" && video.failure && <p class="complaint user-text">{video.failure}</p>}
        {state === "trashed" && video.purgeAt && <p class="hint">{t.mine.goneAt(moment(video.purgeAt, language.value))}</p>}
        <ProblemBox problem={toTrash.problem ?? back.problem} />
      </div>
      <div class="row-actions">
        {state === "awaiting_upload" && unfinished && <a class="button primary" href={pathOf({ page: "upload" })} data-testid="unfinished-link">{t.mine.goOn}</a>}
        {state === "trashed" && <button type="button" class="button" disabled={back.busy} onClick={() => void back.run()} data-testid="restore">{t.mine.restore}</button>}
        {gone && <a class="button" href={pathOf({ page: "deletion", id: video.id })} data-testid="receipt-link">{t.mine.receipt}</a>}
        {!gone && <button type="button" class="button" disabled={toTrash.busy} onClick={() => void toTrash.run()} data-testid="delete">{t.mine.delete}</button>}
        {state !== "purging" && <button type="button" class="button danger-quiet" onClick={onPurge} data-testid="delete-for-good">{t.mine.deleteForGood}</button>}
      </div>
    </li>
  );
}
