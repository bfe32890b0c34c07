// Files by choosing or dropping. The input itself covers the whole area, so a click, a drop and the keyboard all reach it natively; where the
// browser has a dialog that lets it remember the files, a click opens that one instead.
import type { TargetedEvent } from "preact";
import { useId, useState } from "preact/hooks";
import { bytes } from "../format";
import { canPick, dropped, ENDINGS, pick, type Chosen } from "../kept_file";
import { language, useText } from "../language";
import { asProblem } from "../problem";
import { say } from "../toasts";
import { UploadIcon } from "./icons";

const ACCEPT = ["video/*", ...ENDINGS].join();

interface Props {
  chosen: readonly Chosen[];
  onChosen: (chosen: Chosen[]) => void;
  complaint: string | undefined;
}

export function FilePicker({ chosen, onChosen, complaint }: Props) {
  const t = useText();
  const id = useId();
  const [over, setOver] = useState(false);
  const state = [over && "drop-over", chosen.length > 0 && "drop-full", complaint && "drop-bad"].filter(Boolean).join(" ");
  const size = bytes(chosen.reduce((sum, { file }) => sum + file.size, 0), language.value);
  const name = chosen.length === 1 ? chosen[0]?.file.name : t.upload.files(chosen.length);
  return (
    <div class={`drop ${state}`}>
      <FileInput
        id={id}
        multiple
        onChosen={(some) => some.length > 0 && onChosen(some)}
        onOver={setOver}
        aria-invalid={complaint !== undefined}
        aria-describedby={`${id}-note`}
        testid="upload-input"
      />
      <UploadIcon />
      <label for={id} class="user-text">{chosen.length > 0 ? name : <><strong>{t.upload.choose}</strong> {t.upload.drop}</>}</label>
      <p id={`${id}-note`} class={complaint ? "complaint" : "hint"}>
        {complaint ?? (chosen.length > 0 ? `${size} · ${t.upload.another}` : t.upload.kinds)}
      </p>
    </div>
  );
}

/** A button that asks for one file. */
export function FileButton({ label, primary, onChosen, testid }: { label: string; primary: boolean; onChosen: (chosen: Chosen) => void; testid: string }) {
  return (
    <label class={primary ? "button primary file-button" : "button file-button"}>
      {label}
      <FileInput multiple={false} onChosen={([first]) => first && onChosen(first)} testid={testid} />
    </label>
  );
}

interface InputProps {
  id?: string;
  multiple: boolean;
  onChosen: (chosen: Chosen[]) => void;
  onOver?: (over: boolean) => void;
  "aria-invalid"?: boolean;
  "aria-describedby"?: string;
  testid: string;
}

function FileInput({ multiple, onChosen, onOver, testid, ...rest }: InputProps) {
  const t = useText();
  const take = (coming: Promise<Chosen[]>) =>
    coming.then(
      (chosen) => onChosen(multiple ? chosen : chosen.slice(0, 1)),
      (thrown: unknown) => say(asProblem(thrown).detail || t.problems["unreadable"] || t.problem, { kind: "problem" }),
    );
  const choose = (event: TargetedEvent<HTMLInputElement>) => {
    const files = [...(event.currentTarget.files ?? [])];
    event.currentTarget.value = ""; // so that the same file chosen again is news
    void take(Promise.resolve(files.map((file) => ({ file, handle: null }))));
  };
  return (
    <input
      {...rest}
      type="file"
      accept={ACCEPT}
      multiple={multiple}
      onClick={(event: Event) => {
        if (!canPick()) return;
        event.preventDefault();
        void take(pick(multiple, t.upload.videos));
      }}
      onChange={choose}
      onDragEnter={() => onOver?.(true)}
      onDragLeave={() => onOver?.(false)}
      onDrop={(event: DragEvent) => {
        onOver?.(false);
        if (!event.dataTransfer) return;
        event.preventDefault();
        void take(dropped(event.dataTransfer));
      }}
      data-testid={testid}
    />
  );
}
