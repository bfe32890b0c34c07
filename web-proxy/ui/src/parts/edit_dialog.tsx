// Changes title, description and visibility; sends only what differs.
import { useState } from "preact/hooks";
import { editVideo } from "../api";
import { checkTitle } from "../checks";
import { useText } from "../language";
import { useAction } from "../loading";
import { say } from "../toasts";
import type { Video } from "../types";
import { Dialog } from "./dialog";
import { ProblemBox } from "./problem_box";
import { VideoFields, type Details } from "./video_fields";

export function EditDialog({ video, onClose, onSaved }: { video: Video; onClose: () => void; onSaved: (video: Video) => void }) {
  const t = useText();
  const before: Details = { title: video.title, description: video.description ?? "", visibility: video.visibility };
  const [details, setDetails] = useState(before);
  const save = useAction(async () => {
    const change = changeOf(before, { ...details, title: details.title.trim(), description: details.description.trim() });
    const saved = Object.keys(change).length > 0 ? await editVideo(video.id, change) : video;
    say(t.site.saved);
    onSaved(saved);
  });
  const badTitle = checkTitle(details.title, t);
  const submit = (event: Event) => {
    event.preventDefault();
    if (!badTitle) void save.run();
  };
  return (
    <Dialog title={t.watch.editTitle} onClose={onClose} testid="edit-dialog">
      <form onSubmit={submit} noValidate>
        <VideoFields
          details={details}
          onDetails={setDetails}
          complaints={{ title: badTitle ?? save.problem?.field("title"), description: save.problem?.field("description") }}
        />
        <ProblemBox problem={save.problem} />
        <div class="actions actions-end">
          <button type="button" class="button" onClick={onClose}>{t.site.cancel}</button>
          <button type="submit" class="button primary" disabled={save.busy} data-testid="edit-save">{save.busy ? t.site.saving : t.site.save}</button>
        </div>
      </form>
    </Dialog>
  );
}

export function changeOf(before: Details, after: Details): Partial<Details> {
  return Object.fromEntries(Object.entries(after).filter(([key, value]) => before[key as keyof Details] !== value));
}
