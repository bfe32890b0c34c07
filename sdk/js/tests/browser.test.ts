// The built package in a real browser: modules loaded as they are published, the session as a cookie that the page can't read.
import { readFileSync, existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { chromium, type Browser, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { WebSocketServer } from "ws";
import { MemoryWorld, MockGateway } from "../mock/gateway.mjs";
import { danmaku, until, upTo } from "./helpers.js";

const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const dist = new URL("../dist/", import.meta.url);
const world = new MemoryWorld();
const gateway = new MockGateway({ WebSocketServer, world });
let server: Server;
let browser: Browser;
let page: Page;
let origin = "";
const complaints: string[] = [];

beforeAll(async () => {
  if (!existsSync(new URL("index.js", dist))) throw new Error("dist/ is not built: npm run build");
  world.addUser("secret", "mira");
  server = createServer((request, response) => {
    const name = /^\/dist\/([a-z]+\.js)$/.exec(request.url ?? "")?.[1];
    if (name && existsSync(new URL(name, dist))) return response.writeHead(200, { "Content-Type": "text/javascript" }).end(readFileSync(new URL(name, dist)));
    if (request.url === "/") {
      const headers = { "Content-Type": "text/html", "Set-Cookie": "sluice_session=secret; HttpOnly; SameSite=Lax; Path=/", "Content-Security-Policy": "default-src 'self'" };
      return response.writeHead(200, headers).end('<!doctype html><title>t</title><script type="module" src="/page.js"></script>');
    }
    if (request.url === "/page.js") return response.writeHead(200, { "Content-Type": "text/javascript" }).end(readFileSync(new URL("page.mjs", import.meta.url)));
    return response.writeHead(204).end();
  });
  server.on("upgrade", (request, socket, head) => gateway.handleUpgrade(request, socket, head));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: ["--no-sandbox", "--disable-gpu"] });
  page = await browser.newPage();
  page.on("pageerror", (error) => complaints.push(String(error)));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}, 60_000);
afterAll(async () => {
  await browser?.close();
  gateway.close();
  server?.close();
});

const say = (text: string) => gateway.publish(world.append("room", "danmaku", danmaku(text)));
interface Seen {
  seqs: number[];
  states: string[];
  ready: boolean;
}
const seen = () => page.evaluate(() => (globalThis as unknown as { seen: Seen }).seen);

it("connects by cookie, misses nothing and repeats nothing over a cut, and ends signed out", async () => {
  await page.goto(origin);
  await page.waitForFunction(() => (globalThis as unknown as { seen?: Seen }).seen?.ready);
  for (const number of upTo(5)) say(String(number));
  await waitFor(5);
  gateway.cutAll();
  say("while away");
  await waitFor(6);
  gateway.closeAll(1001);
  say("while away again");
  await waitFor(7);
  expect((await seen()).seqs).toEqual(upTo(7));
  gateway.kick("secret");
  await page.waitForFunction(() => (globalThis as unknown as { seen: Seen }).seen.states.at(-1) === "signed_out");
  expect((await seen()).states).toEqual(["connecting", "online", "waiting", "connecting", "online", "waiting", "connecting", "online", "signed_out"]);
  await until("no connection is left", () => gateway.connections.size === 0);
  expect(complaints).toEqual([]);
}, 60_000);

const waitFor = (count: number) => page.waitForFunction((most) => (globalThis as unknown as { seen: Seen }).seen.seqs.length >= most, count);
