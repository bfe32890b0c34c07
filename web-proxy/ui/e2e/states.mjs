// What the main journey doesn't see: refusals, broken connections, expired grants, small screens, dark, Chinese, keyboard. Runs against the
// mock only (it asks it for faults): node e2e/states.mjs --media DIR [--shots DIR]. Starts and ends its own mock.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { check, openBrowser, run, until } from "./browser.mjs";
import * as live from "./live_states.mjs";

const { values } = parseArgs({ options: { media: { type: "string" }, shots: { type: "string" }, chromium: { type: "string", default: "/usr/bin/chromium" } } });
if (!values.media) {
  console.error("usage: node e2e/states.mjs --media DIR [--shots DIR]");
  process.exit(2);
}
const ordinary = join(values.media, "ordinary");
const small = join(ordinary, "bbb_prog_10s.mp4");
const large = join(ordinary, "real-mix-1080p30-faststart.mp4");
const text = join(values.media, "not-video", "text-named.mp4");
const big = join(tmpdir(), `sluice-too-big-${process.pid}.mp4`);
writeFileSync(big, Buffer.alloc(31_000_000));
process.on("exit", () => rmSync(big, { force: true }));

const mock = spawn(process.execPath, [
  fileURLToPath(new URL("../mock/server.mjs", import.meta.url)),
  ...["--port", "0", "--media", ordinary, "--max-bytes", "30000000", "--playback-ttl-ms", "1500", "--media-bytes-per-second", "1500000", "--bytes-per-second", "8000000"],
]);
mock.stderr.pipe(process.stderr);
const base = String((await once(mock.stdout, "data"))[0]).trim();

const by = (page, id) => page.getByTestId(id);
const fault = (context, ...faults) => context.request.post("/mock/faults", { data: faults });
const problemDetail = async (page) => ({ code: await by(page, "upload-problem").getAttribute("data-code"), text: await by(page, "upload-problem").innerText() });

async function startUpload(page, file, title) {
  await page.goto("/upload");
  await by(page, "upload-input").setInputFiles(file);
  if (title) await by(page, "video-title").fill(title);
  await by(page, "upload-submit").click();
}

async function anonymous({ page, shot }) {
  await page.goto("/");
  await by(page, "video-card").nth(19).waitFor();
  check((await by(page, "video-card").count()) === 20, "the first page doesn't have 20 cards");
  await shot("home");
  await by(page, "more").click();
  await by(page, "video-card").nth(20).waitFor();
  check((await by(page, "more").count()) === 0, "there is more than there is");
  await by(page, "sort").selectOption("title");
  await page.waitForURL(/sort=title/);
  await by(page, "video-card").nth(5).waitFor();
  const titles = await by(page, "video-card-title").allInnerTexts();
  check(titles.every((title, index) => index === 0 || titles[index - 1].localeCompare(title) <= 0), `not sorted: ${titles}`);
  await by(page, "search").fill("no such thing");
  await by(page, "search").press("Enter");
  await by(page, "empty").waitFor();
  await shot("nothing-found");
  await page.goBack();
  await by(page, "video-card").first().waitFor();
  check((await by(page, "search").inputValue()) === "", "going back doesn't clear the search box");
  await by(page, "video-card").first().locator(".card-meta a").click();
  await by(page, "author").waitFor();
  await shot("author");
  await page.goto("/upload");
  await page.waitForURL("/signin?next=%2Fupload");
  await page.goto("/nothing/here");
  await by(page, "missing").waitFor();
}

async function forms({ page, shot, complaints }) {
  await page.goto("/register?next=/upload");
  await by(page, "register-submit").click();
  await by(page, "register-username-complaint").waitFor();
  await by(page, "register-username").fill("mira");
  await by(page, "register-password").fill("password1");
  complaints.expected.push([422, /users$/], [409, /users$/], [401, /sessions$/]);
  await by(page, "register-submit").click();
  await until("the server's word on the password is at the field", async () => /commonest/.test(await by(page, "register-password-complaint").innerText()));
  await shot("register-refused");
  await by(page, "register-password").fill("four words are fine");
  await by(page, "register-submit").click();
  await until("a taken name is said at the field", async () => /taken/.test(await by(page, "register-username-complaint").innerText()));
  await page.goto("/signin");
  await by(page, "signin-username").fill("mira");
  await by(page, "signin-password").fill("wrong");
  await by(page, "signin-submit").click();
  await until("wrong credentials are said", async () => (await by(page, "signin-problem").getAttribute("data-code")) === "wrong_credentials");
  await shot("signin-refused");
  await page.goto("/register?next=/upload");
  await by(page, "register-username").fill("tess");
  await by(page, "register-password").fill("four words are fine");
  await by(page, "register-password").press("Enter");
  await by(page, "upload-form").waitFor();
}

async function refusals({ page, context, shot, complaints }) {
  complaints.expected.push([413, /^\/uploads/], [415, /^\/uploads/], [429, /^\/uploads/], [507, /^\/uploads/]);
  await by(page, "upload-submit").click();
  check((await by(page, "upload-form").innerText()).includes("Please choose a file"), "no word about the missing file");

  await startUpload(page, big);
  await by(page, "upload-problem").waitFor();
  check(/31 MB.*30 MB/.test((await problemDetail(page)).text), `too large isn't clear: ${(await problemDetail(page)).text}`);
  check(/smaller/.test(await by(page, "upload-advice").innerText()), "it isn't said what to do");
  await shot("too-large");
  await by(page, "upload-dismiss").click();

  await startUpload(page, text);
  await by(page, "upload-problem").waitFor();
  const said = await problemDetail(page);
  check(said.code === "unsupported_media" && /not a video that can be played/.test(said.text), `415 isn't clear: ${JSON.stringify(said)}`);
  check((await by(page, "retry").count()) === 0, "a refused file is offered to be sent again");
  await shot("not-a-video");

  await fault(context, { target: "bytes", times: 2, status: 413, code: "body_too_large", detail: "A proxy takes less." });
  await startUpload(page, large, "In small pieces");
  await by(page, "upload-ready").waitFor();

  await fault(context, { target: "bytes", times: 1, status: 507, code: "storage_full", detail: "Your quota of 5 GB is full." });
  await startUpload(page, small, "After the 507");
  await until("507", async () => /quota of 5 GB/.test((await problemDetail(page)).text));
  await shot("storage-full");
  await by(page, "retry").click();
  await by(page, "upload-ready").waitFor();

  await fault(context, { target: "bytes", times: 1, status: 429, code: "too_many_uploads", detail: "At most 3 uploads at once.", headers: { "Retry-After": "2" } });
  await startUpload(page, small, "After the 429");
  await until("429", async () => /Too many uploads.*It goes on in 2 seconds/s.test(await by(page, "upload-state").innerText()));
  check((await by(page, "upload-now").count()) === 0, "trying again is possible before Retry-After has passed");
  await shot("too-many");
  await by(page, "upload-ready").waitFor();
}

async function broken({ page, context, shot, complaints }) {
  const reset = complaints.list.length;
  // Chromium itself sends again when a kept-alive connection breaks, as often as it has such connections: break all until the page has seen it.
  await fault(context, { target: "bytes", times: 99, dropAfter: 3_000_000 });
  await startUpload(page, large, "Broken on the way");
  await page.locator('[data-testid="upload-state"][data-step="waiting"]').waitFor();
  await fault(context);
  await shot("connection-broke");
  await by(page, "upload-ready").waitFor({ timeout: 60_000 });
  await fault(context, { target: "bytes", times: 1, dropAtEnd: true });
  await startUpload(page, small, "Broken at the end");
  await by(page, "upload-ready").waitFor({ timeout: 60_000 });
  // The browser reports the broken requests; nothing else may be there.
  const heard = complaints.list.splice(reset);
  check(heard.every((line) => /net::ERR_(EMPTY_RESPONSE|CONNECTION_RESET|CONNECTION_CLOSED)|status of 409/.test(line)), heard.join("\n"));
}

async function cancels({ page, context, shot }) {
  await fault(context, { target: "bytes", times: 1, bytesPerSecond: 1_500_000 });
  await startUpload(page, large, "Cancelled");
  await until("some of it is sent", async () => Number(await by(page, "upload-progress").getAttribute("value")) > 5);
  await by(page, "brand").click();
  await by(page, "upload-chip").waitFor();
  await shot("in-the-background");
  await by(page, "upload-chip").click();
  await by(page, "upload-discard").click();
  await by(page, "discard-dialog-yes").click();
  await by(page, "upload-state").waitFor({ state: "detached" });
  await by(page, "nav-mine").click();
  await by(page, "my-video").first().waitFor();
  await until("the cancelled entry is gone", async () => !(await by(page, "my-videos").innerText()).includes("Cancelled"));
}

async function expiredGrant({ page, complaints, shot }) {
  complaints.expected.push([401, /^\/media/]);
  const card = by(page, "my-video").filter({ hasText: "Broken on the way" });
  await card.getByRole("heading").getByRole("link").click();
  const player = by(page, "player");
  await until("metadata", () => player.evaluate((video) => video.readyState >= 1));
  const first = await player.evaluate((video) => video.src);
  await player.evaluate((video) => ((video.muted = true), video.play()));
  await page.waitForTimeout(1800); // the mock's grants are good for 1.5 s
  await player.evaluate((video) => (video.currentTime = 60));
  await until("it plays on with a new grant where it was", () =>
    page.evaluate((src) => {
      const video = document.querySelector('[data-testid="player"]');
      return video.src !== src && !video.paused && video.currentTime > 60.3;
    }, first), 20_000);
  const picture = await player.evaluate((video) => {
    const canvas = document.createElement("canvas");
    canvas.width = 32;
    canvas.height = 18;
    const pen = canvas.getContext("2d");
    pen.drawImage(video, 0, 0, 32, 18);
    return new Set(pen.getImageData(0, 0, 32, 18).data).size;
  });
  check(picture > 8, `the picture has only ${picture} values: nothing is drawn`);
  await shot("new-grant");
  check((await by(page, "player-problem").count()) === 0, "a problem is shown though it plays");
}

async function keyboard({ page, shot }) {
  await page.goto("/");
  await by(page, "video-card").first().waitFor();
  await page.keyboard.press("Tab");
  check((await page.evaluate(() => document.activeElement?.textContent)) === "Skip to content", "the first stop isn't the skip link");
  await page.keyboard.press("Enter");
  check((await page.evaluate(() => document.activeElement?.id)) === "main", "the skip link doesn't lead to the content");
  await by(page, "video-card").first().locator(".card-link").focus();
  await shot("focus");
  await page.keyboard.press("Enter");
  await by(page, "watch-title").waitFor();
  await by(page, "nav-menu").focus();
  await page.keyboard.press("Enter");
  await by(page, "nav-account").waitFor();
  await page.keyboard.press("Escape");
  await by(page, "nav-account").waitFor({ state: "detached" });
}

async function account({ page, context, shot, complaints }) {
  await context.request.post("/api/v1/sessions", { data: { username: "tess", password: "four words are fine", platform: "phone" }, headers: { Cookie: "" } });
  complaints.expected.push([401, /password$/], [401, /users\/me$/]);
  await page.goto("/account");
  await by(page, "account-display-name").fill("Tess of the Long and Winding Display Name");
  await by(page, "account-save").click();
  await until("the name is shown in the head", async () => (await by(page, "nav-menu").innerText()).includes("Tess of"));
  await by(page, "session").nth(1).waitFor();
  await shot("account");
  await by(page, "password-current").fill("not this one");
  await by(page, "password-new").fill("five words are even better");
  await by(page, "password-save").click();
  await by(page, "password-problem").waitFor();
  await by(page, "password-current").fill("four words are fine");
  await by(page, "password-save").click();
  await until("only this session is left", async () => (await by(page, "session").count()) === 1);
}

const sizes = (page) => page.evaluate(() => [document.documentElement.scrollWidth, innerWidth, [...document.querySelectorAll("main *, header *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".thumb, .row-thumb, .stand")).map((e) => e.className || e.tagName).slice(0, 5)]);

async function smallAndDark({ page, shot }) {
  await page.setViewportSize({ width: 360, height: 740 });
  await page.emulateMedia({ colorScheme: "dark" });
  const id = await page.goto("/").then(() => by(page, "video-card").first().getAttribute("data-video-id"));
  for (const [name, path, ready] of [["home", "/", "video-card"], ["watch", `/v/${id}`, "watch"], ["mine", "/me", "my-video"], ["upload", "/upload", "upload-form"], ["account", "/account", "session"], ["search", "/?q=zzz", "empty"]]) {
    await page.goto(path);
    await by(page, ready).first().waitFor();
    await page.waitForTimeout(300);
    const [width, screen, wide] = await sizes(page);
    check(width <= screen && wide.length === 0, `${name} is wider than 360 px: ${width}, ${wide}`);
    await shot(`small-dark-${name}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.goto("/me");
  await by(page, "delete").first().click();
  await by(page, "toast-action").waitFor();
  await page.waitForTimeout(300);
  await shot("small-light-undo");
  await by(page, "delete-for-good").first().click();
  await by(page, "purge-dialog").waitFor();
  await shot("small-light-confirm");
  await page.keyboard.press("Escape");
  await by(page, "purge-dialog").waitFor({ state: "detached" });
}

async function chinese({ page, shot }) {
  await page.setViewportSize({ width: 1200, height: 900 });
  await page.goto("/account");
  await by(page, "language-zh-CN").click();
  await until("the page speaks Chinese", async () => (await page.evaluate(() => document.documentElement.lang)) === "zh-CN" && /账号/.test(await page.locator("h1").innerText()));
  await page.reload();
  await until("and goes on doing so", async () => /账号/.test(await page.locator("h1").innerText()));
  await shot("chinese");
  await by(page, "language-en").click();
}

async function leaves({ page, shot, complaints }) {
  complaints.expected.push([401, /./]);
  await page.goto("/account");
  await by(page, "account-delete").click();
  await by(page, "account-delete-password").fill("five words are even better");
  await shot("delete-account");
  await by(page, "account-dialog-yes").click();
  await by(page, "nav-signin").waitFor();
  await page.goto("/me");
  await page.waitForURL("/signin?next=%2Fme");
}

const world = await openBrowser({ base, shots: values.shots, executablePath: values.chromium });
await run("states", world, [
  ["an anonymous visitor", anonymous], ["forms", forms], ["refused uploads", refusals], ["broken connections", broken], ["cancel", cancels],
  ["an expired grant", expiredGrant],
  ["danmaku refused", live.danmakuRefused], ["danmaku on and off", live.danmakuSwitch], ["the connection is lost", live.connectionLost],
  ["a visitor without an account", live.withoutAccount], ["the room closes, the session ends", live.roomCloses], ["the session ends while away", live.endsWhileAway],
  ["keyboard", keyboard], ["account", account], ["360 px, dark", smallAndDark], ["Chinese", chinese], ["deleting the account", leaves],
], 240_000);
mock.kill();
