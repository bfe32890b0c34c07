// One file by choosing or dropping. The input itself covers the whole area, so a click, a drop and the keyboard all reach it natively.
import type { TargetedEvent } from "preact";
import { useId, useState } from "preact/hooks";
import { bytes } from "../format";
import { language, useText } from "../language";
import { UploadIcon } from "./icons";

interface Props {
  file: File | undefined;
  onFile: (file: File | undefined) => void;
  complaint: string | undefined;
}

export function FilePicker({ file, onFile, complaint }: Props) {
  const t = useText();
  const id = useId();
  const [over, setOver] = useState(false);
  const state = [over && "drop-over", file && "drop-full", complaint && "drop-bad"].filter(Boolean).join(" ");
  return (
    <div class={`drop ${state}`}>
      <input
        id={id}
        type="file"
        accept="video/*,.mp4,.m4v,.mov,.webm,.mkv"
        onChange={(event: TargetedEvent<HTMLInputElement>) => onFile(event.currentTarget.files?.[0])}
        onDragEnter={() => setOver(true)}
        onDragLeave={() => setOver(false)}
        onDrop={() => setOver(false)}
        aria-invalid={complaint !== undefined}
        aria-describedby={`${id}-note`}
        data-testid="upload-input"
      />
      <UploadIcon />
      <label for={id} class="user-text">{file ? file.name : <><strong>{t.upload.choose}</strong> {t.upload.drop}</>}</label>
      <p id={`${id}-note`} class={complaint ? "complaint" : "hint"}>
        {complaint ?? (file ? `${bytes(file.size, language.value)} · ${t.upload.another}` : t.upload.kinds)}
      </p>
    </div>
  );
}
