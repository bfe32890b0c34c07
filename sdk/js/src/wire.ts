// The frames as they travel (gateway.md), and the shapes of what the gateway pushes. What a function takes and answers is generated: functions.ts.

export interface Request {
  reqFuncName: string;
  operationID: string;
  data: unknown;
  batchMsg?: 1;
}

/** A reply (bears the operationID of the request) or an event (bears that of what caused it). */
export interface Frame {
  event: string;
  errCode: number;
  errMsg: string;
  data: unknown;
  operationID: string;
}

/** The frame of a text message, or null when it isn't one. */
export function parseFrame(text: unknown): Frame | null {
  if (typeof text !== "string") return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { event, errCode, errMsg, data, operationID } = value as Record<string, unknown>;
  if (typeof event !== "string" || typeof errCode !== "number") return null;
  return { event, errCode, errMsg: typeof errMsg === "string" ? errMsg : "", data: opened(data), operationID: typeof operationID === "string" ? operationID : "" };
}

/** Data comes in the form the client used. This client uses objects; before its first request a gateway may still send JSON in a string. */
function opened(data: unknown): unknown {
  if (typeof data !== "string" || !/^\s*[[{]/.test(data)) return data;
  try {
    return JSON.parse(data);
  } catch {
    return data;
  }
}

// Platforms of the handshake

export const PLATFORM = { ios: 1, android: 2, windows: 3, osx: 4, web: 5, miniWeb: 6, linux: 7, androidPad: 8, ipad: 9 } as const;

// Rooms

export interface Author {
  username: string;
  displayName: string;
}

export interface DanmakuData {
  id: string;
  text: string;
  /** The moment of the video, in milliseconds. */
  atMs: number;
  mode: "scroll" | "top" | "bottom";
  /** `#rrggbb` */
  color: string;
  author: Author;
  createdAt: string;
}

export interface CommentData {
  id: string;
  text: string;
  parentId: string | null;
  author: Author;
  createdAt: string;
}

export interface RevokedData {
  id: string;
  kind: "comment" | "danmaku";
  /** The entry that is taken back. */
  seq: number;
}

export interface InfoData {
  title: string;
  visibility: "public" | "unlisted" | "private";
}

export interface ClosedData {
  reason: "trashed" | "private" | "purged";
}

export interface EntryData {
  /** null: it was taken back since. Its seq stays. */
  danmaku: DanmakuData | null;
  comment: CommentData | null;
  revoked: RevokedData;
  info: InfoData;
  closed: ClosedData;
}

export type EntryKind = keyof EntryData;

/** One entry of a room's log. `seq` is dense: 1, 2, 3 … */
export interface EntryOf<K extends EntryKind> {
  videoID: string;
  seq: number;
  kind: K;
  at: string;
  operationID: string | null;
  data: EntryData[K];
}

export type Entry = { [K in EntryKind]: EntryOf<K> }[EntryKind];

export interface RoomSnapshot {
  videoID: string;
  /** The newest seq of the room. */
  seq: number;
  events: Entry[];
  /** false: there is more; ask again after the last one. */
  complete: boolean;
  memberCount: number;
}

// Events

export interface Limits {
  maxFrameBytes: number;
  callsPerSecond: number;
  callBurst: number;
  maxCallsInFlight: number;
  maxRooms: number;
}

export interface ConnectSuccess {
  userID: string;
  username: string;
  platformID: number;
  pingIntervalMs: number;
  deadAfterMs: number;
  limits: Limits;
  serverTime: string;
}

export interface RoomCount {
  videoID: string;
  count: number;
  seq: number;
}

export interface UploadProgress {
  videoID: string;
  receivedBytes: number;
  totalBytes: number | null;
}

export interface VideoRef {
  videoID: string;
}

/** The events that carry one entry of a room, by the kind of the entry. */
export const EVENT_OF_KIND = {
  danmaku: "OnRecvDanmaku",
  comment: "OnRecvComment",
  revoked: "OnMessageRevoked",
  info: "OnRoomInfoChanged",
  closed: "OnRoomClosed",
} as const satisfies Record<EntryKind, string>;

/** `OnRoomEntry`: of a kind that the server does not know either. */
const ENTRY_EVENTS: ReadonlySet<string> = new Set([...Object.values(EVENT_OF_KIND), "OnRoomEntry"]);

/** Whether this version knows the kind. An entry of another one has its place in the order all the same. */
export function isKnown(entry: Entry): boolean {
  return Object.hasOwn(EVENT_OF_KIND, entry.kind);
}

/** The room entries that an event carries; null when it carries none. */
export function entriesOf(frame: Frame): Entry[] | null {
  const listed = frame.event === "OnRecvNewMessages" ? frame.data : ENTRY_EVENTS.has(frame.event) ? [frame.data] : null;
  return Array.isArray(listed) ? listed.filter(isEntry) : null;
}

export function isEntry(value: unknown): value is Entry {
  if (typeof value !== "object" || value === null) return false;
  const { videoID, seq, kind } = value as Record<string, unknown>;
  return typeof videoID === "string" && Number.isSafeInteger(seq) && typeof kind === "string";
}
