// A development stand-in for the Rust services: `node mock/server.mjs [--port N] [--media DIR] ...`. It keeps to the HTTP contract, sends the
// real server's CSP and answers the page for unknown paths, so that what works here works there. Never part of the product.
import { readdirSync, readFileSync, existsSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { api } from "./api.mjs";
import { Live } from "./live.mjs";
import { send, tus } from "./media.mjs";
import { Refusal, State } from "./state.mjs";

const CSP =
  "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; connect-src 'self'; " +
  "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const MAX_JSON_BYTES = 64 * 1024;

const numbers = { port: "8080", "max-bytes": String(2 * 2 ** 30), "processing-ms": "600", "purge-ms": "900", "playback-ttl-ms": "3600000", "upload-ttl-ms": "3600000", "bytes-per-second": "0", "media-bytes-per-second": "0" };
const { values } = parseArgs({
  options: { media: { type: "string" }, ...Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, { type: "string", default: value }])) },
});
const camel = (name) => name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
const options = Object.fromEntries(Object.keys(numbers).map((name) => [camel(name), Number(values[name])]));
const state = new State(options);
if (values.media) seed(values.media);

const server = createServer((request, response) => {
  answer(request, response).catch((thrown) => refuse(request, response, thrown));
});
state.live = new Live(state);
state.live.attach(server);
server.listen(options.port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));

async function answer(request, response) {
  response.setHeader("Content-Security-Policy", CSP);
  response.setHeader("X-Content-Type-Options", "nosniff");
  const { pathname, searchParams } = new URL(request.url, "http://mock");
  const media = /^\/media\/([^/]+)\/([^/]+)\/file$/.exec(pathname);
  if (media) return send(state, request, response, media[1], media[2]);
  const upload = /^\/uploads(?:\/([^/]+))?$/.exec(pathname);
  if (upload) return reply(response, await tus(state, request, upload[1]));
  if (pathname === "/mock/faults") {
    state.faults = [].concat(await jsonBody(request));
    return reply(response, { status: 204 });
  }
  if (pathname === "/mock/gateway") {
    Object.assign(state.live.gateway.faults, await jsonBody(request));
    const { cut, closeAll } = Object.fromEntries(searchParams);
    if (cut !== undefined) state.live.gateway.cutAll();
    if (closeAll !== undefined) state.live.gateway.closeAll(Number(closeAll));
    return reply(response, { status: 204 });
  }
  if (pathname.startsWith("/api/")) return reply(response, api(state, await apiRequest(request, pathname, searchParams)));
  servePage(request, response, pathname);
}

async function apiRequest(request, path, query) {
  const token = /(?:^|;\s*)sluice_session=([^;]+)/.exec(request.headers.cookie ?? "")?.[1];
  const session = token ? state.sessions.get(token) : undefined;
  if (session) session.lastSeenAt = new Date().toISOString();
  const changing = !["GET", "HEAD"].includes(request.method);
  if (changing && token && !["same-origin", undefined].includes(request.headers["sec-fetch-site"])) {
    throw new Refusal(403, "forbidden", "Changes must come from this site.");
  }
  return { method: request.method, path, query, token, user: session && state.users.get(session.username), body: changing ? await jsonBody(request) : {} };
}

async function jsonBody(request) {
  let text = "";
  for await (const part of request) {
    text += part;
    if (text.length > MAX_JSON_BYTES) throw new Refusal(413, "body_too_large", "The body is too large.");
  }
  try {
    return text === "" ? {} : JSON.parse(text);
  } catch {
    throw new Refusal(400, "bad_request", "The body is not JSON.");
  }
}

function reply(response, result) {
  if (!result) return;
  const { status, body, headers = {} } = result;
  if (body === undefined) return response.writeHead(status, headers).end();
  response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));
}

function refuse(request, response, thrown) {
  const known = thrown instanceof Refusal;
  if (!known && thrown.code !== "ECONNRESET") console.error(thrown);
  if (response.headersSent || response.destroyed) return response.destroy();
  const { status = 500, code = "internal", detail = "Something went wrong.", errors, headers = {}, more = {} } = known ? thrown : {};
  const problem = { type: `/problems/${code}`, title: code, status, detail, code, operationID: "mock", ...(errors ? { errors } : {}), ...more };
  response.writeHead(status, { "Content-Type": "application/problem+json", ...headers });
  response.end(JSON.stringify(problem));
  request.resume(); // read on, so that the client gets to see the answer
}

function servePage(request, response, pathname) {
  const file = join(DIST, normalize(pathname));
  const known = file.startsWith(DIST) && extname(file) !== "" && existsSync(file);
  if (!known && !(request.headers.accept ?? "").includes("text/html")) throw new Refusal(404, "not_found", "There is no such file.");
  const path = known ? file : join(DIST, "index.html");
  const cache = pathname.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache";
  response.writeHead(200, { "Content-Type": TYPES[extname(path)] ?? "application/octet-stream", "Cache-Control": cache });
  response.end(readFileSync(path));
}

/** Fills the mock with real videos of a folder, by two authors. */
function seed(folder) {
  const authors = [state.addUser("mira", "correct horse", "Mira Okafor"), state.addUser("jonas", "correct horse", "Jonas Lindqvist")];
  for (const [index, name] of readdirSync(folder).filter((entry) => entry.endsWith(".mp4")).entries()) {
    const video = state.addVideo(authors[index % 2], { title: name.replace(/\.mp4$/, "").replaceAll(/[_-]+/g, " ").trim() });
    state.store(video, readFileSync(join(folder, name)));
    Object.assign(video, { state: "ready", readyAt: video.createdAt });
  }
}
