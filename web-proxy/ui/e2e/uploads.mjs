// Uploads that outlive everything, in a real browser against the real binary:
//   node e2e/uploads.mjs ../../target/debug/sluice --media ../../../shared/media [--shots DIR] [--chromium PATH] [--only NAME]
// In the middle of an upload: a reload, no network, kill -9 of the server, a restart of the browser, a second tab, a grant that expires, a session
// that ends, a pause, no place left. Each time the stored video must have the SHA-256 of the file.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { openBrowser, run } from "./browser.mjs";
import { Server } from "./server.mjs";
import * as breaks from "./uploads_breaks.mjs";
import * as ways from "./uploads_ways.mjs";
import { Uploads } from "./uploads_page.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { media: { type: "string" }, shots: { type: "string" }, only: { type: "string" }, chromium: { type: "string", default: "/usr/bin/chromium" } },
});
const binary = positionals[0];
if (!binary || !values.media) {
  console.error("usage: node e2e/uploads.mjs BINARY --media DIR [--shots DIR] [--chromium PATH] [--only NAME]");
  process.exit(2);
}
const media = (...names) => resolve(join(values.media, ...names));
const files = {
  large: media("ordinary", "real-mix-1080p30-faststart.mp4"),
  medium: [media("ordinary", "multi-audio-eng-fra-subtitle.mp4"), media("ordinary", "real-mix-moov-at-end.mp4"), media("ordinary", "video_big_buck_bunny.mp4")],
  notVideo: media("not-video", "text-named.mp4"),
};
for (const file of Object.values(files).flat()) {
  if (existsSync(file)) continue;
  console.error(`There is no ${file}.`);
  process.exit(2);
}

const TOTAL_MS = 420_000;
const STEPS = [
  ["an upload says what is safe", ways.showsWhatIsSafe],
  ["a reload in the middle", breaks.reload],
  ["another file is not taken for it", breaks.anotherFile],
  ["no network in the middle", breaks.offline],
  ["kill -9 and a restart in the middle", breaks.killed],
  ["two tabs", breaks.twoTabs],
  ["a restart of the browser", breaks.browserRestart],
  ["a grant that expires", breaks.expiredGrant],
  ["a session that ends", breaks.sessionEnds],
  ["two tabs without https", breaks.withoutHttps],
  ["a file that the browser keeps", ways.keptFile],
  ["pause and go on", ways.pauses],
  ["discard", ways.discards],
  ["no place left", ways.noPlace],
  ["several at once", ways.several],
  ["refused", ways.refused],
  ["narrow, dark, Chinese", ways.narrow],
];

const server = new Server(resolve(binary));
const base = await server.start();
const world = await openBrowser({ base, shots: values.shots, executablePath: values.chromium });
Object.assign(world, { server, files, chromium: values.chromium, uploads: new Uploads(world) });
try {
  const wanted = STEPS.filter(([name]) => !values.only || name.includes(values.only));
  await run("uploads", world, [["register", (w) => w.uploads.register()], ...wanted], TOTAL_MS);
  if (process.exitCode) console.error(server.log.split("\n").filter((line) => !/ access /.test(line)).slice(-30).join("\n"));
} finally {
  await server.close();
}
