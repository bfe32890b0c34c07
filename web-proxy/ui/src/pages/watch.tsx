// One video: the player, what it is, and what people say about it. The owner also edits and deletes here.
import { useEffect, useState } from "preact/hooks";
import { getVideo } from "../api";
import { language, useText } from "../language";
import { useAction, useLoad, type Loaded } from "../loading";
import { moment, relative } from "../format";
import { person } from "../person";
import { go } from "../place";
import { usePolling } from "../polling";
import { home, pathOf } from "../router";
import { Picture } from "../parts/art";
import { Comments } from "../parts/comments";
import { EditDialog } from "../parts/edit_dialog";
import { Empty, Loading } from "../parts/empty";
import { EditIcon, TrashIcon } from "../parts/icons";
import { Player } from "../parts/player";
import { ProblemBox } from "../parts/problem_box";
import { PurgeDialog } from "../parts/purge_dialog";
import { VideoFacts } from "../parts/video_facts";
import { useStore } from "../store";
import { changes, restore, trash } from "../trash";
import type { Video } from "../types";

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
  return (
    <article class="watch" data-testid="watch" data-state={video.state}>
      {video.state === "ready" ? <Player video={video} /> : <Stand video={video} loaded={loaded} />}
      <div class="watch-head">
        <h1 tabIndex={-1} class="user-text" data-testid="watch-title">{video.title}</h1>
        <p class="quiet">
          <a class="user-text" href={pathOf(home({ author: video.author.username }))}>{name}</a>
          {" · "}
          <time dateTime={published} title={moment(published, language.value)}>{relative(published, Date.now(), language.value)}</time>
          {video.visibility !== "public" && <> · <span class="chip">{t.form.visibilities[video.visibility]}</span></>}
        </p>
      </div>
      {own && <OwnerActions video={video} onChange={loaded.put} />}
      {video.description && <p class="description user-text" data-testid="watch-description">{video.description}</p>}
      <VideoFacts video={video} />
      {video.state === "ready" && <Comments video={video} />}
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
