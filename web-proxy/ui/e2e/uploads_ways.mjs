// What a person can do with uploads, and what they are told.
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { basename } from "node:path";
import { check, STEP_MS, until } from "./browser.mjs";
import { by } from "./uploads_page.mjs";

/** Bytes per second; the first piece takes some seconds, and the rest as long again. */
const SLOW = 700_000;

export async function showsWhatIsSafe({ page, uploads, files, shot }) {
  const title = "Said plainly";
  await uploads.network({ uploadThroughput: SLOW });
  await uploads.begin(files.large, title);
  await until("some of it is safe", () => uploads.saved(title));
  const card = uploads.card(title);
  check(/4\.19 MB of 11\.7 MB are safe at the server/.test(await by(card, "upload-saved").innerText()), `what is safe: ${await by(card, "upload-saved").innerText()}`);
  await until("bytes, rate and time are told", async () => /MB of 11\.7 MB · .*\/s · about .* left/.test(await by(card, "upload-detail").innerText()));
  check(Number(await by(card, "upload-saved-bar").getAttribute("value")) === 35, "the inner bar isn't what is safe");
  await shot("sending");
  await by(page, "brand").click();
  await until("other pages tell how far it is", async () => /Uploading \d+/.test(await by(page, "upload-chip").innerText()));
  await by(page, "upload-chip").click();
  await uploads.network();
  await uploads.becomes(files.large, title);
}

/** A file of the origin's own file system stands for one that the browser's dialog gives: the same kind of handle, and no dialog to click. */
export async function keptFile({ page, uploads, files, shot }) {
  const title = "Kept";
  await page.goto("/upload");
  const picked = () => {
    globalThis.showOpenFilePicker = async () => [await (await navigator.storage.getDirectory()).getFileHandle("kept.mp4")];
  };
  await page.addInitScript(picked);
  await page.evaluate(picked);
  const write = async (base64) => {
    const handle = await (await navigator.storage.getDirectory()).getFileHandle("kept.mp4", { create: true });
    const stream = await handle.createWritable();
    await stream.write(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)));
    await stream.close();
  };
  await page.evaluate(write, readFileSync(files.large).toString("base64"));
  uploads.allow(6 * 2 ** 20);
  await by(page, "upload-input").click();
  await until("the picked file is shown", async () => (await by(page, "upload-form").innerText()).includes("kept.mp4"));
  await by(page, "video-title").fill(title);
  await by(page, "upload-submit").click();
  const saved = await until("some is safe", () => uploads.saved(title));
  await uploads.reload();
  await until("it goes on without being asked", async () => ["sending", "storing"].includes(await uploads.card(title).getAttribute("data-step")));
  check((await uploads.saved(title)) >= saved, "it went on from an earlier place");
  await by(uploads.card(title), "upload-pause").click();
  await uploads.card(title, "paused").waitFor();
  await page.reload();
  await uploads.card(title, "asleep").waitFor();
  check(await by(uploads.card(title), "upload-continue").isVisible(), "what was paused isn't offered to go on");
  await shot("kept-file");
  await by(uploads.card(title), "upload-continue").click();
  await uploads.becomes(files.large, title);
  // The pages to come choose by the input.
  await page.addInitScript(() => delete globalThis.showOpenFilePicker);
  await page.reload();
}

export async function pauses({ server, uploads, files, shot }) {
  const title = "Paused";
  const saved = await uploads.inTheMiddle(files.large, title);
  const card = uploads.card(title);
  // It is held back: the rate of before is not shown for ever.
  await until("it says that nothing moves", async () => /waiting for the connection/.test(await by(card, "upload-detail").innerText()));
  check(!/left/.test(await by(card, "upload-detail").innerText()), "a time that is left is told though nothing moves");
  await by(card, "upload-pause").click();
  await uploads.card(title, "paused").waitFor();
  server.wire.dropHeld();
  const since = uploads.asked.length;
  await shot("paused");
  check(await by(card, "upload-continue").evaluate((button) => button === document.activeElement), "the focus is lost by a pause");
  check(uploads.offsets(since).length === 0, "bytes are sent while it is paused");
  await by(card, "upload-continue").click();
  await uploads.becomes(files.large, title);
  check(uploads.offsets(since)[0] >= saved, `it went on at ${uploads.offsets(since)}, ${saved} were safe`);
}

export async function discards({ server, page, context, uploads, files, shot }) {
  const title = "Discarded";
  await uploads.inTheMiddle(files.large, title);
  const id = await uploads.card(title).getAttribute("data-video-id");
  check(server.parts().length === 1, `unfinished files at the server: ${server.parts()}`);
  await by(uploads.card(title), "upload-discard").click();
  await by(page, "discard-dialog").waitFor();
  await shot("discard");
  const since = uploads.asked.length;
  await by(page, "discard-dialog-yes").click();
  await uploads.card(title).waitFor({ state: "detached" });
  check(uploads.count(since, "DELETE", /^\/uploads\//) === 1, "it wasn't ended at the server");
  await until("nothing of it stays", () => server.parts().length === 0);
  await until("its entry is gone", async () => [404, 410].includes((await context.request.get(`/api/v1/videos/${id}`, { timeout: STEP_MS })).status()));
  await page.reload();
  await by(page, "upload-form").waitFor();
  check((await uploads.card(title).count()) === 0, "it is still remembered");
  // One that this page never ran.
  await uploads.inTheMiddle(files.large, `${title} later`);
  await uploads.reload();
  await by(uploads.card(`${title} later`, "asleep"), "upload-discard").click();
  await by(page, "discard-dialog-yes").click();
  await uploads.card(`${title} later`).waitFor({ state: "detached" });
  await until("nothing of it stays", () => server.parts().length === 0);
}

/** All four places of the user are taken by uploads that hang. */
export async function noPlace({ base, context, uploads, files, shot, complaints }) {
  const title = "No place";
  complaints.expected.push([429, /^\/uploads/]);
  const held = [];
  for (let place = 0; place < 4; place += 1) {
    const { video, upload } = await (await context.request.post("/api/v1/videos", { data: { title: `Hanging ${place}` }, headers: { "Sec-Fetch-Site": "same-origin" } })).json();
    const hanging = request(new URL(upload.url, base), { method: "PUT", headers: { Authorization: `Bearer ${upload.grant}`, "Content-Length": 1_000_000 } });
    hanging.on("error", () => {});
    hanging.write(Buffer.alloc(10));
    held.push({ hanging, id: video.id });
  }
  uploads.allow(Infinity);
  await uploads.begin(files.medium[0], title);
  await uploads.card(title, "waiting").waitFor();
  check(/Too many uploads at once/.test(await uploads.card(title).innerText()), `why: ${await uploads.card(title).innerText()}`);
  await shot("no-place");
  for (const { hanging } of held) hanging.destroy();
  await uploads.becomes(files.medium[0], title);
  for (const { id } of held) await context.request.delete(`/api/v1/videos/${id}?permanent=true`, { headers: { "Sec-Fetch-Site": "same-origin" } });
}

export async function several({ page, uploads, files, shot }) {
  await page.goto("/upload");
  uploads.allow(2 ** 20);
  const titles = files.medium.map((file) => basename(file).replace(".mp4", "").replaceAll("_", " "));
  await by(page, "upload-input").setInputFiles(files.medium);
  check((await by(page, "upload-title").count()) === 3, "not each file has a title of its own");
  await shot("several-chosen");
  await by(page, "upload-form").getByRole("button", { name: /^Leave out/ }).first().click();
  await by(page, "upload-form").getByRole("button", { name: /^Leave out/ }).last().click();
  check((await by(page, "video-title").inputValue()) === titles[1], "the one that is left has lost its title");
  await by(page, "upload-input").setInputFiles(files.medium);
  await page.evaluate(() => {
    globalThis.mostAtOnce = 0;
    const look = () => {
      const steps = [...document.querySelectorAll('[data-testid="upload-state"]')].filter(({ dataset }) => ["preparing", "sending", "storing"].includes(dataset.step));
      globalThis.mostAtOnce = Math.max(globalThis.mostAtOnce, steps.length);
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  await by(page, "upload-submit").click();
  await uploads.card(titles[0], "sending").waitFor();
  await uploads.card(titles[1], "sending").waitFor();
  await uploads.card(titles[2], "queued").waitFor();
  await shot("several");
  for (const [index, file] of files.medium.entries()) await uploads.becomes(file, titles[index]);
  check((await page.evaluate(() => globalThis.mostAtOnce)) === 2, `${await page.evaluate(() => globalThis.mostAtOnce)} at once`);
}

export async function refused({ page, uploads, files, shot, complaints, server }) {
  complaints.expected.push([415, /^\/uploads/]);
  await uploads.begin(files.notVideo, "Not a video");
  const card = uploads.card("Not a video", "failed");
  await card.waitFor();
  check((await by(card, "upload-problem").getAttribute("data-code")) === "unsupported_media", "another problem");
  check(/plain text/.test(await by(card, "upload-problem-detail").innerText()), "it isn't said what was found");
  check(/Convert it to MP4/.test(await by(card, "upload-advice").innerText()), "it isn't said what to do");
  check((await by(card, "retry").count()) === 0, "a refused file is offered to be sent again");
  await shot("refused");
  await page.reload();
  await by(page, "upload-form").waitFor();
  check((await uploads.card("Not a video").count()) === 0, "a refused file is still remembered");
  await until("nothing of it stays", () => server.parts().length === 0);
  await page.goto("/me");
  await by(page, "my-video").first().waitFor();
  await until("its entry is gone", async () => !(await by(page, "my-videos").innerText()).includes("Not a video"));
}

export async function narrow({ page, uploads, files, shot }) {
  const title = "A rather long title for a video, as people like to give them, with many words";
  await page.setViewportSize({ width: 360, height: 740 });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.goto("/upload");
  await uploads.inTheMiddle(files.large, title);
  const fits = async (what) => {
    const wide = await page.evaluate(() => [...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.className || e.tagName));
    check(wide.length === 0, `${what} is wider than 360 px: ${wide}`);
  };
  await fits("sending");
  await shot("narrow-sending");
  await uploads.reload();
  await by(uploads.card(title, "asleep"), "upload-choose").setInputFiles(files.medium[0]);
  await by(uploads.card(title), "upload-complaint").waitFor();
  await fits("unfinished");
  await shot("narrow-another-file");
  await by(page, "language-zh-CN").click();
  await until("it speaks Chinese", async () => /大小不同/.test(await by(uploads.card(title), "upload-complaint").innerText()));
  await fits("Chinese");
  await shot("narrow-chinese");
  await page.setViewportSize({ width: 1200, height: 900 });
  await page.emulateMedia({ colorScheme: "light" });
  await by(uploads.card(title), "upload-choose").setInputFiles(files.large);
  await until("it goes on", async () => ["sending", "storing", "ready"].includes(await uploads.card(title).getAttribute("data-step")));
  await shot("chinese");
  await uploads.becomes(files.large, title);
  await by(page, "language-en").click();
}
