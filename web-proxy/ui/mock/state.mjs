// What the mock server remembers, all in memory. It exists so that the page can be developed without the Rust services; it follows
// design/http-api.md and invents nothing: a video plays because its bytes were sent, a receipt counts what was really dropped.
import { randomBytes, randomUUID } from "node:crypto";

const CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz";

export const newVideoId = () => [...randomBytes(12)].map((byte) => CROCKFORD[byte % 32]).join("");
export const iso = (ms = Date.now()) => new Date(ms).toISOString();

/** A refusal in the contract's words; the server turns it into problem+json. */
export class Refusal extends Error {
  constructor(status, code, detail, extra = {}) {
    super(detail);
    Object.assign(this, { status, code, detail, ...extra });
  }
}

export const notFound = () => new Refusal(404, "not_found", "There is no such thing here.");

export class State {
  users = new Map(); // username -> user with its password
  sessions = new Map(); // token -> session
  videos = new Map(); // id -> video with its file
  comments = []; // oldest first
  danmaku = []; // in the order they were sent
  logs = new Map(); // videoID -> the room's entries
  live = null; // tells rooms and owners; set by the server
  uploads = new Map(); // id -> an upload that is not finished
  grants = new Map(); // grant -> { kind, videoId, username, expires }
  faults = []; // what tests asked to go wrong

  constructor(options) {
    this.options = options;
  }

  user(username) {
    return this.users.get(username);
  }

  addUser(username, password, displayName) {
    const user = { id: randomUUID(), username, password, displayName: displayName || username, bio: "", language: "en", role: "user", createdAt: iso() };
    this.users.set(username, user);
    return user;
  }

  openSession(user, platform) {
    const token = randomBytes(32).toString("hex");
    const session = { id: randomUUID(), username: user.username, platform: platform ?? null, createdAt: iso(), lastSeenAt: iso(), expiresAt: iso(Date.now() + 30 * 86_400_000) };
    this.sessions.set(token, session);
    return { token, session };
  }

  grant(kind, videoId, username, ttlMs) {
    const grant = randomBytes(24).toString("base64url");
    const expires = Date.now() + ttlMs;
    this.grants.set(grant, { kind, videoId, username, expires });
    return { grant, expiresAt: iso(expires) };
  }

  /** The grant's facts when it is good for this (of whichever video, when none is named), else a refusal. */
  checkGrant(grant, kind, videoId) {
    const facts = this.grants.get(grant);
    if (!facts || facts.kind !== kind || (videoId !== undefined && facts.videoId !== videoId)) throw new Refusal(401, "unauthenticated", "This grant is not good for that.");
    if (facts.expires < Date.now()) throw new Refusal(401, "unauthenticated", "This grant has expired.");
    return facts;
  }

  addVideo(user, fields) {
    const video = {
      id: newVideoId(), title: fields.title, description: fields.description ?? "", visibility: fields.visibility ?? "public",
      state: "awaiting_upload", failure: null, username: user.username, sizeBytes: null, durationMs: null, width: null, height: null,
      codecs: [], createdAt: iso(), readyAt: null, purgeAt: null, file: null, receipt: null, purged: false,
    };
    this.videos.set(video.id, video);
    return video;
  }

  /** The video when `user` may see it at all; what isn't theirs doesn't exist. */
  visibleVideo(id, user) {
    const video = this.videos.get(id);
    if (!video || video.purged) throw notFound();
    const own = user?.username === video.username;
    if (!own && (video.visibility === "private" || video.state !== "ready")) throw notFound();
    return video;
  }

  ownVideo(id, user) {
    const video = this.videos.get(id);
    if (!video || video.username !== user.username) throw notFound();
    return video;
  }

  show(video) {
    const { file, receipt, purged, username, ...rest } = video;
    const author = this.users.get(username);
    const commentCount = this.comments.filter((comment) => comment.videoId === video.id).length;
    return { ...rest, author: { username, displayName: author?.displayName ?? username }, commentCount };
  }

  showComment({ id, videoId, text, parentId, username, createdAt }) {
    return { id, videoId, text, parentId, author: { username, displayName: this.users.get(username)?.displayName ?? username }, createdAt };
  }

  showDanmaku({ id, text, atMs, mode, color, username, createdAt }) {
    return { id, text, atMs, mode, color, author: { username, displayName: this.users.get(username)?.displayName ?? username }, createdAt };
  }

  endSession(token) {
    this.sessions.delete(token);
    this.live?.kick(token);
  }

  store(video, bytes) {
    const found = inspect(bytes);
    if (!found) {
      const start = JSON.stringify(bytes.subarray(0, 12).toString("latin1"));
      throw new Refusal(415, "unsupported_media", `This is not a video that can be played: the file starts with ${start}.`);
    }
    Object.assign(video, found, { file: bytes, sizeBytes: bytes.length, state: "processing" });
    setTimeout(() => {
      if (video.state !== "processing") return;
      Object.assign(video, { state: "ready", readyAt: iso() });
      this.live?.toOwner(video, "OnVideoReady");
    }, this.options.processingMs);
  }

  trash(video) {
    Object.assign(video, { before: video.before ?? video.state, state: "trashed", purgeAt: iso(Date.now() + 7 * 86_400_000) });
    this.live?.append(video.id, "closed", { reason: "trashed" });
    this.live?.toOwner(video, "OnVideoTrashed");
  }

  restore(video) {
    if (video.state !== "trashed") throw new Refusal(409, "conflict", "The purge has begun; this video can't be restored any more.");
    Object.assign(video, { state: video.before ?? "ready", before: undefined, purgeAt: null });
    this.live?.append(video.id, "info", { title: video.title, visibility: video.visibility });
    this.live?.toOwner(video, "OnVideoRestored");
  }

  purge(video) {
    if (video.state === "purging") return;
    Object.assign(video, { state: "purging", purgeAt: iso() });
    this.live?.append(video.id, "closed", { reason: "purged" });
    setTimeout(() => {
      const bytes = video.file?.length ?? 0;
      Object.assign(video, { receipt: { objects: video.file ? 1 : 0, bytes, finishedAt: iso() }, file: null, purged: true });
      this.comments = this.comments.filter((comment) => comment.videoId !== video.id);
      this.danmaku = this.danmaku.filter((item) => item.videoId !== video.id);
      this.live?.toOwner(video, "OnVideoPurged");
    }, this.options.purgeMs);
  }
}

/** Length and picture size of an MP4, from its mvhd and tkhd boxes (ISO/IEC 14496-12, 8.2.2 and 8.3.2); null when it isn't one. */
export function inspect(bytes) {
  if (bytes.length < 16 || bytes.toString("latin1", 4, 8) !== "ftyp") return null;
  const mvhd = bytes.indexOf("mvhd");
  if (mvhd < 0) return null;
  const long = bytes[mvhd + 4] === 1;
  const scale = bytes.readUInt32BE(mvhd + (long ? 24 : 16));
  const units = long ? Number(bytes.readBigUInt64BE(mvhd + 28)) : bytes.readUInt32BE(mvhd + 20);
  const facts = { durationMs: Math.round((units / scale) * 1000), width: null, height: null, codecs: ["avc1", "mp4a"].filter((name) => bytes.includes(name)) };
  for (let at = bytes.indexOf("tkhd"); at >= 0; at = bytes.indexOf("tkhd", at + 4)) {
    const end = at + (bytes[at + 4] === 1 ? 92 : 80);
    const width = bytes.readUInt16BE(end);
    if (width > 0) Object.assign(facts, { width, height: bytes.readUInt16BE(end + 4) });
  }
  return facts;
}
