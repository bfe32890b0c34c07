// The typed client of the HTTP contract (design/http-api.md). Who asks travels only in the HttpOnly cookie that the server set: no token is
// ever seen or kept here. Every call has a deadline; every failure is a Problem.
import { asProblem, Problem, problemOf } from "./problem";
import type { Comment, Danmaku, DanmakuMode, Deletion, LogPage, Page, Playback, Profile, Session, Sort, Upload, User, Video, Visibility } from "./types";

/** Calls move little data; what hasn't answered by then won't. */
const DEADLINE_MS = 20_000;

type Query = Record<string, string | number | boolean | null | undefined>;
export type Signal = AbortSignal | undefined;

/** Told when the server says that the session is over, so that the page can show it everywhere. */
let onSessionEnd: () => void = () => {};
export function whenSessionEnds(listener: () => void): void {
  onSessionEnd = listener;
}

/** `quiet`: that nobody is signed in is what was asked, and no news. */
async function call(method: string, path: string, body?: unknown, signal?: AbortSignal, quiet = false): Promise<Response> {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  const init: RequestInit = {
    method,
    credentials: "same-origin",
    cache: "no-store",
    headers: { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
    signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
  };
  if (body !== undefined) init.body = JSON.stringify(body);
  let answer: Response;
  try {
    answer = await fetch(path, init);
  } catch (thrown) {
    signal?.throwIfAborted();
    throw asProblem(thrown);
  }
  if (answer.ok) return answer;
  const text = await answer.text().catch(() => "");
  const problem = problemOf(answer.status, text, (name) => answer.headers.get(name));
  if (!quiet && problem.code === "unauthenticated" && path.startsWith("/api/")) onSessionEnd();
  throw problem;
}

async function json<T>(method: string, path: string, body?: unknown, signal?: AbortSignal, quiet = false): Promise<T> {
  const answer = await call(method, path, body, signal, quiet);
  try {
    return (await answer.json()) as T;
  } catch (thrown) {
    signal?.throwIfAborted();
    throw new Problem({ code: "broken", status: answer.status, detail: `${method} ${path.split("?")[0]}` });
  }
}

async function done(method: string, path: string, body?: unknown): Promise<void> {
  await call(method, path, body);
}

/** `path` with the parameters that have a value. */
export function withQuery(path: string, query: Query): string {
  const pairs = Object.entries(query).flatMap(([key, value]) =>
    value === undefined || value === null || value === "" ? [] : [[key, String(value)]],
  );
  return pairs.length === 0 ? path : `${path}?${new URLSearchParams(pairs)}`;
}

const v1 = (...parts: string[]) => `/api/v1/${parts.map(encodeURIComponent).join("/")}`;

// Accounts and sessions

export const register = (fields: { username: string; password: string; displayName?: string }) =>
  json<{ user: User }>("POST", v1("users"), { ...fields, platform: "web" });

export const signIn = (username: string, password: string) =>
  json<{ user: User }>("POST", v1("sessions"), { username, password, platform: "web" });

export const signOut = () => done("DELETE", v1("sessions", "current"));

export const listSessions = (cursor: string | null, signal: Signal) =>
  json<Page<Session>>("GET", withQuery(v1("sessions"), { cursor }), undefined, signal);

export const endSession = (id: string) => done("DELETE", v1("sessions", id));

/** The signed-in person, or null when nobody is. */
export async function whoAmI(): Promise<User | null> {
  try {
    return await json<User>("GET", v1("users", "me"), undefined, undefined, true);
  } catch (thrown) {
    if (thrown instanceof Problem && thrown.status === 401) return null;
    throw thrown;
  }
}

/** A `displayName` of null is the user name again. */
export const changeMe = (change: { displayName?: string | null; bio?: string; language?: string }) =>
  json<User>("PATCH", v1("users", "me"), change);

export const changePassword = (current: string, next: string) =>
  done("POST", v1("users", "me", "password"), { current, new: next });

export const deleteAccount = (password: string) => done("DELETE", v1("users", "me"), { password });

export const profile = (username: string, signal: Signal) =>
  json<Profile>("GET", v1("users", username), undefined, signal);

// Videos

export const createVideo = (fields: { title: string; description?: string; visibility?: Visibility }, signal: Signal) =>
  json<{ video: Video; upload: Upload }>("POST", v1("videos"), fields, signal);

/** A fresh grant to send the file of a video that waits for it. */
export const newGrant = (id: string, signal: Signal) => json<{ upload: Upload }>("POST", v1("videos", id, "upload"), undefined, signal);

export const listVideos = (query: { q?: string; author?: string; sort?: Sort }, cursor: string | null, signal: Signal) =>
  json<Page<Video>>("GET", withQuery(v1("videos"), { ...query, cursor }), undefined, signal);

export const listMine = (cursor: string | null, signal: Signal) =>
  json<Page<Video>>("GET", withQuery(v1("users", "me", "videos"), { cursor }), undefined, signal);

export const getVideo = (id: string, signal: Signal) => json<Video>("GET", v1("videos", id), undefined, signal);

export const editVideo = (id: string, change: { title?: string; description?: string; visibility?: Visibility }) =>
  json<Video>("PATCH", v1("videos", id), change);

/** Into the trash, from where `restoreVideo` brings it back until the purge begins. */
export const trashVideo = (id: string) => json<{ video: Video }>("DELETE", v1("videos", id));

/** For good, now. */
export const purgeVideo = (id: string) => done("DELETE", withQuery(v1("videos", id), { permanent: true }));

export const restoreVideo = (id: string) => json<{ video: Video }>("POST", v1("videos", id, "restore"));

export const getDeletion = (id: string, signal: Signal) =>
  json<Deletion>("GET", v1("videos", id, "deletion"), undefined, signal);

export const getPlayback = (id: string, signal: Signal) =>
  json<Playback>("GET", v1("videos", id, "playback"), undefined, signal);

/** Asks the media server about an address without its bytes: null when it would send them, else its refusal. */
export async function probeMedia(url: string, signal: Signal): Promise<Problem | null> {
  try {
    await call("HEAD", url, undefined, signal);
    return null;
  } catch (thrown) {
    if (thrown instanceof Problem) return thrown;
    throw thrown;
  }
}

// Comments

export const listComments = (videoId: string, cursor: string | null, signal: Signal) =>
  json<Page<Comment>>("GET", withQuery(v1("videos", videoId, "comments"), { cursor }), undefined, signal);

export const postComment = (videoId: string, text: string, parentId?: string) =>
  json<Comment>("POST", v1("videos", videoId, "comments"), parentId === undefined ? { text } : { text, parentId });

export const deleteComment = (id: string) => done("DELETE", v1("comments", id));

// Danmaku and the room's log

export const listDanmaku = (videoId: string, window: { fromMs: number; toMs: number }, cursor: string | null, signal: Signal) =>
  json<Page<Danmaku>>("GET", withQuery(v1("videos", videoId, "danmaku"), { ...window, cursor, limit: 500 }), undefined, signal);

export const sendDanmaku = (videoId: string, fields: { text: string; atMs: number; mode: DanmakuMode; color: string }) =>
  json<Danmaku>("POST", v1("videos", videoId, "danmaku"), fields);

export const deleteDanmaku = (id: string) => done("DELETE", v1("danmaku", id));

export const listEvents = (videoId: string, afterSeq: number, limit: number, signal: Signal) =>
  json<LogPage>("GET", withQuery(v1("videos", videoId, "events"), { afterSeq, limit }), undefined, signal);
