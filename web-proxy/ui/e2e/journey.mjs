// The main journey as a person makes it, in a real browser against any running Sluice:
//   node e2e/journey.mjs http://127.0.0.1:8080 --media ../../../shared/media [--file NAME.mp4] [--shots DIR] [--chromium PATH]
// register, upload with progress, play, seek, comment, delete, undo, delete for good, receipt; and what the gateway brings: a second viewer, danmaku,
// comments as they are written, a wire that is cut, another tab, another device. Exit code 0 only when all of it worked and no page ever complained.
import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { check, openBrowser, run, STEP_MS, until } from "./browser.mjs";
import * as live from "./live.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    media: { type: "string" },
    file: { type: "string", default: "real-mix-1080p30-faststart.mp4" },
    shots: { type: "string" },
    chromium: { type: "string", default: "/usr/bin/chromium" },
  },
});
const base = positionals[0];
if (!base || !values.media) {
  console.error("usage: node e2e/journey.mjs BASE_URL --media DIR [--file NAME] [--shots DIR] [--chromium PATH]");
  process.exit(2);
}
const file = [join(values.media, "ordinary", values.file), join(values.media, values.file)].map((path) => resolve(path)).find(existsSync);
if (!file) {
  console.error(`There is no ${values.file} in ${values.media} or its folder "ordinary".`);
  process.exit(2);
}

const TOTAL_MS = 300_000;
/** Slow enough to see progress between nothing and everything, in bytes per second. */
const UPLOAD_RATE = Math.max(statSync(file).size / 3, 100_000);
const size = statSync(file).size;
const username = `j${Date.now().toString(36)}${Math.random().toString(36).slice(2, 6)}`;
const password = `long words ${Math.random().toString(36).slice(2)}`;
const comment = `Nice <b>one</b> & "more" 视频 ${username}`;
const title = `Journey ${username}`;
let videoId;

const by = (page, id) => page.getByTestId(id);
const player = (page, read) => by(page, "player").evaluate(read);

async function register({ page, shot }) {
  await page.goto("/");
  await by(page, "nav-register").click();
  await by(page, "register-username").fill(username);
  await by(page, "register-display-name").fill("Jo Journey");
  await by(page, "register-password").fill(password);
  await shot("register");
  await by(page, "register-submit").click();
  await by(page, "nav-menu").waitFor();
  const kept = await page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }]));
  check(!/[0-9a-zA-Z_-]{24,}/.test(kept), `the page can read something like a token: ${kept}`);
}

async function signOutAndIn({ page, shot }) {
  await by(page, "nav-menu").click();
  await by(page, "nav-signout").click();
  await by(page, "nav-signin").click();
  await by(page, "signin-username").fill(username);
  await by(page, "signin-password").fill(password);
  await shot("signin");
  await by(page, "signin-submit").click();
  await by(page, "nav-menu").waitFor();
}

async function upload({ page, context, shot, tab }) {
  await by(page, "nav-upload").click();
  await by(page, "upload-input").setInputFiles(file);
  await by(page, "video-title").fill(title);
  await by(page, "video-description").fill("A journey.\nOn two lines, with <i>no</i> markup.");
  await shot("upload-form");
  const wire = await context.newCDPSession(page);
  await wire.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: UPLOAD_RATE });
  await page.evaluate(() => {
    globalThis.seenProgress = [];
    const look = () => {
      const bar = document.querySelector('[data-testid="upload-progress"]');
      if (bar?.hasAttribute("value") && globalThis.seenProgress.at(-1) !== bar.value) globalThis.seenProgress.push(bar.value);
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  });
  await by(page, "upload-submit").click();
  await until("progress passes 30 %", () => page.evaluate(() => globalThis.seenProgress.some((value) => value >= 30)));
  await shot("upload-progress");
  await shot("upload-elsewhere", tab.page);
  const ready = by(page, "upload-ready");
  await Promise.race([ready.waitFor({ timeout: 90_000 }), by(page, "upload-problem").waitFor({ timeout: 90_000 })]);
  check(await ready.isVisible(), `the upload failed: ${await by(page, "upload-state").innerText()}`);
  await wire.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  await wire.detach();
  const seen = await page.evaluate(() => globalThis.seenProgress);
  check(seen.filter((value) => value > 0 && value < 100).length >= 3, `the progress bar hardly moved: ${seen}`);
  check(seen.every((value, index) => index === 0 || value >= seen[index - 1]), `the progress bar went back: ${seen}`);
  await shot("upload-ready");
}

async function plays({ page, shot }) {
  await by(page, "upload-watch").click();
  await page.waitForURL(/\/v\/[0-9a-z]{12}$/);
  videoId = page.url().split("/").at(-1);
  check((await by(page, "watch-title").innerText()) === title, "the title is not what was typed");
  await by(page, "player").waitFor();
  await until("the video knows its length", () => player(page, (video) => video.readyState >= 1 && video.duration > 0));
  await player(page, (video) => {
    video.muted = true; // a machine without a sound device plays in real time all the same
    return video.play();
  });
  const start = await player(page, (video) => video.currentTime);
  await until("currentTime advances by a second", async () => (await player(page, (video) => video.currentTime)) > start + 1);
  const frames = await player(page, (video) => video.getVideoPlaybackQuality().totalVideoFrames);
  check(frames > 10, `only ${frames} frames were shown`);
}

async function seeks({ page, shot }) {
  const target = await player(page, (video) => {
    const to = video.duration * 0.7;
    video.currentTime = to;
    return to;
  });
  await until("the video plays on from the place sought", () =>
    page.evaluate((to) => {
      const video = document.querySelector('[data-testid="player"]');
      return !video.seeking && video.currentTime > to + 0.3 && video.currentTime < to + 20;
    }, target),
  );
  // Real pictures: a frame of this file has many different values, an undecoded one is all black.
  const values = await player(page, (video) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 36 });
    const pen = canvas.getContext("2d");
    pen.drawImage(video, 0, 0, 64, 36);
    return new Set(pen.getImageData(0, 0, 64, 36).data).size;
  });
  check(values > 16, `the picture has only ${values} different values: nothing is drawn`);
  await shot("plays");
  await player(page, (video) => {
    video.currentTime = 0.5;
  });
  await until("seeking back works", () => player(page, (video) => !video.seeking && video.currentTime >= 0.5 && video.currentTime < 10));
  await player(page, (video) => video.pause());
}

async function edits({ page }) {
  await by(page, "edit").click();
  await by(page, "video-title").fill(`${title} (edited)`);
  await by(page, "edit-save").click();
  await until("the new title is shown", async () => (await by(page, "watch-title").innerText()) === `${title} (edited)`);
  await page.reload();
  await until("the new title is kept", async () => (await by(page, "watch-title").innerText()) === `${title} (edited)`);
}

async function comments({ page, shot }) {
  await by(page, "comment-input").fill(comment);
  await by(page, "comment-post").click();
  const posted = by(page, "comment").filter({ hasText: username });
  await posted.waitFor();
  check((await posted.getByTestId("comment-text").innerText()) === comment, "the comment is not shown as it was written");
  await posted.getByTestId("comment-reply").click();
  await by(page, "reply-input").fill("And a reply.");
  await by(page, "reply-post").click();
  await by(page, "reply").filter({ hasText: "And a reply." }).waitFor();
  await page.reload();
  await by(page, "comment").filter({ hasText: username }).waitFor();
  await by(page, "reply").filter({ hasText: "And a reply." }).waitFor();
  await by(page, "comment-list").first().scrollIntoViewIfNeeded();
  await shot("comments");
  await by(page, "reply").getByTestId("comment-delete").click();
  await by(page, "comment-dialog-yes").click();
  await by(page, "reply").waitFor({ state: "detached" });
}

async function isListed({ page, shot }) {
  await by(page, "brand").click();
  await by(page, "search").fill(username);
  await by(page, "search").press("Enter");
  await page.locator(`[data-testid="video-card"][data-video-id="${videoId}"]`).waitFor();
  await shot("search");
}

const row = (page, state) => page.locator(`[data-testid="my-video"][data-video-id="${videoId}"]${state ? `[data-state="${state}"]` : ""}`);

async function deletes({ page, context, shot }) {
  await page.goto(`/v/${videoId}`);
  await by(page, "delete").click();
  await page.waitForURL(/\/me$/);
  await row(page, "trashed").waitFor();
  await shot("trashed");
  const playback = await context.request.get(`/api/v1/videos/${videoId}/playback`, { timeout: STEP_MS });
  check(!playback.ok(), `a video in the trash still gets playback: ${playback.status()}`);
}

async function undoes({ page, shot }) {
  await by(page, "toast-action").click();
  await row(page, "ready").waitFor();
  await shot("undone");
  await row(page).getByRole("heading").getByRole("link").click();
  await until("the restored video loads", () => player(page, (video) => video.readyState >= 1));
}

async function deletesForGood({ page, shot }) {
  await by(page, "nav-mine").click();
  await row(page, "ready").getByTestId("delete-for-good").click();
  await by(page, "purge-dialog").waitFor();
  await shot("confirm");
  await by(page, "purge-dialog-yes").click();
  await page.waitForURL(new RegExp(`/deletion/${videoId}$`));
}

async function readsTheReceipt({ page, context, shot }) {
  await page.locator('[data-testid="deletion"][data-state="done"]').waitFor({ timeout: 60_000 });
  const number = async (id) => Number(await by(page, id).getAttribute("data-value"));
  const [objects, bytes] = [await number("receipt-objects"), await number("receipt-bytes")];
  await shot("receipt");
  check(objects >= 1, `the receipt says ${objects} objects`);
  check(bytes === size, `the receipt says ${bytes} bytes, the file had ${size}`);
  const gone = await context.request.get(`/api/v1/videos/${videoId}`, { timeout: STEP_MS });
  check([404, 410].includes(gone.status()), `the video is still there: ${gone.status()}`);
  await by(page, "nav-mine").click();
  await by(page, "empty").waitFor();
}

const world = await openBrowser({ base, shots: values.shots, executablePath: values.chromium });
await run(
  "journey",
  world,
  [
    ["register", register],
    ["sign out and in", signOutAndIn],
    ["a second tab opens", (w) => live.openTab(w, "/me")],
    ["upload with progress", upload],
    ["plays", plays],
    ["seeks", seeks],
    ["edit", edits],
    ["comment, reply, delete the reply", comments],
    ["the second tab saw the upload", (w) => live.tabSawUpload(w, videoId, w.shot)],
    ["two are watching", (w) => live.bothWatch(w, base, videoId)],
    ["danmaku fly", live.danmakuFlies],
    ["comments come and go live", live.commentsLive],
    ["the title changes live", (w) => live.titleChanges(w, `${title} (live)`)],
    ["a viewer who was cut off misses nothing", live.comesBack],
    ["signed out from another device", (w) => live.otherDeviceIsSignedOut(w, base, { username, password, videoId })],
    ["is listed and found", isListed],
    ["delete", deletes],
    ["the second tab sees it in the trash", (w) => live.tabFollows(w, videoId, "trashed")],
    ["undo", undoes],
    ["the second tab sees it back", (w) => live.tabFollows(w, videoId, "ready")],
    ["the others leave", live.leave],
    ["delete for good", deletesForGood],
    ["receipt", readsTheReceipt],
  ],
  TOTAL_MS,
);
