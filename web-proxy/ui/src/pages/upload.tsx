// Uploads on their way, unfinished ones, and the form for more.
import { useText } from "../language";
import { RemoteUploads } from "../parts/remote_uploads";
import { UploadForm } from "../parts/upload_form";
import { UploadList } from "../parts/upload_list";
import { useStore } from "../store";
import { uploads } from "../uploads";

export function UploadPage() {
  const t = useText();
  const some = useStore(uploads.list).length > 0;
  return (
    <div class="narrow">
      <h1 tabIndex={-1}>{t.upload.title}</h1>
      <UploadList />
      <RemoteUploads />
      {some && <h2>{t.upload.more}</h2>}
      <UploadForm />
    </div>
  );
}
