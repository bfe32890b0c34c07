// The built client in Node against a running Sluice: node tests/against.mjs BASE_URL VIDEO_FILE. Two people, a room, a wire that is cut, an upload,
// a trash, a sign-out on another device. Exit code 0 only when all of it held.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { WebSocket } from "ws";
import { FUNCTIONS, PLATFORM, SluiceClient } from "../dist/index.js";
import { openWire } from "../mock/wire.mjs";

const [base, file] = process.argv.slice(2);
if (!base || !file) {
  console.error("usage: node tests/against.mjs BASE_URL VIDEO_FILE");
  process.exit(2);
}
/** No wait may take longer, and all of it neither. */
const MOST_MS = 30_000;
const TOTAL_MS = 150_000;
const PASSWORD = "words that nobody guesses";
const bytes = readFileSync(file);
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

async function until(what, holds) {
  const end = Date.now() + MOST_MS;
  while (!holds()) {
    assert.ok(Date.now() < end, `${what}: not within ${MOST_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function http(method, path, { token, body } = {}) {
  const headers = { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...(body ? { "Content-Type": "application/json" } : {}) };
  const answer = await fetch(new URL(path, base), { method, headers, ...(body ? { body: JSON.stringify(body) } : {}), signal: AbortSignal.timeout(MOST_MS) });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text === "" ? null : JSON.parse(text);
}

/** Sends the file in pieces, so that there is progress to be told. */
async function upload({ url, grant }, pieces, pauseMs) {
  const size = Math.ceil(bytes.length / pieces);
  async function* body() {
    for (let at = 0; at < bytes.length; at += size) {
      yield bytes.subarray(at, at + size);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
  const answer = await fetch(new URL(url, base), { method: "PUT", headers: { Authorization: `Bearer ${grant}`, "Content-Length": String(bytes.length) }, body: body(), duplex: "half", signal: AbortSignal.timeout(MOST_MS) });
  assert.ok(answer.ok, `upload: ${answer.status} ${await answer.text()}`);
}

async function person(name, platform) {
  const username = `${name}${Date.now().toString(36)}`;
  const { session } = await http("POST", "/api/v1/users", { body: { username, password: PASSWORD, displayName: name, platform } });
  return { username, token: session.token };
}

function open({ username, token }, options = {}) {
  const client = new SluiceClient({ url: new URL("/ws", base), sendID: username, token, platformID: PLATFORM.linux, WebSocket, ...options });
  const seen = { seqs: [], kinds: [], events: [], states: [], counts: [] };
  client.on("entry", ({ seq, kind }) => (seen.seqs.push(seq), seen.kinds.push(kind)));
  client.on("state", ({ name }) => seen.states.at(-1) !== name && seen.states.push(name));
  client.on("OnRoomMemberCount", ({ count }) => seen.counts.push(count));
  for (const event of ["OnUploadProgress", "OnVideoReady", "OnVideoTrashed", "OnVideoRestored", "OnKickedOffline", "OnSelfInfoUpdated"]) {
    client.on(event, (data) => seen.events.push([event, data]));
  }
  for (const event of ["roomGap", "roomReset", "other"]) client.on(event, (data) => assert.fail(`${event}: ${JSON.stringify(data)}`));
  return { client, seen };
}

const total = setTimeout(() => {
  console.error(`not done within ${TOTAL_MS} ms`);
  process.exit(1);
}, TOTAL_MS);

// People, and the functions.
const ann = await person("ann", "node");
const bob = await person("bob", "node");
const owner = open(ann);
const info = await owner.client.connect();
assert.equal(info.username, ann.username);
await assert.rejects(owner.client.call("ListVideos"), { errCode: 1003 });
await owner.client.login();
const { functions } = await owner.client.call("ListFunctions");
assert.deepEqual(functions.map(({ name }) => name).sort(), Object.keys(FUNCTIONS).sort());
for (const { name, login, deadlineMs } of functions) assert.deepEqual(FUNCTIONS[name], { login, deadlineMs }, name);
assert.equal((await owner.client.call("GetSelfUserInfo")).username, ann.username);
await owner.client.call("SetSelfInfo", { displayName: "Ann of Node" });
await until("the owner hears of her new name", () => owner.seen.events.some(([event, data]) => event === "OnSelfInfoUpdated" && data.displayName === "Ann of Node"));
await assert.rejects(owner.client.call("GetVideo", { videoID: "000000000000" }), { code: "refused", errCode: 2004 });
console.log("ok   functions");

// An upload, seen by the owner.
const { video, upload: ticket } = await owner.client.call("CreateVideo", { title: "From Node" });
await upload(ticket, 8, 150);
const told = (name) => owner.seen.events.filter(([event, data]) => event === name && data.videoID === video.id).map(([, data]) => data);
await until("the owner hears that it is ready", () => told("OnVideoReady").length === 1);
const progress = told("OnUploadProgress").map(({ receivedBytes }) => receivedBytes);
assert.ok(progress.length >= 2 && progress.every((value, index) => value > 0 && value <= bytes.length && value >= (progress[index - 1] ?? 0)), `progress: ${progress}`);
console.log(`ok   an upload (${progress.length} times progress)`);

// A room: both see the same, once and in order. Batched or not makes no difference.
const wire = await openWire(base);
const viewer = open(bob, { url: new URL("/ws", wire.base), batch: true, random: () => 0.3 });
await viewer.client.connect();
await viewer.client.joinRoom(video.id, { afterSeq: 0 });
await owner.client.joinRoom(video.id, { afterSeq: 0 });
await until("two are counted", () => viewer.seen.counts.at(-1) === 2);
const say = (text) => owner.client.call("SendDanmaku", { videoID: video.id, text, atMs: 0, color: "#ff8800" });
const sent = await Promise.all(range(1, 12).map((number) => say(`danmaku ${number}`)));
assert.equal(new Set(sent.map(({ id }) => id)).size, 12);
const comment = await viewer.client.call("PostComment", { videoID: video.id, text: "From Bob" });
await owner.client.call("DeleteComment", { commentID: comment.id });
await until("both have all", () => [owner, viewer].every(({ seen }) => seen.seqs.length >= 14));
for (const { seen } of [owner, viewer]) {
  assert.deepEqual(seen.seqs, range(1, 14));
  assert.deepEqual(seen.kinds, [...Array(12).fill("danmaku"), "comment", "revoked"]);
}
console.log("ok   a room");

// The viewer is cut off while the owner goes on.
const call = viewer.client.call("GetVideo", { videoID: video.id }).catch((error) => error);
await call;
wire.cut();
await until("the viewer notices", () => viewer.client.state.name !== "online");
for (const number of range(1, 5)) await say(`while away ${number}`);
assert.equal(viewer.seen.seqs.length, 14);
wire.mend();
await until("the viewer has caught up", () => viewer.seen.seqs.length >= 19);
await say("after");
await until("and goes on", () => viewer.seen.seqs.length >= 20);
assert.deepEqual(viewer.seen.seqs, range(1, 20));
assert.deepEqual(owner.seen.seqs, range(1, 20));
console.log("ok   a cut");

// Somebody who comes late gets the whole log.
const late = open(bob, { platformID: PLATFORM.ipad, batch: true });
await late.client.connect();
assert.equal((await late.client.joinRoom(video.id, { afterSeq: 0 })).seq, 20);
assert.deepEqual(late.seen.seqs, range(1, 20));
late.client.close();

// Trash and back.
await owner.client.call("DeleteVideo", { videoID: video.id });
await until("the room closes", () => viewer.seen.kinds.at(-1) === "closed" && viewer.client.rooms.length === 0);
await assert.rejects(viewer.client.joinRoom(video.id), { code: "refused", errCode: 2004 });
await owner.client.call("RestoreVideo", { videoID: video.id });
await until("the owner hears of both", () => told("OnVideoTrashed").length === 1 && told("OnVideoRestored").length === 1);
const back = await viewer.client.joinRoom(video.id, { afterSeq: viewer.seen.seqs.at(-1) });
await until("the room goes on where it was", () => viewer.seen.seqs.at(-1) === back.seq);
assert.deepEqual(viewer.seen.seqs, range(1, viewer.seen.seqs.length));
console.log("ok   trash and back");

// Bob signs out on another device: this one's session is not that one's. Then this one's is ended.
const other = await http("POST", "/api/v1/sessions", { body: { username: bob.username, password: PASSWORD, platform: "elsewhere" } });
const { items } = await http("GET", "/api/v1/sessions", { token: other.session.token });
const here = items.find(({ current, platform }) => !current && platform !== "elsewhere");
await http("DELETE", `/api/v1/sessions/${here.id}`, { token: other.session.token });
await until("the viewer is signed out", () => viewer.client.state.name === "signed_out");
assert.ok(viewer.seen.events.some(([event, { reason }]) => event === "OnKickedOffline" && reason === "signed_out"));
const again = open(bob);
void again.client.connect().catch(() => {});
await until("a dead token gets nowhere", () => again.client.state.attempt >= 2);
again.client.close();
await owner.client.logout({ session: true });
assert.equal(owner.client.state.name, "signed_out");
console.log("ok   signed out");

owner.client.close();
viewer.client.close();
wire.close();
clearTimeout(total);
