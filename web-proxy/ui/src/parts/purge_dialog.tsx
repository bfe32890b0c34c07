// "Delete for good": asks once, then leads to the receipt.
import { purgeVideo } from "../api";
import { useText } from "../language";
import { useAction } from "../loading";
import { go } from "../place";
import { dismissAbout } from "../toasts";
import type { Video } from "../types";
import { ConfirmDialog } from "./dialog";

export function PurgeDialog({ video, onClose }: { video: Video; onClose: () => void }) {
  const t = useText();
  const purge = useAction(async () => {
    await purgeVideo(video.id);
    dismissAbout(video.id); // no "Undo" may outlive this
    onClose();
    go({ page: "deletion", id: video.id });
  });
  return (
    <ConfirmDialog
      title={t.trash.confirmTitle}
      text={t.trash.confirmText(video.title)}
      confirm={purge.busy ? t.trash.busy : t.trash.confirm}
      busy={purge.busy}
      problem={purge.problem}
      onConfirm={() => void purge.run()}
      onClose={onClose}
      testid="purge-dialog"
    />
  );
}
