// The upload page as the journeys use it: one person, their browser, what it asks the server for.
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { check, STEP_MS, until } from "./browser.mjs";

export const by = (page, id) => page.getByTestId(id);

/** The first piece (4 MiB) and some of the second get through. */
const MIDDLE = 6 * 2 ** 20;

export class Uploads {
  username = `u${Date.now().toString(36)}${Math.random().toString(36).slice(2, 6)}`;
  password = `long words ${Math.random().toString(36).slice(2)}`;
  /** Requests to /uploads and for grants, in order, of all pages. */
  asked = [];
  #world;
  #devtools = new Map();
  #hashes = new Map();

  constructor(world) {
    this.#world = world;
    this.listen(world.page);
  }

  listen(page) {
    page.on("request", (request) => {
      const { pathname } = new URL(request.url());
      if (!/^\/uploads(\/|$)|\/upload$/.test(pathname) || request.resourceType() === "document") return;
      const offset = request.headers()["upload-offset"];
      this.asked.push({ method: request.method(), path: pathname, offset: offset === undefined ? null : Number(offset) });
    });
  }

  async register() {
    const { context, page } = this.#world;
    const answer = await context.request.post("/api/v1/users", { data: { username: this.username, password: this.password, displayName: "Ursula Upload" }, timeout: STEP_MS });
    check(answer.status() === 201, `registering: ${answer.status()} ${await answer.text()}`);
    await page.goto("/upload");
    await by(page, "upload-form").waitFor();
  }

  /** What the browser believes of its network. */
  async network(change = {}, page = this.#world.page) {
    let devtools = this.#devtools.get(page);
    if (!devtools) this.#devtools.set(page, (devtools = await page.context().newCDPSession(page)));
    await devtools.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1, ...change });
  }

  /** So many bytes more get through to the server. */
  allow(bytes) {
    this.#world.server.wire.allow(bytes);
  }

  card(title, step, page = this.#world.page) {
    return page.locator(`[data-testid="upload-state"]${step ? `[data-step="${step}"]` : ""}`).filter({ hasText: title });
  }

  /** Begins to upload; resolves to its card. */
  async begin(file, title, page = this.#world.page) {
    if (!page.url().endsWith("/upload")) await page.goto("/upload");
    await by(page, "upload-input").setInputFiles(file);
    await by(page, "video-title").fill(title);
    await by(page, "upload-submit").click();
    const card = this.card(title, undefined, page);
    await card.waitFor();
    return card;
  }

  /** Begins, and holds the upload when some of it is safe and some isn't; resolves to how much is. */
  async inTheMiddle(file, title, page = this.#world.page) {
    this.#world.server.wire.dropHeld(); // of an earlier one
    this.allow(MIDDLE);
    await this.begin(file, title, page);
    const saved = await until(`some of “${title}” is safe`, () => this.saved(title, page));
    check(saved < statSync(file).size, "it was all sent before anything could happen in the middle");
    return saved;
  }

  /** The page goes away in the middle, and with it what it had on its way. */
  async reload(page = this.#world.page) {
    await page.reload();
    this.#world.server.wire.dropHeld();
    await by(page, "upload-form").waitFor();
  }

  async saved(title, page = this.#world.page) {
    return Number(await this.card(title, undefined, page).getAttribute("data-saved"));
  }

  /** Waits for the end, and compares what is stored with the file. */
  async becomes(file, title, page = this.#world.page, context = this.#world.context) {
    this.allow(Infinity);
    const card = this.card(title, undefined, page);
    await until(`“${title}” is ready`, async () => {
      const step = await card.getAttribute("data-step");
      check(step !== "failed", `it failed: ${await card.innerText()}`);
      return step === "ready";
    }, 90_000);
    const id = await card.getAttribute("data-video-id");
    const playback = await (await context.request.get(`/api/v1/videos/${id}/playback`, { timeout: STEP_MS })).json();
    const stored = await context.request.get(playback.sources[0].url, { timeout: 60_000 });
    const [got, wanted] = [createHash("sha256").update(await stored.body()).digest("hex"), this.sha256(file)];
    check(got === wanted, `what is stored of “${title}” (${id}) has SHA-256 ${got}, the file ${wanted}`);
    check(stored.headers().etag === `"${wanted}"`, "the server knows another SHA-256");
    await by(card, "upload-dismiss").click();
    await card.waitFor({ state: "detached" });
    return id;
  }

  sha256(file) {
    if (!this.#hashes.has(file)) this.#hashes.set(file, createHash("sha256").update(readFileSync(file)).digest("hex"));
    return this.#hashes.get(file);
  }

  /** The bytes that were sent since this many requests before: offsets of the PATCHes. */
  offsets(since) {
    return this.asked.slice(since).filter(({ method }) => method === "PATCH").map(({ offset }) => offset);
  }

  count(since, method, path) {
    return this.asked.slice(since).filter((request) => request.method === method && path.test(request.path)).length;
  }
}
