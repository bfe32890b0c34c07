// How far uploads are, as the server tells. Pure.

export interface Progress {
  receivedBytes: number;
  totalBytes: number | null;
}

/** By video id. */
export type Uploads = ReadonlyMap<string, Progress>;

/** More uploads at once than anybody has. */
const MOST = 50;

export function withProgress(uploads: Uploads, videoID: string, progress: Progress): Uploads {
  const before = uploads.get(videoID);
  if (before && before.receivedBytes > progress.receivedBytes && before.totalBytes === progress.totalBytes && progress.receivedBytes > 0) return uploads; // overtaken
  const next = new Map(uploads);
  next.delete(videoID);
  next.set(videoID, progress);
  const oldest = next.size > MOST ? next.keys().next().value : undefined;
  if (oldest !== undefined) next.delete(oldest);
  return next;
}

export function without(uploads: Uploads, videoID: string): Uploads {
  if (!uploads.has(videoID)) return uploads;
  const next = new Map(uploads);
  next.delete(videoID);
  return next;
}

/** Percent, or null while the size isn't known. */
export function shareOfUpload({ receivedBytes, totalBytes }: Progress): number | null {
  if (totalBytes === null || totalBytes <= 0) return null;
  return Math.min(Math.floor((receivedBytes / totalBytes) * 100), 100);
}
