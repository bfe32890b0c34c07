// Runs one upload: asks for the video, sends the file, waits until the server has looked inside. A dropped connection is tried again by
// itself a few times; what the server refuses is shown in its own words. What the visitor gives up is removed again.
import { asProblem, Problem } from "./problem";
import { Store } from "./store";
import type { Transfer } from "./transfer";
import type { Upload, Video, Visibility } from "./types";
import { IDLE, inFlight, next, type UploadEvent, type UploadState } from "./upload_state";

export interface Fields {
  title: string;
  description: string;
  visibility: Visibility;
}

export interface UploadWorld {
  create(fields: Fields, signal: AbortSignal): Promise<{ video: Video; upload: Upload }>;
  transfer: Transfer;
  video(id: string, signal: AbortSignal): Promise<Video>;
  discard(id: string): Promise<void>;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Milliseconds of the wall clock; only compared with the grant's expiry and for the rate. */
  now(): number;
  tooLarge(size: number, maxBytes: number): string;
}

/** Waits before sending again after the connection broke, in seconds. Then it is the visitor's turn. */
const RETRY_SECONDS = [1, 3, 9, 20];

/** Waits between looks at the processing video, in milliseconds: quick at first, then every 5 s, for about 10 minutes in all. */
const LOOKS_MS = [200, 300, 500, 800, 1200, 2000, 3000, ...Array.from({ length: 120 }, () => 5000)];

/** After this many looks (about 20 s) the page says that it may take longer. */
const SLOW_AFTER_LOOKS = 9;

export class Uploader {
  readonly state = new Store<UploadState>(IDLE);
  #world: UploadWorld;
  #abort = new AbortController();
  #current: { file: File; fields: Fields; upload: Upload | null } | null = null;

  constructor(world: UploadWorld) {
    this.#world = world;
  }

  /** Starts anew; does nothing while an upload runs. */
  async start(file: File, fields: Fields): Promise<void> {
    const job = { title: fields.title, fileName: file.name, totalBytes: file.size };
    if (!this.#tell({ type: "started", job })) return;
    this.#abort = new AbortController();
    this.#current = { file, fields, upload: null };
    await this.#guarded(async (signal) => {
      const { video, upload } = await this.#world.create(fields, signal);
      this.#tell({ type: "created", videoId: video.id });
      if (this.#current) this.#current.upload = upload;
      if (file.size > upload.maxBytes) {
        await this.#discard(video.id);
        throw new Problem({ code: "body_too_large", status: 413, detail: this.#world.tooLarge(file.size, upload.maxBytes) });
      }
      await this.#send(video.id, upload, file, signal);
    });
  }

  /** Sends the same file again after a failure: to the same video while its grant lasts, else to a new one. */
  async retry(): Promise<void> {
    const state = this.state.value;
    const current = this.#current;
    if (state.step !== "failed" || !current) return;
    const { upload, file, fields } = current;
    const { videoId } = state;
    if (!upload || videoId === null || Date.parse(upload.expiresAt) <= this.#world.now()) {
      if (videoId !== null) await this.#discard(videoId);
      return this.start(file, fields);
    }
    this.#abort = new AbortController();
    this.#tell({ type: "resumed" });
    await this.#guarded(async (signal) => {
      if (await this.#alreadyStored(videoId, signal)) return this.#settle(videoId, signal);
      await this.#send(videoId, upload, file, signal);
    });
  }

  /** Stops and removes what was begun. */
  cancel(): void {
    this.#abort.abort();
  }

  /** Forgets an upload that has all its bytes there; one that failed is removed from the server too. */
  async dismiss(): Promise<void> {
    const state = this.state.value;
    if (inFlight(state)) return;
    this.#current = null;
    this.#tell({ type: "dismissed" });
    this.#abort.abort();
    if (state.step === "failed" && state.videoId !== null) await this.#discard(state.videoId);
  }

  async #guarded(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#abort;
    try {
      await work(signal);
    } catch (thrown) {
      if (!signal.aborted) {
        this.#tell({ type: "failed", problem: asProblem(thrown) });
        return;
      }
      const state = this.state.value;
      this.#tell({ type: "dismissed" });
      if (inFlight(state) && "videoId" in state && state.videoId !== null) await this.#discard(state.videoId);
    }
  }

  async #send(videoId: string, upload: Upload, file: File, signal: AbortSignal): Promise<void> {
    for (const wait of [...RETRY_SECONDS, null]) {
      try {
        await this.#world.transfer(upload, file, this.#meter(), signal);
        return await this.#settle(videoId, signal);
      } catch (thrown) {
        signal.throwIfAborted();
        const problem = asProblem(thrown);
        // A browser sends a request again by itself when a kept-alive connection breaks: the second one meets the first one's file.
        if (problem.status === 409 && (await this.#alreadyStored(videoId, signal))) return await this.#settle(videoId, signal);
        const broke = problem.code === "network" || problem.code === "timeout";
        if (!broke || wait === null) throw problem;
        await this.#checkReadable(file);
        this.#tell({ type: "interrupted", problem, seconds: wait });
        await this.#world.sleep(wait * 1000, signal);
        // The break may have come after the last byte, or the server's refusal may have been lost with it.
        if (await this.#alreadyStored(videoId, signal)) return await this.#settle(videoId, signal);
        this.#tell({ type: "resumed" });
      }
    }
  }

  /** Looks at the video until it is ready or failed. */
  async #settle(videoId: string, signal: AbortSignal): Promise<void> {
    this.#tell({ type: "stored" });
    for (const [look, wait] of LOOKS_MS.entries()) {
      const video = await this.#look(videoId, signal);
      if (video?.state === "ready") {
        this.#tell({ type: "ready" });
        return;
      }
      if (video?.state === "failed") throw refusal(video);
      if (look === SLOW_AFTER_LOOKS) this.#tell({ type: "slow" });
      await this.#world.sleep(wait, signal);
    }
  }

  async #alreadyStored(videoId: string, signal: AbortSignal): Promise<boolean> {
    const video = await this.#look(videoId, signal);
    if (video?.state === "failed") throw refusal(video);
    return video !== null && video.state !== "awaiting_upload";
  }

  /** The video as it is now, or null when the server couldn't be asked just now. */
  async #look(videoId: string, signal: AbortSignal): Promise<Video | null> {
    try {
      return await this.#world.video(videoId, signal);
    } catch (thrown) {
      signal.throwIfAborted();
      const problem = asProblem(thrown);
      if (problem.passing) return null;
      throw problem;
    }
  }

  async #checkReadable(file: File): Promise<void> {
    try {
      await file.slice(0, 1).arrayBuffer();
    } catch {
      throw new Problem({ code: "unreadable", status: 0, detail: "" });
    }
  }

  async #discard(videoId: string): Promise<void> {
    try {
      await this.#world.discard(videoId);
    } catch (thrown) {
      // Not the visitor's trouble: the server expires unfinished uploads by itself.
      console.info("Could not remove the unfinished video", videoId, asProblem(thrown).code);
    }
  }

  /** A progress listener that also knows the rate, smoothed over about three seconds. */
  #meter(): (sentBytes: number) => void {
    let lastTime = this.#world.now();
    let lastSent = 0;
    let rate: number | null = null;
    return (sentBytes) => {
      const seconds = (this.#world.now() - lastTime) / 1000;
      if (seconds >= 0.25) {
        const fresh = (sentBytes - lastSent) / seconds;
        const weight = Math.min(seconds / 3, 1);
        rate = rate === null ? fresh : rate * (1 - weight) + fresh * weight;
        lastTime = this.#world.now();
        lastSent = sentBytes;
      }
      this.#tell({ type: "progressed", sentBytes, bytesPerSecond: rate });
    };
  }

  #tell(event: UploadEvent): boolean {
    const before = this.state.value;
    this.state.set(next(before, event));
    return this.state.value !== before;
  }
}

function refusal(video: Video): Problem {
  return new Problem({ code: "unsupported_media", status: 415, detail: video.failure ?? "" });
}
