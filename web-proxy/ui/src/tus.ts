// tus 1.0.0 (https://tus.io/protocols/resumable-upload) as far as the page needs it, one function per request. A client of our own and not
// tus-js-client: of that, everything but these four requests would be switched off, because whoever uploads here is better served by what it
// doesn't do: waiting as long as Retry-After says, a grant asked for anew in the middle, the true offset taken from a 409 without another
// request, pieces as large as the connection is fast, dead connections noticed, and files that are chosen again checked by their content.
import { Problem } from "./problem";
import type { Answer, Send } from "./transfer";

const ENDPOINT = "/uploads";
const BYTES = "application/offset+octet-stream";

/** Questions move no data. A HEAD may have to wait until the request before it has saved what it has: half a minute at most. */
const ANSWER_MS = 45_000;

/** A piece is answered when it is synced to the disk. */
const SYNC_MS = 60_000;

/** The last piece is answered when the whole file is hashed, looked into and stored; large files on slow disks take a while. */
const STORE_MS = 180_000;

/** What the server has of an upload for good. */
export interface Kept {
  offset: number;
  /** Until when the server waits for more; null when it doesn't say. */
  expires: string | null;
}

export class Tus {
  #send: Send;

  constructor(send: Send) {
    this.#send = send;
  }

  /** Begins an upload; resolves to its address. */
  async create(grant: string, size: number, signal: AbortSignal): Promise<Kept & { location: string }> {
    const answer = await this.#send(ask("POST", ENDPOINT, grant, { "Upload-Length": String(size) }, ANSWER_MS), signal);
    const location = answer.header("Location");
    if (location === null) throw broken("POST without a Location");
    return { location: new URL(location, new URL(ENDPOINT, origin())).pathname, offset: 0, expires: expires(answer) };
  }

  /** How far it is. A request that is still sending to it is ended by this. */
  async where(location: string, grant: string, signal: AbortSignal): Promise<Kept> {
    return kept(await this.#send(ask("HEAD", location, grant, {}, ANSWER_MS), signal));
  }

  /** Sends bytes; `last`: with them the file is whole. */
  async append(location: string, grant: string, offset: number, bytes: Blob, last: boolean, onSent: (bytes: number) => void, signal: AbortSignal): Promise<Kept> {
    const headers = { "Upload-Offset": String(offset), "Content-Type": BYTES };
    const answer = kept(await this.#send({ ...ask("PATCH", location, grant, headers, last ? STORE_MS : SYNC_MS), body: bytes }, signal, onSent));
    if (answer.offset <= offset || answer.offset > offset + bytes.size) throw broken(`PATCH at ${offset} answers ${answer.offset}`);
    return answer;
  }

  /** Ends it; nothing of it stays at the server. */
  async end(location: string, grant: string, signal: AbortSignal): Promise<void> {
    await this.#send(ask("DELETE", location, grant, {}, ANSWER_MS), signal);
  }
}

function ask(method: string, url: string, grant: string, more: Record<string, string>, answerMs: number) {
  return { method, url, headers: { "Tus-Resumable": "1.0.0", Authorization: `Bearer ${grant}`, Accept: "application/json", ...more }, answerMs };
}

function kept(answer: Answer): Kept {
  const text = answer.header("Upload-Offset") ?? "";
  if (!/^\d{1,16}$/.test(text)) throw broken(`Upload-Offset: ${text}`);
  return { offset: Number(text), expires: expires(answer) };
}

/** As ISO 8601, so that it sorts and lasts. */
function expires(answer: Answer): string | null {
  const time = Date.parse(answer.header("Upload-Expires") ?? "");
  return Number.isNaN(time) ? null : new Date(time).toISOString();
}

const origin = () => (typeof location === "undefined" ? "http://page" : location.origin);
const broken = (detail: string) => new Problem({ code: "broken", status: 0, detail });
