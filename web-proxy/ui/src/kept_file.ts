// Files that the browser gives back without being asked for them again (the File System Access API, where it is there): a handle can be kept
// over a reload, and the visitor only has to allow it.

/** A file, and the way back to it if the browser has one. */
export interface Chosen {
  file: File;
  handle: FileSystemFileHandle | null;
}

interface WithPermission {
  queryPermission?(want: { mode: "read" }): Promise<PermissionState>;
  requestPermission?(want: { mode: "read" }): Promise<PermissionState>;
}

type Picker = (options: { multiple: boolean; id: string; types: Array<{ description: string; accept: Record<string, string[]> }> }) => Promise<FileSystemFileHandle[]>;

export const ENDINGS = [".mp4", ".m4v", ".mov", ".webm", ".mkv"];

/** Whether the file may be read again without a word of the visitor. */
export async function isAllowed(handle: FileSystemFileHandle): Promise<boolean> {
  return (await (handle as WithPermission).queryPermission?.({ mode: "read" }).catch(() => "denied")) === "granted";
}

/** The file again, or null when it is gone or not allowed. Asks the visitor if it has to, so it must be called by their click. */
export async function fileOf(handle: FileSystemFileHandle): Promise<File | null> {
  try {
    if (!(await isAllowed(handle)) && (await (handle as WithPermission).requestPermission?.({ mode: "read" })) !== "granted") return null;
    return await handle.getFile();
  } catch {
    return null;
  }
}

export const canPick = (): boolean => "showOpenFilePicker" in globalThis;

/** The browser's dialog that gives handles; nothing when the visitor closes it. */
export async function pick(multiple: boolean, description: string): Promise<Chosen[]> {
  const { showOpenFilePicker } = globalThis as unknown as { showOpenFilePicker: Picker };
  try {
    const handles = await showOpenFilePicker({ multiple, id: "videos", types: [{ description, accept: { "video/*": ENDINGS } }] });
    return await Promise.all(handles.map(async (handle) => ({ file: await handle.getFile(), handle })));
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === "AbortError") return [];
    throw thrown;
  }
}

/** What was dropped. Must be called before anything is awaited: the browser forgets the drop at once. */
export function dropped(transfer: DataTransfer): Promise<Chosen[]> {
  const items = [...transfer.items].filter(({ kind }) => kind === "file");
  const found = items.map((item) => ({ file: item.getAsFile(), handle: handleOf(item) }));
  return Promise.all(found.map(async ({ file, handle }) => ({ file, handle: await handle }))).then((all) =>
    all.flatMap(({ file, handle }) => (file ? [{ file, handle }] : [])),
  );
}

async function handleOf(item: DataTransferItem): Promise<FileSystemFileHandle | null> {
  try {
    const handle = await (item as unknown as { getAsFileSystemHandle?(): Promise<FileSystemHandle | null> }).getAsFileSystemHandle?.();
    return handle?.kind === "file" ? (handle as FileSystemFileHandle) : null;
  } catch {
    return null;
  }
}
