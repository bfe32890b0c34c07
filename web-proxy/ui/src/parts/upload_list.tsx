// The uploads of this browser, one card each.
import { useState } from "preact/hooks";
import { useText } from "../language";
import { useStore } from "../store";
import type { Listed } from "../upload_queue";
import { uploads } from "../uploads";
import { ConfirmDialog } from "./dialog";
import { UploadCard } from "./upload_card";

export function UploadList() {
  const t = useText();
  const list = useStore(uploads.list);
  const [doomed, setDoomed] = useState<Listed>();
  if (list.length === 0) return null;
  const discard = (listed: Listed) => {
    // The button that was pressed goes away with its card.
    document.querySelector<HTMLElement>("main h1")?.focus({ preventScroll: true });
    void uploads.discard(listed.id);
  };
  return (
    <>
      <ul class="uploads" aria-label={t.upload.list} data-testid="uploads">
        {list.map((listed) => (
          <UploadCard key={listed.id} listed={listed} onDiscard={() => (listed.state.saved > 0 || listed.state.sent > 0 ? setDoomed(listed) : discard(listed))} />
        ))}
      </ul>
      {doomed && (
        <ConfirmDialog
          title={t.upload.discardTitle}
          text={t.upload.discardText(doomed.state.job.title)}
          confirm={t.upload.discard}
          busy={false}
          problem={undefined}
          onConfirm={() => {
            setDoomed(undefined);
            discard(doomed);
          }}
          onClose={() => setDoomed(undefined)}
          testid="discard-dialog"
        />
      )}
    </>
  );
}
