// Uploads of this person that run in another tab or on another device, with the progress that the server sees.
import { useEffect, useState } from "preact/hooks";
import { getVideo } from "../api";
import { bytes } from "../format";
import { language, useText } from "../language";
import { shareOfUpload, type Progress } from "../remote_progress";
import { useStore } from "../store";
import { remoteUploads } from "../upload_watch";
import { uploader } from "../uploads";

export function RemoteUploads() {
  const t = useText();
  const uploads = useStore(remoteUploads);
  const here = useStore(uploader.state);
  const own = "videoId" in here ? here.videoId : null;
  const elsewhere = [...uploads].filter(([videoID]) => videoID !== own);
  if (here.step === "creating" || elsewhere.length === 0) return null; // this tab's own upload has no id yet
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
