// Runs one upload from wherever it stands to a video that plays: asks for the video, for a grant, for an upload, how far that is, sends the rest
// piece by piece, waits until the server has looked inside. What can be mended by waiting or asking anew is mended here (verdict.ts says how);
// for everything else it stops and says why. What has to survive a reload is in its record, kept before it is relied on.
import { STORED } from "./discard";
import { Meter } from "./meter";
import { Pieces } from "./pieces";
import { asProblem, Problem } from "./problem";
import { checkReadable } from "./same_file";
import { look, settle } from "./settle";
import { Store } from "./store";
import type { Tus } from "./tus";
import type { Upload, Video } from "./types";
import type { Fields, UploadRecord } from "./upload_records";
import { fresh, next, type UploadEvent, type UploadState } from "./upload_state";
import { judge, type Asked, type Verdict } from "./verdict";

export interface UploadWorld {
  create(fields: Fields, signal: AbortSignal): Promise<{ video: Video; upload: Upload }>;
  /** A fresh grant for a video that waits for its file. */
  grant(videoId: string, signal: AbortSignal): Promise<Upload>;
  tus: Pick<Tus, "create" | "where" | "append" | "end">;
  video(id: string, signal: AbortSignal): Promise<Video>;
  /** Removes the video and whatever there is of it. */
  remove(videoId: string): Promise<void>;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Resolves as soon as the connection is likely to be back; never when that can't be told. */
  connected(signal: AbortSignal): Promise<void>;
  isOffline(): boolean;
  /** The gateway is there. */
  isLive(): boolean;
  /** Tells how many bytes have arrived, where the gateway says it; returns the way to stop. */
  onArrival(videoId: string, listener: (bytes: number) => void): () => void;
  /** Milliseconds of the wall clock. */
  now(): number;
  keep(record: UploadRecord): Promise<void>;
  tooLarge(size: number, maxBytes: number): string;
}

export class Uploader {
  readonly state: Store<UploadState>;
  readonly record: UploadRecord;
  file: File | null = null;
  #world: UploadWorld;
  #abort = new AbortController();
  #ticket: Upload | null = null;
  /** What the server is known to have; null: it has to be asked. */
  #offset: number | null = null;
  #pieces = new Pieces();
  #asked: Asked = "entry";
  #lastPiece = 0;
  /** What `judge` wants to know. */
  #failures = 0;
  #freshGrant = false;
  #lost = 0;
  #whole = false;
  /** The video has its file: all that is left is to wait for it. */
  #stored = false;
  #hurry: () => void = () => {};

  constructor(world: UploadWorld, record: UploadRecord) {
    this.#world = world;
    this.record = record;
    const job = { title: record.fields.title, fileName: record.file.name, totalBytes: record.file.size };
    this.state = new Store(fresh(job, record.saved, record.videoId, record.expires));
  }

  tell(event: UploadEvent): void {
    this.state.set(next(this.state.value, event));
  }

  /** Resolves when nothing more happens by itself: it is ready, has failed, or was stopped. Never throws. */
  async run(): Promise<void> {
    const { file } = this;
    if (!file) return;
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    this.#failures = this.#lost = 0;
    this.#whole = this.#stored = false;
    this.#offset = null;
    try {
      while (!(await this.#attempt(file, signal))) signal.throwIfAborted();
    } catch (thrown) {
      if (signal.aborted) return; // whoever stopped it has said so
      const problem = asProblem(thrown);
      if (problem.code === "unreadable") this.tell({ type: "slept", keptFile: false, complaint: "unreadable" });
      else this.tell({ type: "failed", problem, mayRetry: true });
    }
  }

  /** Stops what runs, unless there is nothing to stop any more. */
  stop(why: "paused" | "signed_out" | "discarding"): void {
    const before = this.state.value;
    this.tell({ type: why });
    if (this.state.value !== before) this.halt();
  }

  /** Ends a wait for the connection. */
  hurry(): void {
    this.#hurry();
  }

  halt(): void {
    this.#abort.abort();
    this.#ticket = null; // it names the session
  }

  /** From now on it is an upload of this file, from its beginning and to a video of its own: what was under way for the one before may still arrive. */
  async become(file: UploadRecord["file"]): Promise<void> {
    await this.#change({ file, videoId: null, location: null, saved: 0, expires: null });
    this.#ticket = null;
    const job = { title: this.record.fields.title, fileName: file.name, totalBytes: file.size };
    this.state.set({ ...fresh(job), step: this.state.value.step });
  }

  /** True when it has come to an end. */
  async #attempt(file: File, signal: AbortSignal): Promise<boolean> {
    try {
      this.tell({ type: "begun" });
      if (!this.#stored) await this.#send(file, signal);
      this.#stored = true;
      this.#asked = "entry";
      await settle(this.#world, this.record.videoId ?? "", (event) => this.tell(event), signal);
      return true;
    } catch (thrown) {
      signal.throwIfAborted();
      return await this.#mend(asProblem(thrown), file, signal);
    }
  }

  async #send(file: File, signal: AbortSignal): Promise<void> {
    const grant = await this.#ready(file, signal);
    const location = await this.#place(grant, file, signal);
    const total = file.size;
    let offset = this.#offset ?? 0;
    this.#whole = offset >= total;
    this.tell({ type: "placed", saved: offset, expires: this.record.expires });
    const meter = new Meter(offset, () => this.#world.now(), this.#world.isLive());
    const show = () => this.tell({ type: "progressed", sent: meter.bytes, rate: meter.rate });
    const deaf = this.#world.onArrival(this.record.videoId ?? "", (bytes) => {
      if (bytes < total) meter.arrived(bytes); // the last one is told by the answer
      show();
    });
    try {
      while (offset < total) {
        const from = offset;
        const size = (this.#lastPiece = this.#pieces.next(total - from));
        const begun = this.#world.now();
        this.#asked = "bytes";
        this.#offset = null; // unknown until it is answered
        const sent = (bytes: number) => {
          meter.sent(from + bytes);
          this.#whole ||= from + bytes >= total;
          show();
        };
        const kept = await this.#world.tus.append(location, grant, from, file.slice(from, from + size), from + size === total, sent, signal);
        this.#pieces.took(kept.offset - from, this.#world.now() - begun);
        offset = await this.#saved(kept.offset, kept.expires);
        meter.saved(offset);
        show();
      }
    } finally {
      deaf();
    }
  }

  /** There is a video, and a grant that is good by all that is known here. */
  async #ready(file: File, signal: AbortSignal): Promise<string> {
    if (this.record.videoId === null) {
      this.#asked = "entry";
      const { video, upload } = await this.#world.create(this.record.fields, signal);
      this.#ticket = upload;
      await this.#change({ videoId: video.id });
      this.tell({ type: "created", videoId: video.id });
    }
    if (!this.#ticket || Date.parse(this.#ticket.expiresAt) <= this.#world.now()) {
      this.#asked = "grant";
      this.#ticket = await this.#world.grant(this.record.videoId ?? "", signal);
      this.#freshGrant = true;
    }
    const { grant, maxBytes } = this.#ticket;
    if (file.size > maxBytes) {
      this.#asked = "begin"; // which is what the server would refuse
      throw new Problem({ code: "body_too_large", status: 413, detail: this.#world.tooLarge(file.size, maxBytes) });
    }
    return grant;
  }

  /** There is an upload at the server, and how far it is is known. */
  async #place(grant: string, file: File, signal: AbortSignal): Promise<string> {
    const { location } = this.record;
    if (location === null) {
      this.#asked = "begin";
      const begun = await this.#world.tus.create(grant, file.size, signal);
      this.#offset = 0;
      await this.#change({ location: begun.location, saved: 0, expires: begun.expires });
      return begun.location;
    }
    if (this.#offset === null) {
      this.#asked = "where";
      const kept = await this.#world.tus.where(location, grant, signal);
      await this.#saved(kept.offset, kept.expires);
    }
    return location;
  }

  async #saved(offset: number, expires: string | null): Promise<number> {
    this.#offset = offset;
    this.#freshGrant = false;
    if (offset > this.record.saved) this.#failures = 0;
    await this.#change({ saved: offset, expires: expires ?? this.record.expires });
    this.tell({ type: "saved", saved: offset, expires });
    return offset;
  }

  /** False: try again. True: it is somebody else's turn. */
  async #mend(problem: Problem, file: File, signal: AbortSignal): Promise<boolean> {
    const verdict = judge(problem, { asked: this.#asked, failures: this.#failures, freshGrant: this.#freshGrant, lost: this.#lost, whole: this.#whole });
    this.#failures += 1;
    switch (verdict.do) {
      case "wait":
        await this.#wait(verdict, problem, file, signal);
        return false;
      case "sign_in":
        this.stop("signed_out");
        return true;
      case "new_grant":
        this.#ticket = null;
        return false;
      case "go_on":
        await this.#saved(verdict.offset, null);
        return false;
      case "begin_anew":
        this.#lost += 1;
        await this.#change({ location: null, saved: 0, expires: null });
        return false;
      case "smaller":
        if (this.#pieces.refused(this.#lastPiece)) return false;
        break;
      case "look":
        return await this.#look(problem, signal);
      case "fail":
        if (problem.status === 410 && this.#whole && !this.#stored) return this.#fail(new Problem({ code: "ended_whole", status: 410, detail: "" }), true);
        break;
    }
    return this.#fail(problem, verdict.do !== "fail" || !verdict.final);
  }

  #fail(problem: Problem, mayRetry: boolean): true {
    this.tell({ type: "failed", problem, mayRetry });
    return true;
  }

  async #wait(verdict: Extract<Verdict, { do: "wait" }>, problem: Problem, file: File, signal: AbortSignal): Promise<void> {
    await checkReadable(file);
    if (!verdict.busy && this.#asked === "bytes") this.#pieces.broke();
    const why = verdict.busy ? "busy" : this.#world.isOffline() ? "offline" : "connection";
    const ms = verdict.seconds * 1000;
    this.tell({ type: "interrupted", why, problem, until: this.#world.now() + ms });
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const slept = this.#world.sleep(ms, either);
    const hurried = new Promise<void>((resolve) => (this.#hurry = resolve));
    // What the server asked to wait for is waited for, whatever the network does.
    await (verdict.busy ? slept : Promise.race([slept, hurried, this.#world.connected(either)])).finally(() => over.abort());
    signal.throwIfAborted();
  }

  /** A conflict: the video has its file, was deleted, waited too long for it, or somebody else is sending it. */
  async #look(problem: Problem, signal: AbortSignal): Promise<boolean> {
    const video = await look(this.#world, this.record.videoId ?? "", signal);
    if (video === null) return this.#fail(problem, true);
    if (STORED.includes(video.state)) {
      this.#stored = true;
      return false;
    }
    if (video.state === "failed") {
      // It waited for its file for too long. The same once more, as a new video.
      await this.#world.remove(video.id).catch(() => {}); // what stays of it is shown among the videos
      await this.#change({ videoId: null, location: null, saved: 0, expires: null });
      this.#ticket = null;
      return false;
    }
    const taken = video.state === "awaiting_upload" && this.#asked !== "grant";
    return this.#fail(taken ? new Problem({ code: "taken_over", status: 409, detail: "" }) : problem, taken);
  }

  async #change(change: Partial<UploadRecord>): Promise<void> {
    Object.assign(this.record, change);
    await this.#world.keep(this.record);
  }
}
