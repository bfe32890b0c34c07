// All uploads of the person at this browser: those of this tab, some at a time; those that an earlier visit left unfinished; those of other tabs,
// which are only shown. One tab has an upload at a time, by a lock; what it must survive stands in a record.
import { discard, STORED } from "./discard";
import type { Chosen } from "./kept_file";
import { asProblem } from "./problem";
import { difference, factsOf, type Difference } from "./same_file";
import { Store } from "./store";
import { Item } from "./upload_item";
import type { Locks } from "./upload_locks";
import type { Fields, Records, UploadRecord } from "./upload_records";
import { active, type UploadState } from "./upload_state";
import { Uploader, type UploadWorld } from "./uploader";

/**
 * Sent at once; the others wait. They share one line, so more of them would only make each end later, and the server's four places of a user
 * (`stream.max_uploads_per_user`) are for all tabs and devices.
 */
export const AT_ONCE = 2;

export interface QueueWorld extends Omit<UploadWorld, "keep"> {
  records: Records;
  locks: Locks;
  /** Says to other tabs that this upload is another's now, or no more. */
  announce(id: string): void;
  isAllowed(handle: FileSystemFileHandle): Promise<boolean>;
  fileOf(handle: FileSystemFileHandle): Promise<File | null>;
  newId(): string;
  /** A video has its file; lists of videos should look. */
  onStored(): void;
}

export interface Listed {
  id: string;
  state: UploadState;
}

export class UploadQueue {
  readonly list = new Store<readonly Listed[]>([]);
  /** How many wait for somebody to sign in. */
  readonly signedOut = new Store(0);
  #world: QueueWorld & UploadWorld;
  #items = new Map<string, Item>();
  #waking = new Map<string, Promise<void>>();
  #username: string | null = null;
  #adding: Promise<void> = Promise.resolve();
  #lastChosen = 0;

  constructor(world: QueueWorld) {
    this.#world = { ...world, keep: (record) => world.records.put(record) };
  }

  /** Whose uploads are shown and sent. Null: nobody's, and what runs stops until its owner is back. */
  async setUser(username: string | null): Promise<void> {
    if (username === this.#username) return;
    this.#username = username;
    for (const { uploader } of this.#items.values()) if (uploader.record.username !== username && active(uploader.state.value)) uploader.stop("signed_out");
    this.#show();
    if (username === null) return;
    for (const { uploader } of this.#mine()) if (uploader.state.value.step.name === "signed_out") uploader.tell({ type: "queued" });
    this.#pump();
    const records = await this.#world.records.all(username);
    await Promise.all(records.map(({ id }) => this.#wake(id)));
  }

  /** Takes files in; resolves when they are queued. */
  add({ file, handle }: Chosen, fields: Fields): Promise<void> {
    if (this.#username === null) return Promise.resolve();
    const { name, size, lastModified } = file;
    this.#lastChosen = Math.max(this.#world.now(), this.#lastChosen + 1);
    const item = this.#insert({
      id: this.#world.newId(), username: this.#username, chosenAt: this.#lastChosen, fields, handle, file: { name, size, lastModified, sample: "" },
      videoId: null, location: null, saved: 0, expires: null, paused: false,
    });
    item.uploader.file = file;
    // One after the other, so that they begin in their order.
    this.#adding = this.#adding.then(() => this.#admit(item, file));
    return this.#adding;
  }

  async #admit(item: Item, file: File): Promise<void> {
    const { record } = item.uploader;
    const facts = await factsOf(file).catch(() => null);
    if (facts) record.file = facts;
    else item.uploader.tell({ type: "slept", keptFile: false, complaint: "unreadable" });
    await item.own();
    await this.#world.records.put(record);
    this.#world.announce(record.id);
    this.#pump();
  }

  async pause(id: string): Promise<void> {
    const item = this.#items.get(id);
    if (!item) return;
    item.uploader.stop("paused");
    await this.#keepPaused(item, true);
    this.#pump();
  }

  /** Goes on with what was paused, has failed, or waits; with the kept file of what is asleep, for which the visitor must have clicked. */
  async go(id: string): Promise<void> {
    const item = this.#items.get(id);
    if (!item) return;
    const { uploader } = item;
    if (uploader.state.value.step.name === "waiting") return uploader.hurry();
    if (uploader.file) return await this.#queue(item);
    const file = uploader.record.handle && (await this.#world.fileOf(uploader.record.handle));
    if (file) await this.choose(id, { file, handle: uploader.record.handle });
    else uploader.tell({ type: "slept", keptFile: false, complaint: "unreadable" });
  }

  /** The file of an unfinished upload, chosen again. What isn't the same file is said, and taken only by `startOver`. */
  async choose(id: string, { file, handle }: Chosen): Promise<Difference | null> {
    const item = this.#items.get(id);
    if (!item) return null;
    const complaint = await difference(file, item.uploader.record.file);
    if (complaint) {
      item.uploader.tell({ type: "slept", keptFile: false, complaint });
      return complaint;
    }
    await this.#give(item, file, handle ?? item.uploader.record.handle);
    return null;
  }

  /** Another file, or the same one changed, from its beginning: what the server has of the first is dropped. Throws when that can't be told. */
  async startOver(id: string, { file, handle }: Chosen): Promise<void> {
    const item = this.#items.get(id);
    if (!item || !(await this.#own(item))) return;
    const facts = await factsOf(file).catch(() => null);
    if (!facts) return item.uploader.tell({ type: "slept", keptFile: false, complaint: "unreadable" });
    if ((await discard(this.#world, item.uploader.record)) === "stored") this.#world.onStored();
    await item.uploader.become(facts);
    await this.#give(item, file, handle);
  }

  /** Ends it and removes what the server has of it. */
  async discard(id: string): Promise<void> {
    const item = this.#items.get(id);
    if (!item || !(await this.#own(item))) return;
    const { uploader } = item;
    uploader.stop("discarding");
    await item.running;
    try {
      if ((await discard(this.#world, uploader.record)) === "stored") this.#world.onStored();
      await this.#world.records.remove(id);
      this.#drop(id);
    } catch (thrown) {
      uploader.tell({ type: "failed", problem: asProblem(thrown), mayRetry: true });
    }
    this.#pump();
  }

  /** Takes what needs nothing more off the list. */
  async dismiss(id: string): Promise<void> {
    const item = this.#items.get(id);
    if (!item) return;
    const { step } = item.uploader.state.value;
    if (step.name !== "ready" && step.name !== "processing" && (step.name !== "failed" || step.mayRetry)) return;
    item.uploader.halt();
    await this.#world.records.remove(id);
    this.#drop(id);
  }

  /** Another tab has begun or ended something. */
  async heard(id: string): Promise<void> {
    const item = this.#items.get(id);
    if (!item || !item.ours) await this.#wake(id);
  }

  /** Something of this tab would stop if the page were left. */
  get busy(): boolean {
    return [...this.#items.values()].some(({ uploader, held }) => held && active(uploader.state.value));
  }

  /** An upload that this tab doesn't have: another tab's, or nobody's any more. One look at a time. */
  #wake(id: string): Promise<void> {
    const look = (this.#waking.get(id) ?? Promise.resolve()).then(() => this.#look(id));
    this.#waking.set(id, look);
    return look;
  }

  async #look(id: string): Promise<void> {
    const record = await this.#world.records.one(id);
    const taken = record !== undefined && (await this.#world.locks.isTaken(id));
    const known = this.#items.get(id);
    if (known && known.ours) return;
    if (!record || record.username !== this.#username) return this.#drop(id);
    this.#drop(id, true);
    const item = this.#insert(record);
    if (taken) return this.#watch(item);
    item.uploader.tell({ type: "slept", keptFile: record.handle !== null, complaint: null });
    if (await this.#hasCome(item)) return;
    if (record.handle && !record.paused && (await this.#world.isAllowed(record.handle))) await this.go(id);
  }

  /** Shows what another tab does, and looks again when it has left it. */
  #watch(item: Item): void {
    const { id } = item.uploader.record;
    item.uploader.tell({ type: "left_to_another" });
    item.whenFree(() => void this.#wake(id));
  }

  /** The answer to the last byte may have been lost with the page: then it is a video by now. */
  async #hasCome({ uploader }: Item): Promise<boolean> {
    const { videoId, id } = uploader.record;
    if (videoId === null) return false;
    const video = await this.#world.video(videoId, new AbortController().signal).catch(() => null); // going on will say what is wrong
    if (!video || !STORED.includes(video.state)) return false;
    uploader.tell({ type: "stored" });
    uploader.tell({ type: "ready" });
    await this.#world.records.remove(id);
    return true;
  }

  async #give(item: Item, file: File, handle: FileSystemFileHandle | null): Promise<void> {
    if (!(await this.#own(item))) return;
    item.uploader.record.handle = handle;
    item.uploader.file = file;
    await this.#queue(item);
  }

  async #queue(item: Item): Promise<void> {
    if (!(await this.#own(item))) return;
    await this.#keepPaused(item, false);
    item.uploader.tell({ type: "queued" });
    this.#world.announce(item.uploader.record.id);
    this.#pump();
  }

  async #own(item: Item): Promise<boolean> {
    if (await item.own()) return true;
    this.#watch(item);
    return false;
  }

  async #keepPaused(item: Item, paused: boolean): Promise<void> {
    item.uploader.record.paused = paused;
    await this.#world.records.put(item.uploader.record);
  }

  /** Begins what may begin. */
  #pump(): void {
    const sends = ({ running, uploader }: Item) => running !== null && uploader.state.value.step.name !== "processing";
    for (const item of this.#mine()) {
      if (this.#mine().filter(sends).length >= AT_ONCE) return;
      if (item.running || !item.held || item.uploader.state.value.step.name !== "queued") continue;
      item.running = this.#run(item).finally(() => {
        item.running = null;
        this.#pump();
      });
    }
  }

  async #run(item: Item): Promise<void> {
    const { uploader } = item;
    await uploader.run();
    const { step } = uploader.state.value;
    const refused = step.name === "failed" && !step.mayRetry;
    if (step.name !== "ready" && !refused) return;
    const { id, videoId } = uploader.record;
    if (!refused) this.#world.onStored();
    // What was refused for good is of no use to anybody; its card stays and says why.
    else if (videoId !== null) await this.#world.remove(videoId).catch((thrown: unknown) => console.info("An entry without a file stays for now", asProblem(thrown).code));
    await this.#world.records.remove(id);
    item.letGo();
  }

  #mine(): Item[] {
    return [...this.#items.values()].filter(({ uploader }) => uploader.record.username === this.#username);
  }

  #insert(record: UploadRecord): Item {
    const item = new Item(new Uploader(this.#world, record), this.#world);
    item.unwatch = item.uploader.state.watch(({ step }) => {
      this.#show();
      if (step.name === "processing") this.#pump(); // it sends no more
    });
    this.#items.set(record.id, item);
    this.#show();
    return item;
  }

  /** `silently`: another will take its place. */
  #drop(id: string, silently = false): void {
    const item = this.#items.get(id);
    if (!item) return;
    this.#items.delete(id);
    item.end();
    if (!silently) this.#show();
  }

  #show(): void {
    const mine = this.#mine().sort((a, b) => a.uploader.record.chosenAt - b.uploader.record.chosenAt);
    this.list.set(mine.map(({ uploader }) => ({ id: uploader.record.id, state: uploader.state.value })));
    this.signedOut.set([...this.#items.values()].filter(({ uploader }) => uploader.state.value.step.name === "signed_out").length);
  }
}
