// The mock's /api/v1: one line per endpoint in the table at the end, each handler a function of (state, request) to an answer.
import { randomUUID } from "node:crypto";
import { iso, notFound, Refusal } from "./state.mjs";

const COOKIE = "sluice_session";
const WEEK_SECONDS = 7 * 86_400;

const needUser = (r) => {
  if (!r.user) throw new Refusal(401, "unauthenticated", "Please sign in.");
  return r.user;
};

function invalid(...errors) {
  const bad = errors.filter(Boolean);
  if (bad.length > 0) throw new Refusal(422, "invalid", "Some fields are not as they should be.", { errors: bad });
}

const text = (body, name, least, most) => {
  const value = body[name];
  const length = typeof value === "string" ? [...value.trim()].length : -1;
  if (value === undefined && least === 0) return null;
  return length >= least && length <= most ? null : { pointer: `/${name}`, detail: `${name} must have ${least} to ${most} characters.` };
};

function page(r, items, most = 100) {
  const limit = Math.min(Number(r.query.get("limit") ?? 20), most);
  const cursor = r.query.get("cursor");
  const start = cursor === null ? 0 : items.findIndex((item) => item.id === Buffer.from(cursor, "base64url").toString()) + 1;
  const part = items.slice(start, start + limit);
  const last = part.at(-1);
  const next = last && start + limit < items.length ? Buffer.from(last.id).toString("base64url") : null;
  return { status: 200, body: { items: part, next } };
}

const ownUser = ({ password, ...user }) => user;
const cookie = (value, seconds) => ({ "Set-Cookie": `${COOKIE}=${value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${seconds}` });

function entered(s, user, platform) {
  const { token, session } = s.openSession(user, platform);
  const body = { user: ownUser(user), session: { id: session.id, token, expiresAt: session.expiresAt } };
  return { status: 201, body, headers: cookie(token, WEEK_SECONDS) };
}

function register(s, r) {
  const { username = "", password = "", displayName } = r.body;
  invalid(
    /^[a-z][a-z0-9_-]{2,31}$/.test(username) ? null : { pointer: "/username", detail: "The user name has 3 to 32 of a-z 0-9 _ -, starting with a letter." },
    text(r.body, "password", 8, 128),
    password === "password1" ? { pointer: "/password", detail: "This password is among the commonest ones." } : null,
  );
  if (s.user(username)) throw new Refusal(409, "username_taken", "This user name is taken.");
  return entered(s, s.addUser(username, password, displayName), "web");
}

function signIn(s, r) {
  const user = s.user(r.body.username);
  if (!user || user.password !== r.body.password) throw new Refusal(401, "wrong_credentials", "User name or password is wrong.");
  return entered(s, user, r.body.platform);
}

function sessions(s, r) {
  const user = needUser(r);
  const own = [...s.sessions].filter(([, session]) => session.username === user.username);
  const items = own.map(([token, { username, ...session }]) => ({ ...session, current: token === r.token }));
  return page(r, items.reverse());
}

function endSession(s, r, id) {
  const user = needUser(r);
  for (const [token, session] of s.sessions) {
    if (session.username !== user.username || !(id === "current" ? token === r.token : session.id === id)) continue;
    s.endSession(token);
    return { status: 204, headers: token === r.token ? cookie("", 0) : {} };
  }
  throw notFound();
}

function changeMe(s, r) {
  const user = needUser(r);
  if (r.body.displayName === null) r.body.displayName = user.username;
  invalid(r.body.displayName === undefined ? null : text(r.body, "displayName", 1, 64), text(r.body, "bio", 0, 1000));
  for (const key of ["displayName", "bio", "language"]) if (r.body[key] !== undefined) user[key] = r.body[key];
  return { status: 200, body: ownUser(user) };
}

function changePassword(s, r) {
  const user = needUser(r);
  if (r.body.current !== user.password) throw new Refusal(401, "wrong_credentials", "The current password is wrong.");
  invalid(text(r.body, "new", 8, 128));
  user.password = r.body.new;
  for (const [token, session] of s.sessions) if (session.username === user.username && token !== r.token) s.endSession(token);
  return { status: 204 };
}

function deleteMe(s, r) {
  const user = needUser(r);
  if (r.body.password !== user.password) throw new Refusal(401, "wrong_credentials", "The password is wrong.");
  for (const [token, session] of s.sessions) if (session.username === user.username) s.endSession(token);
  for (const video of s.videos.values()) if (video.username === user.username) s.purge(video);
  s.users.delete(user.username);
  return { status: 202, body: {}, headers: cookie("", 0) };
}

function profile(s, r, username) {
  const user = s.user(username);
  if (!user) throw notFound();
  const videoCount = publicVideos(s).filter((video) => video.username === username).length;
  return { status: 200, body: { username, displayName: user.displayName, bio: user.bio, createdAt: user.createdAt, videoCount } };
}

const publicVideos = (s) => [...s.videos.values()].filter((video) => video.state === "ready" && video.visibility === "public");

function listVideos(s, r) {
  const q = (r.query.get("q") ?? "").toLowerCase();
  const author = r.query.get("author");
  const sort = r.query.get("sort") ?? "new";
  const found = publicVideos(s).filter((video) => (!author || video.username === author) && `${video.title} ${video.description}`.toLowerCase().includes(q));
  if (sort === "new") found.reverse();
  if (sort === "title") found.sort((a, b) => a.title.localeCompare(b.title));
  return page(r, found.map((video) => s.show(video)));
}

function createVideo(s, r) {
  const user = needUser(r);
  invalid(text(r.body, "title", 1, 200), text(r.body, "description", 0, 5000));
  const video = s.addVideo(user, r.body);
  return { status: 201, body: { video: s.show(video), upload: ticket(s, video, user) } };
}

function ticket(s, video, user) {
  const { grant, expiresAt } = s.grant("upload", video.id, user.username, s.options.uploadTtlMs);
  return { url: `/uploads/by-video/${video.id}`, grant, maxBytes: s.options.maxBytes, expiresAt };
}

function renewUpload(s, r, id) {
  const user = needUser(r);
  const video = s.ownVideo(id, user);
  if (video.state !== "awaiting_upload") throw new Refusal(409, "conflict", "This video does not wait for a file.");
  return { status: 200, body: { upload: ticket(s, video, user) } };
}

function editVideo(s, r, id) {
  const video = s.ownVideo(id, needUser(r));
  invalid(r.body.title === undefined ? null : text(r.body, "title", 1, 200), text(r.body, "description", 0, 5000));
  for (const key of Object.keys(r.body)) {
    if (!["title", "description", "visibility"].includes(key)) invalid({ pointer: `/${key}`, detail: "There is no such member." });
    video[key] = r.body[key];
  }
  if (r.body.visibility === "private") s.live?.append(id, "closed", { reason: "private" });
  else s.live?.append(id, "info", { title: video.title, visibility: video.visibility });
  return { status: 200, body: s.show(video) };
}

function deleteVideo(s, r, id) {
  const video = s.ownVideo(id, needUser(r));
  if (video.purged) throw notFound();
  if (r.query.get("permanent") === "true") s.purge(video);
  else if (video.state !== "purging") s.trash(video);
  return { status: 202, body: { video: s.show(video) } };
}

function restoreVideo(s, r, id) {
  const video = s.ownVideo(id, needUser(r));
  s.restore(video);
  return { status: 200, body: { video: s.show(video) } };
}

function deletion(s, r, id) {
  const video = s.ownVideo(id, needUser(r));
  if (!video.purgeAt) throw notFound();
  const state = video.purged ? "done" : video.state === "purging" ? "running" : "scheduled";
  return { status: 200, body: { state, purgeAt: video.purgeAt, ...(video.receipt ? { receipt: video.receipt } : {}) } };
}

function playback(s, r, id) {
  const video = s.visibleVideo(id, r.user);
  if (video.state !== "ready") throw new Refusal(409, "conflict", `The video can't be played; it is ${video.state}.`);
  const { grant, expiresAt } = s.grant("play", id, r.user?.username ?? null, s.options.playbackTtlMs);
  return { status: 200, body: { sources: [{ type: "file", url: `/media/${grant}/${id}/file`, mime: "video/mp4" }], poster: null, expiresAt } };
}

function comments(s, r, id) {
  s.visibleVideo(id, r.user);
  return page(r, s.comments.filter((comment) => comment.videoId === id).reverse().map((comment) => s.showComment(comment)));
}

function comment(s, r, id) {
  const user = needUser(r);
  s.visibleVideo(id, user);
  invalid(text(r.body, "text", 1, 2000));
  const parentId = r.body.parentId ?? null;
  if (parentId && !s.comments.some((c) => c.id === parentId && c.videoId === id)) invalid({ pointer: "/parentId", detail: "There is no such comment." });
  const made = { id: randomUUID(), videoId: id, username: user.username, text: r.body.text, parentId, createdAt: iso() };
  s.comments.push(made);
  s.live?.append(id, "comment", s.showComment(made));
  return { status: 201, body: s.showComment(made) };
}

function deleteComment(s, r, id) {
  const user = needUser(r);
  const found = s.comments.find((c) => c.id === id);
  if (!found || (found.username !== user.username && s.videos.get(found.videoId)?.username !== user.username)) throw notFound();
  s.comments = s.comments.filter((c) => c.id !== id);
  s.live?.revoke(found.videoId, "comment", id);
  return { status: 204 };
}

function danmaku(s, r, id) {
  s.visibleVideo(id, r.user);
  const from = Number(r.query.get("fromMs") ?? 0);
  const to = Number(r.query.get("toMs") ?? Infinity);
  const found = s.danmaku.filter((item) => item.videoId === id && item.atMs >= from && item.atMs < to).sort((a, b) => a.atMs - b.atMs);
  return page(r, found.map((item) => s.showDanmaku(item)), 500);
}

function postDanmaku(s, r, id) {
  const user = needUser(r);
  const video = s.visibleVideo(id, user);
  const fault = s.faults.find((candidate) => candidate.target === "danmaku" && candidate.times > 0);
  if (fault) {
    fault.times -= 1;
    throw new Refusal(fault.status, fault.code, fault.detail, { headers: fault.headers ?? {} });
  }
  const { atMs, mode = "scroll", color = "#ffffff" } = r.body;
  invalid(
    text(r.body, "text", 1, 100),
    Number.isInteger(atMs) && atMs >= 0 && atMs <= (video.durationMs ?? Infinity) ? null : { pointer: "/atMs", detail: "atMs must lie within the video." },
    ["scroll", "top", "bottom"].includes(mode) ? null : { pointer: "/mode", detail: "mode is scroll, top or bottom." },
    /^#[0-9a-f]{6}$/.test(color) ? null : { pointer: "/color", detail: "color is #rrggbb." },
  );
  const made = { id: randomUUID(), videoId: id, username: user.username, text: r.body.text, atMs, mode, color, createdAt: iso() };
  s.danmaku.push(made);
  s.live?.append(id, "danmaku", s.showDanmaku(made));
  return { status: 201, body: s.showDanmaku(made) };
}

function deleteDanmaku(s, r, id) {
  const user = needUser(r);
  const found = s.danmaku.find((item) => item.id === id);
  if (!found || (found.username !== user.username && s.videos.get(found.videoId)?.username !== user.username)) throw notFound();
  s.danmaku = s.danmaku.filter((item) => item.id !== id);
  s.live?.revoke(found.videoId, "danmaku", id);
  return { status: 204 };
}

function events(s, r, id) {
  s.visibleVideo(id, r.user);
  const after = Number(r.query.get("afterSeq") ?? 0);
  const limit = Math.min(Number(r.query.get("limit") ?? 100), 1000);
  const log = s.logs.get(id) ?? [];
  const missing = log.filter((entry) => entry.seq > after);
  const items = missing.slice(0, limit);
  return { status: 200, body: { items, next: items.length < missing.length ? items.at(-1).seq : null, seq: log.length } };
}

const me = (s, r) => ({ status: 200, body: ownUser(needUser(r)) });
const mine = (s, r) => page(r, [...s.videos.values()].filter((v) => v.username === needUser(r).username && !v.purged && (!r.query.get("state") || v.state === r.query.get("state"))).reverse().map((v) => s.show(v)));

const ROUTES = [
  ["POST", "/users", register], ["GET", "/users/me", me], ["PATCH", "/users/me", changeMe], ["DELETE", "/users/me", deleteMe],
  ["POST", "/users/me/password", changePassword], ["GET", "/users/me/videos", mine], ["GET", "/users/:id", profile],
  ["POST", "/sessions", signIn], ["GET", "/sessions", sessions], ["DELETE", "/sessions/:id", endSession],
  ["GET", "/videos", listVideos], ["POST", "/videos", createVideo],
  ["GET", "/videos/:id", (s, r, id) => ({ status: 200, body: s.show(s.visibleVideo(id, r.user)) })],
  ["POST", "/videos/:id/upload", renewUpload], ["PATCH", "/videos/:id", editVideo], ["DELETE", "/videos/:id", deleteVideo], ["POST", "/videos/:id/restore", restoreVideo],
  ["GET", "/videos/:id/deletion", deletion], ["GET", "/videos/:id/playback", playback],
  ["GET", "/videos/:id/comments", comments], ["POST", "/videos/:id/comments", comment], ["DELETE", "/comments/:id", deleteComment],
  ["GET", "/videos/:id/danmaku", danmaku], ["POST", "/videos/:id/danmaku", postDanmaku], ["DELETE", "/danmaku/:id", deleteDanmaku],
  ["GET", "/videos/:id/events", events],
].map(([method, path, handle]) => ({ method, pattern: new RegExp(`^/api/v1${path.replace(":id", "([^/]+)")}$`), handle }));

/** The answer `{status, body?, headers?}` of an API request, or a thrown Refusal. */
export function api(state, request) {
  const fits = ROUTES.filter((route) => route.pattern.test(request.path));
  if (fits.length === 0) throw notFound();
  const route = fits.find((candidate) => candidate.method === request.method);
  if (!route) throw new Refusal(405, "method_not_allowed", "Not with this method.", { headers: { Allow: fits.map((fit) => fit.method).join(", ") } });
  const id = route.pattern.exec(request.path)[1];
  return route.handle(state, request, id === undefined ? id : decodeURIComponent(id));
}
