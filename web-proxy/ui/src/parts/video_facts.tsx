// What is known about the file, and two things to do with it: copy the link, download the original.
import { useState } from "preact/hooks";
import { getPlayback } from "../api";
import { bytes, duration, moment } from "../format";
import { language, useText } from "../language";
import { useAction } from "../loading";
import { say } from "../toasts";
import type { Video } from "../types";
import { DownloadIcon, LinkIcon } from "./icons";
import { ProblemBox } from "./problem_box";

export function VideoFacts({ video }: { video: Video }) {
  const t = useText();
  const [open, setOpen] = useState(false);
  // The address carries a grant that expires, so it is asked for at the click and not before.
  const download = useAction(async () => {
    const { sources } = await getPlayback(video.id, undefined);
    const file = sources.find((source) => source.type === "file");
    if (!file) return;
    const link = document.createElement("a");
    link.href = `${file.url}${file.url.includes("?") ? "&" : "?"}download=1`;
    link.download = "";
    link.click();
  });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(location.origin + location.pathname);
      say(t.watch.copied);
    } catch {
      say(t.watch.notCopied, { kind: "problem" });
    }
  };
  const facts: Array<[string, string | null | undefined | false]> = [
    [t.watch.published, moment(video.readyAt ?? video.createdAt, language.value)],
    [t.watch.length, video.durationMs !== null && duration(video.durationMs)],
    [t.watch.size, video.sizeBytes !== null && bytes(video.sizeBytes, language.value)],
    [t.watch.picture, video.width && video.height ? `${video.width} × ${video.height}` : null],
    [t.watch.codecs, video.codecs.join(", ")],
  ];
  return (
    <div class="facts">
      <div class="actions">
        <button type="button" class="link" onClick={() => void copy()}><LinkIcon />{t.watch.share}</button>
        {video.state === "ready" && (
          <button type="button" class="link" disabled={download.busy} onClick={() => void download.run()} data-testid="download"><DownloadIcon />{t.watch.download}</button>
        )}
        <button type="button" class="link" aria-expanded={open} onClick={() => setOpen(!open)} data-testid="details">{t.watch.details}</button>
      </div>
      <ProblemBox problem={download.problem} />
      {open && (
        <dl class="fact-list">
          {facts.map(([name, value]) => value && <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}
        </dl>
      )}
    </div>
  );
}
