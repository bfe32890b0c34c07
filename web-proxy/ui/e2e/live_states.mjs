// What the live part of the page does when something is not as it should be; against the mock, which is asked for faults. Used by states.mjs.
import { check, until, watch, STEP_MS } from "./browser.mjs";

const by = (page, id) => page.getByTestId(id);
const liveIs = (page, name) => until(`the connection is ${name}`, async () => (await by(page, "live-state").getAttribute("data-state").catch(() => null)) === name);
const gateway = (context, query, faults = {}) => context.request.post(`/mock/gateway${query}`, { data: faults });
const OTHERS = "another long password";

/** Another person in a browser of their own. */
async function somebody(world, username) {
  const context = await world.browser.newContext({ baseURL: world.base, locale: "en-US", viewport: { width: 1200, height: 900 } });
  if (username) {
    const answer = await context.request.post("/api/v1/users", { data: { username, password: OTHERS } });
    check(answer.status() === 201, `${username}: ${answer.status()}`);
  }
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MS);
  return { context, page, complaints: watch(page, new URL(world.base).origin) };
}

async function toMyVideo({ page }) {
  await page.goto("/me");
  const row = page.locator('[data-testid="my-video"][data-state="ready"]').first();
  const id = await row.getAttribute("data-video-id");
  await page.goto(`/v/${id}`);
  await liveIs(page, "live");
  return id;
}

export async function danmakuRefused(world) {
  const { page, context, shot, complaints } = world;
  complaints.expected.push([429, /danmaku$/], [422, /danmaku$/]);
  await toMyVideo(world);
  await context.request.post("/mock/faults", { data: [{ target: "danmaku", times: 1, status: 429, code: "too_many_requests", detail: "At most 10 danmaku a minute.", headers: { "Retry-After": "2" } }] });
  await by(page, "danmaku-input").fill("too soon");
  await by(page, "danmaku-input").press("Enter");
  await by(page, "danmaku-problem").waitFor();
  check(/At most 10 danmaku/.test(await by(page, "danmaku-problem").innerText()), "the server's words are missing");
  check(/Try again in \d second/.test(await by(page, "retry").innerText()) && (await by(page, "retry").isDisabled()), "it isn't said when to try again");
  check((await by(page, "danmaku-input").inputValue()) === "too soon", "what was typed is lost");
  await shot("danmaku-too-soon");
  await by(page, "retry").click(); // waits until it is enabled
  await until("it is sent after all", async () => (await by(page, "danmaku-input").inputValue()) === "");
  await by(page, "danmaku-input").fill("x".repeat(101));
  check(await by(page, "danmaku-send").isDisabled(), "101 characters can be sent");
  await by(page, "danmaku-input").fill("");
}

export async function danmakuSwitch(world) {
  const { page } = world;
  const id = await toMyVideo(world);
  const play = () => by(page, "player").evaluate((video) => ((video.muted = true), (video.currentTime = 0), video.play()));
  const flying = () => by(page, "danmaku-stage").locator(".danmaku").count();
  await play();
  await until("what was said earlier flies again", async () => (await flying()) > 0);
  await by(page, "danmaku-switch").click();
  check((await flying()) === 0 && (await by(page, "danmaku-switch").getAttribute("aria-checked")) === "false", "they fly on though they are switched off");
  await page.goto(`/v/${id}`);
  await liveIs(page, "live");
  check((await by(page, "danmaku-switch").getAttribute("aria-checked")) === "false", "the switch is not remembered");
  await by(page, "danmaku-count").click();
  await by(page, "danmaku-row").first().waitFor(); // whoever reads them gets them all the same
  await by(page, "danmaku-switch").click();
  await play();
  await until("switched on they fly", async () => (await flying()) > 0);
  await by(page, "player").evaluate((video) => video.pause());
}

export async function connectionLost(world) {
  const { page, context, shot, complaints } = world;
  const id = await toMyVideo(world);
  const said = complaints.list.length;
  await gateway(context, "?cut", { refuse: 503 });
  await liveIs(page, "waiting");
  await until("it counts its tries", async () => Number(await by(page, "live-state").getAttribute("data-attempt")) >= 3);
  await until("it says when it tries again", async () => /retry in \d+ s/.test(await by(page, "live-state").innerText()));
  await shot("offline");
  const text = "said while no connection can be had";
  await context.request.post(`/api/v1/videos/${id}/comments`, { data: { text } });
  const comment = by(page, "comment").filter({ hasText: text });
  const look = () => page.evaluate(() => void document.dispatchEvent(new Event("visibilitychange"))); // as coming back to the tab does
  await until("the page reads the log meanwhile", async () => (await look(), (await comment.count()) === 1));
  await gateway(context, "", { refuse: 0 });
  await by(page, "live-retry").click().catch(() => {}); // it may just be trying by itself
  await liveIs(page, "live");
  await gateway(context, "?closeAll=1012");
  await until("it comes back after a restart", async () => (await by(page, "live-state").getAttribute("data-state")) === "live");
  check((await comment.count()) === 1 && /^1 /.test(await by(page, "comment-count").innerText()), "what was read meanwhile is not there once");
  const heard = complaints.list.splice(said);
  check(heard.every((line) => /WebSocket connection to/.test(line)), heard.join("\n"));
}

export async function withoutAccount(world) {
  const id = await toMyVideo(world);
  const { page, context, complaints } = await somebody(world);
  const sockets = [];
  page.on("websocket", (socket) => sockets.push(socket.url()));
  await page.goto(`/v/${id}`);
  await by(page, "comment-count").waitFor();
  const look = () => page.evaluate(() => void document.dispatchEvent(new Event("visibilitychange"))); // as coming back to the tab does
  const posted = await world.context.request.post(`/api/v1/videos/${id}/comments`, { data: { text: "for everybody" } });
  const comment = by(page, "comment").filter({ hasText: "for everybody" });
  await until("the comment comes by itself", async () => (await look(), (await comment.count()) === 1));
  await world.context.request.delete(`/api/v1/comments/${(await posted.json()).id}`);
  await until("and goes", async () => (await look(), (await comment.count()) === 0));
  check(sockets.length === 0, `a socket without an account: ${sockets}`);
  check((await by(page, "live-state").count()) === 0, "a connection is shown where none is");
  check((await by(page, "danmaku-input").count()) === 0, "danmaku can be written without an account");
  check(complaints.list.length === 0, complaints.list.join("\n"));
  await context.close();
}

/** The session ends while there is no connection to be told on: a browser can't see the 401 of a handshake. */
export async function endsWhileAway(world) {
  await toMyVideo(world); // this page is cut off, too, and comes back
  const before = world.complaints.list.length;
  const { page, context, complaints } = await somebody(world, "away");
  await page.goto("/account");
  await liveIs(page, "live");
  const sessions = await (await context.request.get("/api/v1/sessions")).json();
  const elsewhere = await somebody(world);
  await elsewhere.context.request.post("/api/v1/sessions", { data: { username: "away", password: OTHERS, platform: "elsewhere" } });
  await gateway(elsewhere.context, "?cut", { refuse: 503 });
  await liveIs(page, "waiting");
  await elsewhere.context.request.delete(`/api/v1/sessions/${sessions.items.find((session) => session.current).id}`);
  await gateway(elsewhere.context, "", { refuse: 0 });
  await page.waitForURL(/\/signin\?next=/);
  check((await page.getByTestId("live-state").count()) === 0, "it goes on trying");
  await liveIs(world.page, "live");
  const heard = [...complaints.list, ...world.complaints.list.splice(before)];
  check(heard.every((line) => /WebSocket connection to/.test(line)), heard.join("\n"));
  await elsewhere.context.close();
  await context.close();
}

export async function roomCloses(world) {
  const id = await toMyVideo(world);
  const { page, context, complaints } = await somebody(world, "visitor");
  await page.goto(`/v/${id}`);
  await liveIs(page, "live");
  await by(page, "watching").waitFor();
  await by(world.page, "delete").click();
  await world.page.waitForURL(/\/me$/);
  await by(page, "room-closed").waitFor();
  check((await by(page, "room-closed").getAttribute("data-why")) === "trashed", "it isn't said why");
  await world.page.locator(`[data-testid="my-video"][data-video-id="${id}"]`).getByTestId("restore").click();
  await world.page.locator(`[data-testid="my-video"][data-video-id="${id}"][data-state="ready"]`).waitFor();
  await until("it is there again when it is looked at", async () => {
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    return (await by(page, "watch").count()) === 1;
  });
  await by(page, "watching").waitFor();
  // Kicked: the session of this browser is ended elsewhere.
  const sessions = await (await context.request.get("/api/v1/sessions")).json();
  complaints.expected.push([401, /^\/api\//]);
  const elsewhere = await somebody(world);
  await elsewhere.context.request.post("/api/v1/sessions", { data: { username: "visitor", password: OTHERS, platform: "elsewhere" } });
  await elsewhere.context.request.delete(`/api/v1/sessions/${sessions.items.find((session) => session.current).id}`);
  await page.waitForURL(/\/signin\?next=/);
  await world.shot("kicked", page);
  check(complaints.list.length === 0, complaints.list.join("\n"));
  await elsewhere.context.close();
  await context.close();
}
