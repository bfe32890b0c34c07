// A headless Chromium that fails loudly: whatever the page complains about (console errors, CSP violations, uncaught exceptions, requests to
// anywhere else) is collected and ends the run. Shared by the journeys.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP sluice.test 127.0.0.1"];

/** No single step may take longer. */
export const STEP_MS = 30_000;

export async function openBrowser({ base, shots, executablePath = "/usr/bin/chromium", context = {} }) {
  if (shots) mkdirSync(shots, { recursive: true });
  const browser = await chromium.launch({ executablePath, headless: true, args: ARGS, timeout: STEP_MS });
  const tab = await browser.newContext({ baseURL: base, locale: "en-US", viewport: { width: 1200, height: 900 }, ...context });
  const page = await tab.newPage();
  page.setDefaultTimeout(STEP_MS);
  const complaints = watch(page, new URL(base).origin);
  let count = 0;
  const shot = async (name, which = page) => {
    if (!shots) return;
    count += 1;
    await which.screenshot({ path: join(shots, `${String(count).padStart(2, "0")}-${name}.png`) });
  };
  return { base, browser, context: tab, page, complaints, shot };
}

/**
 * Collects complaints. `complaints.expected` holds [status, RegExp of the path]: a browser reports every failed request as a console error,
 * also those that are the right answer (a visitor who isn't signed in asks who they are: 401). `complaints.forgiven` holds RegExps of texts.
 */
export function watch(page, origin) {
  const complaints = { list: [], expected: [[401, /^\/api\/v1\/users\/me$/]], forgiven: [] };
  page.on("console", (message) => {
    if (message.type() !== "error" && !/Content.Security.Policy|Refused to/i.test(message.text())) return;
    const status = Number(/Failed to load resource: the server responded with a status of (\d+)/.exec(message.text())?.[1]);
    const path = pathOf(message.location().url);
    if (complaints.expected.some(([known, pattern]) => known === status && pattern.test(path))) return;
    if (complaints.forgiven.some((pattern) => pattern.test(message.text()))) return;
    complaints.list.push(`console: ${message.text()} (${path})`);
  });
  page.on("pageerror", (error) => complaints.list.push(`exception: ${error.stack ?? error.message}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (["http:", "https:"].includes(url.protocol) && url.origin !== origin) complaints.list.push(`request to another site: ${url.origin}`);
  });
  return complaints;
}

function pathOf(url) {
  try {
    return new URL(url).pathname;
  } catch {
    return url;
  }
}

export class Failed extends Error {}

export function check(holds, message) {
  if (!holds) throw new Failed(message);
}

/** Waits until `look` gives something true; tells what was last seen when it never does. */
export async function until(what, look, ms = STEP_MS) {
  const end = performance.now() + ms;
  let last;
  while (performance.now() < end) {
    last = await look();
    if (last) return last;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Failed(`${what}: not within ${ms / 1000} s (last seen: ${JSON.stringify(last)})`);
}

/** Runs named steps one after the other; the first that fails ends everything with its name, a picture and exit code 1. */
export async function run(name, world, steps, totalMs) {
  const timer = setTimeout(() => {
    console.error(`FAILED ${name}: not done within ${totalMs / 1000} s`);
    process.exit(1);
  }, totalMs);
  let current = "start";
  try {
    for (const [title, step] of steps) {
      current = title;
      const begun = performance.now();
      await step(world);
      check(world.complaints.list.length === 0, `the page complained:\n    ${world.complaints.list.join("\n    ")}`);
      console.log(`ok   ${title} (${Math.round(performance.now() - begun)} ms)`);
    }
    console.log(`PASSED ${name}: ${steps.length} steps`);
  } catch (error) {
    const heard = world.complaints.list.length > 0 ? `\n  the page said:\n    ${world.complaints.list.join("\n    ")}` : "";
    console.error(`FAILED ${name} at "${current}": ${error instanceof Failed ? error.message : error.stack}${heard}`);
    await world.shot("FAILED").catch(() => {});
    process.exitCode = 1;
  } finally {
    clearTimeout(timer);
    await world.browser.close().catch(() => {});
    world.other?.wire.close(); // else a failed run would never end
  }
}
