// Uploads of this person that run in another browser or on another device, with the progress that the server sees.
import { useEffect, useState } from "preact/hooks";
import { getVideo } from "../api";
import { bytes } from "../format";
import { language, useText } from "../language";
import { shareOfUpload, type Progress } from "../remote_progress";
import { useStore } from "../store";
import { remoteUploads } from "../upload_watch";
import { uploads as ownUploads } from "../uploads";

export function RemoteUploads() {
  const t = useText();
  const uploads = useStore(remoteUploads);
  const own = new Set(useStore(ownUploads.list).map(({ state }) => state.videoId));
  const elsewhere = [...uploads].filter(([videoID]) => !own.has(videoID));
  if (elsewhere.length === 0) return null;
  return (
    <section class="panel" aria-label={t.upload.elsewhere} data-testid="remote-uploads">
      <h2>{t.upload.elsewhere}</h2>
      {elsewhere.map(([videoID, progress]) => <RemoteUpload key={videoID} videoID={videoID} progress={progress} />)}
    </section>
  );
}

function RemoteUpload({ videoID, progress }: { videoID: string; progress: Progress }) {
  const [title, setTitle] = useState("");
  useEffect(() => {
    const abort = new AbortController();
    getVideo(videoID, abort.signal).then((video) => setTitle(video.title), () => {}); // without its title it is still an upload
    return () => abort.abort();
  }, [videoID]);
  return (
    <div data-testid="remote-upload" data-video-id={videoID}>
      <p class="user-text">{title}</p>
      <RemoteBar progress={progress} />
    </div>
  );
}

export function RemoteBar({ progress }: { progress: Progress }) {
  const t = useText();
  const share = shareOfUpload(progress);
  const known = share === null ? {} : { value: share };
  const words = share === null ? bytes(progress.receivedBytes, language.value) : `${share} %`;
  return (
    <div class="bar">
      <progress max={100} {...known} aria-label={t.upload.progress} data-testid="remote-progress" />
      <span class="bar-number" aria-hidden="true">{words}</span>
    </div>
  );
}
