// Choosing files and saying what they are. Each has a title of its own; description and who can watch are the same for all of one choice.
import { useState } from "preact/hooks";
import { checkTitle, titleFromFile } from "../checks";
import type { Chosen } from "../kept_file";
import { useText } from "../language";
import { uploads } from "../uploads";
import { TextField } from "./field";
import { FilePicker } from "./file_picker";
import { emptyDetails, VideoFields, type Details } from "./video_fields";

interface Row extends Chosen {
  key: number;
  title: string;
}

let lastKey = 0;
const rowOf = (chosen: Chosen): Row => ({ ...chosen, key: (lastKey += 1), title: titleFromFile(chosen.file.name) });

export function UploadForm() {
  const t = useText();
  const [rows, setRows] = useState<readonly Row[]>([]);
  const [details, setDetails] = useState<Details>(emptyDetails);
  const [tried, setTried] = useState(false);

  const choose = (chosen: Chosen[]) => {
    const next = chosen.map(rowOf);
    // What was typed before the file was chosen is the title of the one file.
    setRows(next.length === 1 && details.title !== "" ? next.map((row) => ({ ...row, title: details.title })) : next);
    if (next.length === 1 && details.title === "") setDetails({ ...details, title: next[0]?.title ?? "" });
  };
  const change = (next: readonly Row[]) => {
    setRows(next);
    const [only] = next.length === 1 ? next : []; // whose title is asked for with the rest
    if (only) setDetails({ ...details, title: only.title });
  };
  const empty = rows.some(({ file }) => file.size === 0);
  const badFile = rows.length === 0 ? t.form.needFile : empty ? t.form.emptyFile : undefined;
  const several = rows.length > 1;
  const badTitle = several ? undefined : checkTitle(details.title, t);

  const submit = (event: Event) => {
    event.preventDefault();
    setTried(true);
    if (badFile || badTitle || (several && rows.some(({ title }) => checkTitle(title, t)))) return;
    for (const { file, handle, title } of rows) {
      const own = several ? title : details.title;
      void uploads.add({ file, handle }, { ...details, title: own.trim(), description: details.description.trim() });
    }
    setRows([]);
    setDetails({ ...emptyDetails, visibility: details.visibility });
    setTried(false);
    document.querySelector<HTMLElement>("main h1")?.focus(); // their cards appear below it
  };

  return (
    <form onSubmit={submit} noValidate data-testid="upload-form">
      <FilePicker chosen={rows} onChosen={choose} complaint={tried || empty ? badFile : undefined} />
      {several && <Titles rows={rows} onRows={change} tried={tried} />}
      <VideoFields details={details} onDetails={setDetails} withTitle={!several} complaints={{ title: tried ? badTitle : undefined }} />
      <button type="submit" class="button primary wide" data-testid="upload-submit">{several ? t.upload.startAll(rows.length) : t.upload.start}</button>
    </form>
  );
}

function Titles({ rows, onRows, tried }: { rows: readonly Row[]; onRows: (rows: readonly Row[]) => void; tried: boolean }) {
  const t = useText();
  return (
    <ul class="upload-titles">
      {rows.map((row) => (
        <li key={row.key}>
          <TextField
            label={t.upload.titleOf(row.file.name)}
            value={row.title}
            onValue={(title) => onRows(rows.map((other) => (other.key === row.key ? { ...other, title } : other)))}
            complaint={tried ? checkTitle(row.title, t) : undefined}
            testid="upload-title"
          />
          <button type="button" class="link" aria-label={t.upload.leaveOutOf(row.file.name)} onClick={() => onRows(rows.filter(({ key }) => key !== row.key))}>{t.upload.leaveOut}</button>
        </li>
      ))}
    </ul>
  );
}
