// What may happen to an upload in its middle.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { ARGS, check, STEP_MS, until, watch } from "./browser.mjs";
import { by, Uploads } from "./uploads_page.mjs";

const MIB = 2 ** 20;

/** What a browser says of requests that broke off. */
const BROKEN = /net::ERR_|WebSocket connection to/;

/** Goes on at what was safe, neither before nor behind. */
function wentOn(offsets, saved) {
  check(offsets.length > 0, "no bytes were sent");
  check(offsets[0] >= saved, `it went on at ${offsets[0]}, though ${saved} were safe`);
}

export async function reload({ page, uploads, files, shot }) {
  const title = "Reloaded";
  const saved = await uploads.inTheMiddle(files.large, title);
  await shot("before-the-reload");
  await uploads.reload();
  await uploads.card(title, "asleep").waitFor();
  check((await uploads.saved(title)) >= saved, "less is safe after the reload");
  check(/11\.7 MB/.test(await uploads.card(title).innerText()), "its size isn't told");
  await shot("after-the-reload");
  await page.goto("/");
  await by(page, "upload-chip").waitFor();
  check(/unfinished/i.test(await by(page, "upload-chip").innerText()), "other pages don't say that something is unfinished");
  await page.goto("/me");
  await by(page, "unfinished-link").click();
  const since = uploads.asked.length;
  await by(uploads.card(title), "upload-choose").setInputFiles(files.large);
  await uploads.becomes(files.large, title);
  wentOn(uploads.offsets(since), saved);
  await page.reload();
  await by(page, "upload-form").waitFor();
  check((await uploads.card(title).count()) === 0, "a finished upload is still remembered");
}

export async function anotherFile({ uploads, files, shot }) {
  const title = "Mistaken";
  await uploads.inTheMiddle(files.large, title);
  await uploads.reload();
  const card = uploads.card(title);
  await by(card, "upload-choose").setInputFiles(files.medium[0]);
  await until("it says what differs", async () => (await by(card, "upload-complaint").getAttribute("data-difference")) === "size");
  await shot("another-file");
  const since = uploads.asked.length;
  await by(card, "upload-start-over").click();
  await uploads.becomes(files.medium[0], title);
  check(uploads.offsets(since)[0] === 0, "another file went on where the first one was");
}

export async function offline({ server, uploads, files, shot, complaints }) {
  const title = "Offline";
  complaints.forgiven.push(BROKEN);
  const saved = await uploads.inTheMiddle(files.large, title);
  // The browser is told that it is offline, which leaves open connections alone; so the wire is cut, too.
  await uploads.network({ offline: true });
  server.wire.cut();
  const waiting = uploads.card(title, "waiting");
  await waiting.waitFor();
  check(/no network/i.test(await waiting.innerText()), `it doesn't say why it waits: ${await waiting.innerText()}`);
  await shot("offline");
  server.wire.mend();
  const since = uploads.asked.length;
  await uploads.network();
  await uploads.becomes(files.large, title);
  wentOn(uploads.offsets(since), saved);
}

export async function killed({ server, page, uploads, files, shot, complaints }) {
  const title = "Killed";
  complaints.forgiven.push(BROKEN);
  complaints.expected.push([502, /./], [503, /./]);
  const saved = await uploads.inTheMiddle(files.large, title);
  await page.evaluate(() => (globalThis.neverLoadedAnew = true));
  await server.kill();
  await uploads.card(title, "waiting").waitFor();
  await shot("server-killed");
  const since = uploads.asked.length;
  await server.start();
  await uploads.becomes(files.large, title);
  wentOn(uploads.offsets(since), saved);
  check(await page.evaluate(() => globalThis.neverLoadedAnew), "the page was loaded anew");
}

export async function twoTabs({ server, base, context, page, uploads, files, shot }) {
  const title = "Two tabs";
  const since = uploads.asked.length;
  const first = await context.newPage();
  first.setDefaultTimeout(STEP_MS);
  const heard = watch(first, new URL(base).origin);
  uploads.listen(first);
  const saved = await uploads.inTheMiddle(files.large, title, first);
  await page.goto("/upload");
  const there = uploads.card(title, "elsewhere");
  await there.waitFor();
  check((await there.getByRole("button").count()) === 0, "the other tab offers to do something with it");
  uploads.allow(2 * MIB);
  await until("the other tab sees it move", async () => Number(await by(there, "upload-progress").getAttribute("value")) > 60);
  await shot("other-tab");
  check(heard.list.length === 0, heard.list.join("\n"));
  await first.close();
  server.wire.dropHeld();
  await uploads.card(title, "asleep").waitFor();
  const closed = uploads.asked.length;
  await by(uploads.card(title), "upload-choose").setInputFiles(files.large);
  await uploads.becomes(files.large, title);
  wentOn(uploads.offsets(closed), saved);
  check(uploads.count(since, "POST", /^\/uploads$/) === 1, "more than one upload was begun for one file");
}

export async function browserRestart({ server, base, chromium: executablePath, uploads: mine, files, shot }) {
  const title = "Restarted";
  const folder = mkdtempSync(join(tmpdir(), "sluice-profile-"));
  const open = async () => {
    const context = await chromium.launchPersistentContext(folder, { executablePath, headless: true, args: ARGS, baseURL: base, locale: "en-US", timeout: STEP_MS });
    const page = context.pages()[0] ?? (await context.newPage());
    page.setDefaultTimeout(STEP_MS);
    return { context, page, uploads: new Uploads({ context, page, server }) };
  };
  try {
    const first = await open();
    const signedIn = await first.context.request.post("/api/v1/sessions", { data: { username: mine.username, password: mine.password }, timeout: STEP_MS });
    check(signedIn.ok(), `signing in: ${signedIn.status()}`);
    await first.page.goto("/upload");
    const saved = await first.uploads.inTheMiddle(files.large, title);
    await first.context.close();
    server.wire.dropHeld();
    const second = await open();
    await second.page.goto("/upload");
    await second.uploads.card(title, "asleep").waitFor();
    await shot("after-the-restart", second.page);
    await by(second.uploads.card(title), "upload-choose").setInputFiles(files.large);
    await second.uploads.becomes(files.large, title);
    wentOn(second.uploads.offsets(0), saved);
    await second.context.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function expiredGrant({ server, context, page, uploads, files, complaints }) {
  const title = "Expired";
  complaints.forgiven.push(BROKEN);
  complaints.expected.push([401, /^\/uploads/], [502, /./], [503, /./]);
  await server.kill();
  await server.start(["api.upload_grant_ttl=1s"]);
  const late = await context.newPage();
  late.setDefaultTimeout(STEP_MS);
  uploads.listen(late);
  // A computer whose clock is an hour slow: it thinks that the grant is good for long.
  await late.addInitScript(() => {
    const real = Date.now.bind(Date);
    Date.now = () => real() - 3_600_000;
  });
  const heard = watch(late, new URL(page.url()).origin);
  heard.expected = complaints.expected;
  heard.forgiven = complaints.forgiven;
  await late.goto("/upload");
  const since = uploads.asked.length;
  uploads.allow(2 * MIB); // half of the first piece
  await uploads.begin(files.large, title, late);
  await until("half of a piece has arrived", async () => Number(await by(uploads.card(title, "sending", late), "upload-progress").getAttribute("value")) >= 10);
  await late.waitForTimeout(1_500); // the grant ends meanwhile, which only the next request will hear
  await uploads.becomes(files.large, title, late);
  check(uploads.count(since, "POST", /\/upload$/) >= 1, "no new grant was asked for");
  check(uploads.count(since, "POST", /^\/uploads$/) === 1, "it was begun anew");
  check(heard.list.length === 0, heard.list.join("\n"));
  await late.close();
  await server.kill();
  await server.start();
}

export async function sessionEnds({ base, page, uploads, files, shot, complaints, browser }) {
  const title = "Signed out";
  complaints.forgiven.push(BROKEN);
  complaints.expected.push([401, /./], [503, /./], [502, /./]);
  await page.goto("/upload");
  const saved = await uploads.inTheMiddle(files.large, title);
  const other = await browser.newContext({ baseURL: base });
  check((await other.request.post("/api/v1/sessions", { data: { username: uploads.username, password: uploads.password } })).ok(), "signing in elsewhere");
  const sessions = (await (await other.request.get("/api/v1/sessions")).json()).items.filter(({ current }) => !current);
  for (const { id } of sessions) await other.request.delete(`/api/v1/sessions/${id}`, { headers: { "Sec-Fetch-Site": "same-origin" } });
  await other.close();
  await page.waitForURL(/\/signin\?next=%2Fupload$/);
  await by(page, "signin-uploads").waitFor();
  await shot("asks-to-sign-in");
  const since = uploads.asked.length;
  await by(page, "signin-username").fill(uploads.username);
  await by(page, "signin-password").fill(uploads.password);
  await by(page, "signin-submit").click();
  await uploads.becomes(files.large, title);
  wentOn(uploads.offsets(since), saved);
}

/** A server in a home network: by http, under a name that isn't this computer's. Browsers give such pages no locks and no handles. */
export async function withoutHttps({ server, base, browser, context: asked, uploads: mine, files, shot }) {
  const title = "Without https";
  const url = base.replace("127.0.0.1", "sluice.test");
  const context = await browser.newContext({ baseURL: url, locale: "en-US", viewport: { width: 1200, height: 900 } });
  const open = async () => {
    const page = await context.newPage();
    page.setDefaultTimeout(STEP_MS);
    const heard = watch(page, new URL(url).origin);
    heard.expected.push([409, /^\/uploads/]);
    // The browser says itself that it ignores the policy of origins on such pages.
    heard.forgiven.push(BROKEN, /Cross-Origin-Opener-Policy/);
    return { page, heard, uploads: new Uploads({ context, page, server }) };
  };
  const first = await open();
  await first.page.goto("/upload");
  await by(first.page, "signin-username").fill(mine.username);
  await by(first.page, "signin-password").fill(mine.password);
  await by(first.page, "signin-submit").click();
  await by(first.page, "upload-form").waitFor();
  check(await first.page.evaluate(() => !isSecureContext && navigator.locks === undefined), "the page is one by https");
  const saved = await first.uploads.inTheMiddle(files.large, title, first.page);
  const second = await open();
  await second.page.goto("/upload");
  await by(second.uploads.card(title), "upload-choose").setInputFiles(files.large);
  // The newer one wins, and the older one doesn't try to win back.
  await first.uploads.card(title, "failed").waitFor();
  check((await by(first.uploads.card(title), "upload-problem").getAttribute("data-code")) === "taken_over", "the first tab says something else");
  await shot("taken-over", first.page);
  await second.uploads.becomes(files.large, title, second.page, asked);
  wentOn(second.uploads.offsets(0), saved);
  check(first.uploads.count(0, "HEAD", /^\/uploads/) === 0, "the first tab tried to win back");
  const heard = [...first.heard.list, ...second.heard.list];
  check(heard.length === 0, heard.join("\n"));
  await context.close();
}
