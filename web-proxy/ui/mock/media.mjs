// The mock's bytes: the upload by PUT and the file with ranges. Faults asked for by a test (POST /mock/faults) happen here.
import { Refusal } from "./state.mjs";

/** Takes `PUT /uploads/by-video/{id}`; resolves to the answer. */
export async function receive(state, request, videoId) {
  const grant = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
  state.checkGrant(grant, "upload", videoId);
  const video = state.videos.get(videoId);
  if (!video || video.state !== "awaiting_upload") throw new Refusal(409, "conflict", "This video already has its file.");
  const fault = state.faults.find((candidate) => candidate.target === "put" && candidate.times > 0);
  if (fault) fault.times -= 1;
  if (fault?.status) throw new Refusal(fault.status, fault.code, fault.detail, { headers: fault.headers ?? {} });
  const limit = () => new Refusal(413, "body_too_large", `The body may have at most ${state.options.maxBytes} bytes.`);
  if (Number(request.headers["content-length"] ?? 0) > state.options.maxBytes) throw limit();

  const parts = [];
  let size = 0;
  let told = 0;
  for await (const part of request) {
    size += part.length;
    if (size > state.options.maxBytes) throw limit();
    if (fault?.dropAfter !== undefined && size >= fault.dropAfter) return drop(request);
    parts.push(part);
    if (Date.now() - told >= 250) {
      told = Date.now();
      state.live?.toOwner(video, "OnUploadProgress", { receivedBytes: size, totalBytes: Number(request.headers["content-length"]) || null });
    }
    const pace = fault?.bytesPerSecond ?? state.options.bytesPerSecond;
    if (pace) await new Promise((resolve) => setTimeout(resolve, (part.length / pace) * 1000));
  }
  state.store(video, Buffer.concat(parts));
  if (fault?.dropAtEnd) return drop(request);
  return { status: 201, body: {} };
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
