// The mock's bytes: uploads by tus and the file with ranges. Faults asked for by a test (POST /mock/faults) happen here.
import { randomUUID } from "node:crypto";
import { Refusal } from "./state.mjs";

const KEEP_MS = 86_400_000;

/** Answers `/uploads` and `/uploads/{id}`: tus 1.0.0 as far as the page speaks it. What a broken request brought is kept. */
export async function tus(state, request, id) {
  const facts = state.checkGrant(/^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1], "upload");
  const video = state.videos.get(facts.videoId);
  if (!video || video.state !== "awaiting_upload") throw new Refusal(409, "conflict", "This video already has its file.");
  if (id === undefined) return create(state, request, video);
  const upload = state.uploads.get(id);
  if (!upload || upload.video !== video) throw new Refusal(404, "not_found", "There is no such upload.");
  if (upload.ended) throw new Refusal(410, "gone", "This upload has ended; begin a new one.");
  if (request.method === "HEAD") return { status: 200, headers: place(upload) };
  if (request.method === "DELETE") {
    Object.assign(upload, { ended: true, bytes: Buffer.alloc(0) });
    return { status: 204 };
  }
  return await append(state, request, upload);
}

const place = (upload) => ({ "Upload-Offset": upload.bytes.length, "Upload-Length": upload.length, "Upload-Expires": new Date(Date.now() + KEEP_MS).toUTCString() });

function create(state, request, video) {
  const length = Number(request.headers["upload-length"]);
  if (length > state.options.maxBytes) throw new Refusal(413, "body_too_large", `The body may have at most ${state.options.maxBytes} bytes.`);
  const id = randomUUID();
  state.uploads.set(id, { video, length, bytes: Buffer.alloc(0), ended: false });
  return { status: 201, headers: { Location: `/uploads/${id}`, "Upload-Expires": new Date(Date.now() + KEEP_MS).toUTCString() } };
}

async function append(state, request, upload) {
  const { video } = upload;
  const fault = state.faults.find((candidate) => candidate.target === "bytes" && candidate.times > 0);
  if (fault) fault.times -= 1;
  if (fault?.status) throw new Refusal(fault.status, fault.code, fault.detail, { headers: fault.headers ?? {} });
  const at = upload.bytes.length;
  if (Number(request.headers["upload-offset"]) !== at) {
    throw new Refusal(409, "offset_mismatch", `This upload continues at ${at}.`, { headers: { "Upload-Offset": at }, more: { offset: at } });
  }
  let told = 0;
  try {
    for await (const part of request) {
      upload.bytes = Buffer.concat([upload.bytes, part]);
      if (fault?.dropAfter !== undefined && upload.bytes.length >= fault.dropAfter) {
        upload.bytes = upload.bytes.subarray(0, at); // as if it was killed
        return drop(request);
      }
      if (Date.now() - told >= 250) {
        told = Date.now();
        state.live?.toOwner(video, "OnUploadProgress", { receivedBytes: upload.bytes.length, totalBytes: upload.length });
      }
      const pace = fault?.bytesPerSecond ?? state.options.bytesPerSecond;
      if (pace) await new Promise((resolve) => setTimeout(resolve, (part.length / pace) * 1000));
    }
  } catch (thrown) {
    if (request.destroyed) return null; // the client has left
    throw thrown;
  }
  if (upload.bytes.length >= upload.length) {
    upload.ended = true;
    state.store(video, upload.bytes);
  }
  if (fault?.dropAtEnd) return drop(request);
  return { status: 204, headers: place(upload) };
}

/** Ends the connection without an answer. */
function drop(request) {
  request.socket.destroy();
  return null;
}

/** Answers `GET/HEAD /media/{grant}/{id}/file`, one range at most (RFC 9110, section 14). */
export function send(state, request, response, grant, videoId) {
  state.checkGrant(grant, "play", videoId);
  const file = state.videos.get(videoId)?.file;
  if (!file) throw new Refusal(404, "not_found", "There is no such file.");
  const headers = {
    "Content-Type": "video/mp4", "Accept-Ranges": "bytes", ETag: `"${videoId}-${file.length}"`, "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
  };
  if (new URL(request.url, "http://mock").searchParams.has("download")) headers["Content-Disposition"] = `attachment; filename="${videoId}.mp4"`;
  const range = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "");
  let [start, end] = [0, file.length - 1];
  if (range && (range[1] || range[2])) {
    start = range[1] ? Number(range[1]) : Math.max(file.length - Number(range[2]), 0);
    end = range[1] && range[2] ? Math.min(Number(range[2]), end) : end;
    if (start > end) throw new Refusal(416, "range_not_satisfiable", "Not within the file.", { headers: { "Content-Range": `bytes */${file.length}` } });
    headers["Content-Range"] = `bytes ${start}-${end}/${file.length}`;
  }
  headers["Content-Length"] = end - start + 1;
  response.writeHead(range ? 206 : 200, headers);
  if (request.method === "HEAD") return response.end();
  trickle(response, file.subarray(start, end + 1), state.options.mediaBytesPerSecond);
}

/** Sends slowly when asked to, so that a player really has to come back for more. */
function trickle(response, bytes, pace) {
  if (!pace) return response.end(bytes);
  const step = Math.max(Math.round(pace / 20), 1024);
  let at = 0;
  const timer = setInterval(() => {
    if (at >= bytes.length || response.destroyed) {
      clearInterval(timer);
      return response.end();
    }
    response.write(bytes.subarray(at, (at += step)));
  }, 50);
}
