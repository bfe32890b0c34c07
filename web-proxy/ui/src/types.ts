// The shapes of the HTTP contract (design/http-api.md), as the page sees them. Times are RFC 3339 UTC, sizes bytes, durations milliseconds.

import type { Entry } from "@sluice/gateway";

export type Visibility = "public" | "unlisted" | "private";
export type VideoState = "awaiting_upload" | "processing" | "ready" | "failed" | "trashed" | "purging";
export type Sort = "new" | "old" | "title";

export interface Author {
  username: string;
  displayName: string;
}

/** The signed-in person, as `GET /api/v1/users/me` answers. */
export interface User extends Author {
  bio?: string | null;
  language?: string | null;
  createdAt: string;
}

export interface Profile extends Author {
  bio: string | null;
  createdAt: string;
  videoCount: number;
}

export interface Session {
  id: string;
  platform?: string | null;
  createdAt?: string | null;
  lastSeenAt?: string | null;
  expiresAt: string;
  current?: boolean;
}

export interface Video {
  id: string;
  title: string;
  description: string | null;
  visibility: Visibility;
  state: VideoState;
  failure?: string | null;
  author: Author;
  sizeBytes: number | null;
  durationMs: number | null;
  width: number | null;
  height: number | null;
  codecs: string[];
  createdAt: string;
  readyAt: string | null;
  purgeAt?: string | null;
  commentCount: number;
}

export interface Upload {
  url: string;
  grant: string;
  maxBytes: number;
  expiresAt: string;
}

export interface Source {
  type: "file" | "hls" | "dash";
  url: string;
  mime: string;
}

export interface Playback {
  sources: Source[];
  poster: string | null;
  expiresAt: string;
}

export interface Comment {
  id: string;
  text: string;
  parentId: string | null;
  author: Author;
  createdAt: string;
}

export type DanmakuMode = "scroll" | "top" | "bottom";

export interface Danmaku {
  id: string;
  text: string;
  /** The moment of the video. */
  atMs: number;
  mode: DanmakuMode;
  /** `#rrggbb` */
  color: string;
  author: Author;
  createdAt: string;
}

/** A page of a room's log, ascending. `next` goes into the next `afterSeq`; `seq` is the room's newest. */
export interface LogPage {
  items: Entry[];
  next: number | null;
  seq: number;
}

export interface Receipt {
  objects: number;
  bytes: number;
  finishedAt: string;
}

export interface Deletion {
  state: "scheduled" | "running" | "done";
  purgeAt: string | null;
  receipt?: Receipt | null;
}

export interface Page<T> {
  items: T[];
  next: string | null;
}
