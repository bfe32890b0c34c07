// Choosing a file, saying what it is, and watching it go.
import { useState } from "preact/hooks";
import { checkTitle, titleFromFile } from "../checks";
import { useText } from "../language";
import { FilePicker } from "../parts/file_picker";
import { RemoteUploads } from "../parts/remote_uploads";
import { UploadProgress } from "../parts/upload_progress";
import { emptyDetails, VideoFields, type Details } from "../parts/video_fields";
import { useStore } from "../store";
import { uploader } from "../uploads";

export function UploadPage() {
  const t = useText();
  const state = useStore(uploader.state);
  return (
    <div class="narrow">
      <h1 tabIndex={-1}>{t.upload.title}</h1>
      <RemoteUploads />
      {state.step === "idle" ? <UploadForm /> : <UploadProgress state={state} />}
    </div>
  );
}

function UploadForm() {
  const t = useText();
  const [file, setFile] = useState<File>();
  const [details, setDetails] = useState<Details>(emptyDetails);
  const [tried, setTried] = useState(false);

  const choose = (chosen: File | undefined) => {
    setFile(chosen);
    if (chosen && details.title === "") setDetails({ ...details, title: titleFromFile(chosen.name) });
  };

  const badFile = !file ? t.form.needFile : file.size === 0 ? t.form.emptyFile : undefined;
  const badTitle = checkTitle(details.title, t);
  const submit = (event: Event) => {
    event.preventDefault();
    setTried(true);
    if (!file || badFile || badTitle) return;
    void uploader.start(file, { ...details, title: details.title.trim(), description: details.description.trim() });
  };

  return (
    <form onSubmit={submit} noValidate data-testid="upload-form">
      <FilePicker file={file} onFile={choose} complaint={tried || file?.size === 0 ? badFile : undefined} />
      <VideoFields details={details} onDetails={setDetails} complaints={{ title: tried ? badTitle : undefined }} />
      <button type="submit" class="button primary wide" data-testid="upload-submit">{t.upload.start}</button>
    </form>
  );
}
