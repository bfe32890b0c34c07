// The live part of the journey: two people on one video, each in a browser of their own. The second one's wire can be cut.
import { check, until, watch, STEP_MS } from "./browser.mjs";
import { openWire } from "../../../sdk/js/mock/wire.mjs";

const by = (page, id) => page.getByTestId(id);
const tag = Math.random().toString(36).slice(2, 7);
const texts = (page, id) => by(page, id).allInnerTexts();
const howOften = async (page, id, text) => (await texts(page, id)).filter((shown) => shown === text).length;
const isLive = (page) => until("the page is live", async () => (await by(page, "live-state").getAttribute("data-state")) === "live");

/** Another person's browser, behind a wire; kept in the world as `other`. */
export async function secondViewer(world, base, videoId) {
  const wire = await openWire(base);
  const context = await world.browser.newContext({ baseURL: wire.base, locale: "en-US", viewport: { width: 1200, height: 900 } });
  const username = `k${Date.now().toString(36)}${tag}`;
  const answer = await context.request.post("/api/v1/users", { data: { username, password: "quite another long one", displayName: "Kim Viewer" }, timeout: STEP_MS });
  check(answer.status() === 201, `the second user can't be registered: ${answer.status()} ${await answer.text()}`);
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MS);
  world.other = { wire, context, page, username, complaints: watch(page, wire.base) };
  // While the video is in the trash this page looks now and then whether its room is open again, and right so.
  world.other.complaints.expected.push([404, /^\/api\/v1\/videos\/[^/]+\/events$/]);
  await page.goto(`/v/${videoId}`);
}

export async function bothWatch(world, base, videoId) {
  const { page } = world;
  await page.goto(`/v/${videoId}`);
  await secondViewer(world, base, videoId);
  const { page: second } = world.other;
  for (const viewer of [page, second]) {
    await isLive(viewer);
    await until("two are watching", async () => (await by(viewer, "watching").getAttribute("data-count")) === "2");
    await by(viewer, "danmaku-count").click();
    await by(viewer, "player").evaluate((video) => {
      video.muted = true;
      video.loop = true;
      return video.play();
    });
  }
  await second.evaluate(() => (globalThis.neverLoadedAnew = true));
}

/** Sends at the moment that the other one is at, so that it flies there too. */
async function sendDanmaku(from, text, mode = "scroll") {
  await by(from, "danmaku-input").fill(text);
  await by(from, "danmaku-mode").selectOption(mode);
  await by(from, "danmaku-send").click();
  await until("it is sent", async () => (await by(from, "danmaku-input").inputValue()) === "");
}

export async function danmakuFlies({ page, other, shot }) {
  const text = `飞 <b>${tag}</b> & first`;
  await by(other.page, "player").evaluate((video) => (video.currentTime = 2));
  await by(page, "player").evaluate((video) => (video.currentTime = 2));
  await other.page.evaluate((wanted) => {
    globalThis.flown = [];
    new MutationObserver((changes) => {
      for (const { addedNodes } of changes) for (const node of addedNodes) if (node.textContent === wanted) globalThis.flown.push(performance.timeOrigin + performance.now());
    }).observe(document.querySelector('[data-testid="danmaku-stage"]'), { subtree: true, childList: true });
  }, text);
  await page.evaluate(() => document.querySelector('[data-testid="danmaku-form"]').addEventListener("submit", () => (globalThis.clicked ??= performance.timeOrigin + performance.now())));
  await sendDanmaku(page, text);
  await until("it flies over the other's video", () => other.page.evaluate(() => globalThis.flown.length > 0));
  const clicked = await page.evaluate(() => globalThis.clicked);
  console.log(`     ${Math.round((await other.page.evaluate(() => globalThis.flown[0])) - clicked)} ms from the click to the other's screen`);
  await shot("danmaku-there", other.page);
  for (const viewer of [page, other.page]) {
    await until("it is in the list", async () => (await howOften(viewer, "danmaku-text", text)) === 1);
    check((await by(viewer, "danmaku-list").locator("b").count()) === 0, "markup in a danmaku became markup");
  }
  await sendDanmaku(other.page, `top ${tag}`, "top");
  await until("the other's flies here", async () => (await texts(page, "danmaku")).includes(`top ${tag}`));
  await shot("danmaku");
  check((await other.page.evaluate(() => globalThis.flown.length)) === 1, "it flew more than once");
}

export async function commentsLive({ page, other, shot }) {
  const text = `Live from Kim ${tag}`;
  const shown = by(page, "comment").filter({ hasText: text });
  await by(other.page, "comment-input").fill(text);
  await by(other.page, "comment-post").click();
  await shown.waitFor();
  check((await by(page, "comment-heard").innerText()).includes(text), "the comment isn't read out");
  await until("who wrote it has the answer", async () => (await by(other.page, "comment-input").inputValue()) === "");
  check((await by(other.page, "comment").filter({ hasText: text }).count()) === 1, "who wrote it sees it not once");
  await until("both count the same", async () => (await by(page, "comment-count").innerText()) === (await by(other.page, "comment-count").innerText()));
  await shown.scrollIntoViewIfNeeded();
  await shot("live-comment");
  await by(other.page, "comment").filter({ hasText: text }).getByTestId("comment-delete").click();
  await by(other.page, "comment-dialog-yes").click();
  await shown.waitFor({ state: "detached" });
  const row = by(page, "danmaku-row").filter({ hasText: `top ${tag}` });
  await row.getByTestId("danmaku-delete").click(); // the video's owner may
  await by(other.page, "danmaku-row").filter({ hasText: `top ${tag}` }).waitFor({ state: "detached" });
}

export async function titleChanges({ page, other }, title) {
  await by(page, "edit").click();
  await by(page, "video-title").fill(title);
  await by(page, "edit-save").click();
  await by(page, "edit-save").waitFor({ state: "detached" }); // what is typed while it is open goes into the dialog
  await until("the title changes for whoever watches", async () => (await by(other.page, "watch-title").innerText()) === title);
}

export async function comesBack({ page, other, shot }) {
  const { page: second, wire, complaints } = other;
  // What is under way when the wire is cut fails, and the browser says so, some of it late.
  complaints.forgiven.push(/net::ERR_/, /WebSocket connection to/);
  await by(page, "comment-input").fill(`before ${tag}`);
  await by(page, "comment-post").click();
  await by(second, "comment").filter({ hasText: `before ${tag}` }).waitFor();
  wire.cut();
  await until("the page says that it is offline", async () => (await by(second, "live-state").getAttribute("data-state")) !== "live");
  const away = ["one", "two", "three"].map((word) => `${word} ${tag}`);
  for (const text of away) {
    await sendDanmaku(page, text);
    await by(page, "comment-input").fill(text);
    await by(page, "comment-post").click();
    await by(page, "comment").filter({ hasText: text }).waitFor();
  }
  await by(page, "comment").filter({ hasText: away[1] }).getByTestId("comment-delete").click();
  await by(page, "comment-dialog-yes").click();
  await by(page, "comment").filter({ hasText: `before ${tag}` }).getByTestId("comment-delete").click();
  await by(page, "comment-dialog-yes").click();
  await by(page, "comment").filter({ hasText: `before ${tag}` }).waitFor({ state: "detached" });
  await until("the page shows when it tries again", async () => (await by(second, "live-state").getAttribute("data-state")) === "waiting");
  await shot("cut-off", second);
  for (const text of away) check((await howOften(second, "comment-text", text)) === 0, "the wire isn't cut");
  wire.mend();
  await by(second, "live-retry").click({ timeout: 2_000 }).catch(() => {}); // it may just be trying by itself
  await isLive(second);
  await by(second, "comment").filter({ hasText: away[2] }).waitFor();
  await until("every danmaku is there", async () => {
    const shown = await texts(second, "danmaku-text");
    return away.every((text) => shown.includes(text));
  });
  await sendDanmaku(page, `after ${tag}`);
  await until("and what comes after", async () => (await howOften(second, "danmaku-text", `after ${tag}`)) === 1);
  for (const text of away) check((await howOften(second, "danmaku-text", text)) === 1, `${text}: not once`);
  const comments = await Promise.all([...away, `before ${tag}`].map((text) => howOften(second, "comment-text", text)));
  check(comments.join() === "1,0,1,0", `the comments after the cut are there ${comments} times`);
  check(await second.evaluate(() => globalThis.neverLoadedAnew), "the page was loaded anew");
  await shot("after-the-cut");
}

/** A second tab of the same person, open on the list of videos before an upload begins. */
export async function openTab(world, path) {
  const tab = await world.context.newPage();
  tab.setDefaultTimeout(STEP_MS);
  world.tab = { page: tab, complaints: watch(tab, new URL(tab.url() === "about:blank" ? world.base : tab.url()).origin) };
  await tab.goto(path);
  await isLive(tab);
  await tab.evaluate(() => {
    globalThis.neverLoadedAnew = true;
    globalThis.seenRemote = [];
    const look = () => {
      const bar = document.querySelector('[data-testid="remote-progress"]');
      if (bar?.hasAttribute("value") && globalThis.seenRemote.at(-1) !== bar.value) globalThis.seenRemote.push(bar.value);
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  await world.page.bringToFront(); // a page behind another one draws once a second
}

export async function tabSawUpload({ tab }, videoId, shot) {
  const row = tab.page.locator(`[data-testid="my-video"][data-video-id="${videoId}"]`);
  await tab.page.locator(`[data-testid="my-video"][data-video-id="${videoId}"][data-state="ready"]`).waitFor();
  const seen = await tab.page.evaluate(() => globalThis.seenRemote);
  check(seen.filter((value) => value > 0 && value < 100).length >= 2, `the other tab hardly saw the upload move: ${seen}`);
  check(seen.every((value, index) => index === 0 || value >= seen[index - 1]), `the other tab saw the upload go back: ${seen}`);
  check(await tab.page.evaluate(() => globalThis.neverLoadedAnew), "the tab was loaded anew");
  check((await row.getByTestId("remote-progress").count()) === 0, "the bar stays after the end");
  await shot("other-tab", tab.page);
}

export async function tabFollows({ tab }, videoId, state) {
  await tab.page.locator(`[data-testid="my-video"][data-video-id="${videoId}"][data-state="${state}"]`).waitFor();
}

/** The owner's other device is signed out from here. */
export async function otherDeviceIsSignedOut(world, base, { username, password, videoId }) {
  const context = await world.browser.newContext({ baseURL: base, locale: "en-US" });
  const answer = await context.request.post("/api/v1/sessions", { data: { username, password, platform: "the other device" }, timeout: STEP_MS });
  check(answer.ok(), `signing in on the other device: ${answer.status()}`);
  const device = await context.newPage();
  device.setDefaultTimeout(STEP_MS);
  const complaints = watch(device, new URL(base).origin);
  complaints.expected.push([401, /^\/api\//]);
  await device.goto(`/v/${videoId}`);
  await isLive(device);
  await world.page.goto("/account");
  await by(world.page, "session").filter({ hasText: "the other device" }).getByRole("button").click();
  await device.waitForURL(/\/signin\?next=/);
  check(/signed out/i.test(await by(device, "toasts").innerText()), "the device isn't told why");
  check((await by(device, "live-state").count()) === 0, "a connection is still shown");
  await isLive(world.page);
  check(complaints.list.length === 0, `the device complained: ${complaints.list.join("\n")}`);
  await world.shot("signed-out-there");
  await context.close();
}

export async function leave({ other, tab }) {
  const heard = [...(other?.complaints.list ?? []), ...(tab?.complaints.list ?? [])];
  await other?.context.close();
  other?.wire.close();
  await tab?.page.close();
  check(heard.length === 0, `the other pages complained:\n    ${heard.join("\n    ")}`);
}
