import { describe, expect, it, vi } from "vitest";
import { Problem } from "../src/problem";
import { factsOf } from "../src/same_file";
import type { Upload, Video } from "../src/types";
import type { Locks, Release } from "../src/upload_locks";
import { AT_ONCE, UploadQueue, type QueueWorld } from "../src/upload_queue";
import type { Records, UploadRecord } from "../src/upload_records";

const fields = { title: "T", description: "", visibility: "public" as const };
const ticket: Upload = { url: "", grant: "g", maxBytes: 1e9, expiresAt: "2999-01-01T00:00:00.000Z" };
const refused = (status: number) => new Problem({ code: `code${status}`, status, detail: "" });
const fileOf = (name = "a.mp4", size = 100) => new File([new Uint8Array(size)], name, { lastModified: 1 });

/** One browser: records, locks and a server that all of its tabs share. Uploads hang at their bytes until `finish`. */
class Browser {
  records = new Map<string, UploadRecord>();
  locks = new Map<string, symbol>();
  waiting: Array<{ id: string; resolve: () => void; signal: AbortSignal }> = [];
  tabs: UploadQueue[] = [];
  states = new Map<string, Video["state"]>();
  sending = new Map<string, () => void>();
  ended: string[] = [];
  removed: string[] = [];
  lastId = 0;

  store: Records = {
    all: async (username) => [...this.records.values()].filter((record) => record.username === username).map((record) => ({ ...record })),
    one: async (id) => (this.records.has(id) ? { ...(this.records.get(id) as UploadRecord) } : undefined),
    put: async (record) => void this.records.set(record.id, { ...record }),
    remove: async (id) => void this.records.delete(id),
  };

  lockApi(): Locks {
    return {
      take: async (id) => {
        if (this.locks.has(id)) return null;
        const mine = Symbol(id);
        this.locks.set(id, mine);
        return () => this.unlock(id, mine);
      },
      isTaken: async (id) => this.locks.has(id),
      free: (id, signal) =>
        new Promise((resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason));
          if (this.locks.has(id)) this.waiting.push({ id, resolve, signal });
          else resolve();
        }),
    };
  }

  unlock(id: string, mine: symbol): void {
    if (this.locks.get(id) !== mine) return;
    this.locks.delete(id);
    for (const one of this.waiting.filter((other) => other.id === id)) one.resolve();
    this.waiting = this.waiting.filter((other) => other.id !== id);
  }

  async tab(changes: Partial<QueueWorld> = {}, username: string | null = "ann") {
    const id = () => String((this.lastId += 1));
    const tab: UploadQueue = new UploadQueue({
      create: async () => {
        const video = { id: `v${id()}`, state: "awaiting_upload" } as Video;
        this.states.set(video.id, "awaiting_upload");
        return { video, upload: ticket };
      },
      grant: async () => ticket,
      tus: {
        create: async () => ({ location: `/uploads/${id()}`, offset: 0, expires: null }),
        where: async () => ({ offset: 10, expires: null }),
        append: (location, _grant, offset, bytes, _last, onSent, signal) =>
          new Promise((resolve, reject) => {
            signal.addEventListener("abort", () => reject(signal.reason));
            onSent(1);
            this.sending.set(location, () => {
              this.sending.delete(location);
              resolve({ offset: offset + bytes.size, expires: null });
            });
          }),
        end: async (location) => void this.ended.push(location),
      },
      video: async (videoId) => ({ id: videoId, state: this.states.get(videoId) }) as Video,
      remove: async (videoId) => void this.removed.push(videoId),
      sleep: async () => {},
      connected: () => new Promise(() => {}),
      isOffline: () => false,
      isLive: () => false,
      onArrival: () => () => {},
      now: () => (this.lastId += 1),
      tooLarge: () => "",
      records: this.store,
      locks: this.lockApi(),
      announce: (about) => this.tabs.filter((other) => other !== tab).forEach((other) => void other.heard(about)),
      isAllowed: async () => false,
      fileOf: async () => null,
      newId: id,
      onStored: vi.fn(),
      ...changes,
    });
    this.tabs.push(tab);
    await tab.setUser(username);
    return tab;
  }

  /** All bytes of every upload that is under way arrive. */
  finish(): void {
    for (const [videoId, state] of this.states) if (state === "awaiting_upload") this.states.set(videoId, "ready");
    for (const end of [...this.sending.values()]) end();
  }

  /** The tab goes away without a word. */
  close(tab: UploadQueue): void {
    this.tabs = this.tabs.filter((other) => other !== tab);
    for (const { id } of tab.list.value) {
      const lock = this.locks.get(id);
      if (lock) this.unlock(id, lock);
    }
  }
}

const recordLike = async (id: string): Promise<UploadRecord> => ({
  id, username: "ann", chosenAt: 0, fields, handle: null, file: await factsOf(fileOf()), videoId: null, location: null, saved: 0, expires: null, paused: false,
});
const steps = (tab: UploadQueue) => tab.list.value.map(({ state }) => state.step.name).join();
const shows = (tab: UploadQueue, expected: string) => vi.waitFor(() => expect(steps(tab)).toBe(expected));
const first = (tab: UploadQueue) => tab.list.value[0]?.id ?? "";
const add = (tab: UploadQueue, name?: string) => tab.add({ file: fileOf(name), handle: null }, { ...fields, title: name ?? "T" });

describe("the queue", () => {
  it(`sends ${AT_ONCE} at once, the next when one has ended`, async () => {
    const browser = new Browser();
    const tab = await browser.tab();
    for (const name of ["a", "b", "c", "d"]) await add(tab, name);
    await shows(tab, "sending,sending,queued,queued");
    expect(tab.busy).toBe(true);
    browser.finish();
    await shows(tab, "ready,ready,sending,sending");
    expect([...browser.records.keys()]).toHaveLength(2);
    browser.finish();
    await shows(tab, "ready,ready,ready,ready");
    expect(browser.records.size).toBe(0);
    expect(browser.locks.size).toBe(0);
    expect(tab.busy).toBe(false);
    await tab.dismiss(first(tab));
    expect(tab.list.value).toHaveLength(3);
  });

  it("a pause gives its place to the next, and is remembered", async () => {
    const browser = new Browser();
    const tab = await browser.tab();
    for (const name of ["a", "b", "c"]) await add(tab, name);
    await shows(tab, "sending,sending,queued");
    await tab.pause(first(tab));
    await shows(tab, "paused,sending,sending");
    expect(browser.records.get(first(tab))?.paused).toBe(true);
    await tab.go(first(tab));
    expect(steps(tab)).toBe("queued,sending,sending");
    expect(browser.records.get(first(tab))?.paused).toBe(false);
    browser.finish();
    await shows(tab, "sending,ready,ready");
  });

  it("takes a file in while it still looks what an earlier visit left", async () => {
    const browser = new Browser();
    let read: () => void = () => {};
    const all = (username: string) => new Promise<UploadRecord[]>((resolve) => (read = () => resolve(browser.store.all(username))));
    let give: () => void = () => {};
    const take = (id: string) => new Promise<Release | null>((resolve) => (give = () => resolve(browser.lockApi().take(id))));
    const tab = await browser.tab({ records: { ...browser.store, all }, locks: { ...browser.lockApi(), take } }, null);
    const looking = tab.setUser("ann");
    const adding = add(tab);
    await vi.waitFor(() => expect(tab.list.value).toHaveLength(1));
    browser.records.set(first(tab), await recordLike(first(tab)));
    read();
    await looking;
    give();
    await adding;
    await shows(tab, "sending");
  });

  it("what can't be read is said at once", async () => {
    const browser = new Browser();
    const tab = await browser.tab();
    const file = fileOf();
    file.slice = () => ({ arrayBuffer: () => Promise.reject(new DOMException("", "NotReadableError")) }) as unknown as Blob;
    await tab.add({ file, handle: null }, fields);
    expect(tab.list.value[0]?.state.step).toMatchObject({ name: "asleep", complaint: "unreadable" });
  });

  it("what is refused for good is removed at the server and forgotten here", async () => {
    const browser = new Browser();
    const tab = await browser.tab({ tus: { ...({} as QueueWorld["tus"]), create: async () => Promise.reject(refused(413)) } });
    await add(tab);
    await shows(tab, "failed");
    await vi.waitFor(() => expect(browser.removed).toEqual(["v3"]));
    expect(browser.records.size + browser.locks.size).toBe(0);
    await tab.dismiss(first(tab));
    expect(tab.list.value).toEqual([]);
  });
});

describe("another visit", () => {
  const interrupted = async (changes: Partial<UploadRecord> = {}) => {
    const browser = new Browser();
    browser.records.set("r1", { ...(await recordLike("r1")), videoId: "old", location: "/uploads/u1", saved: 10, ...changes });
    browser.states.set("old", "awaiting_upload");
    return browser;
  };

  it("shows what is unfinished, and goes on with the same file only", async () => {
    const browser = await interrupted();
    const tab = await browser.tab();
    expect(tab.list.value).toMatchObject([{ id: "r1", state: { saved: 10, job: { title: "T", totalBytes: 100 }, step: { name: "asleep", complaint: null } } }]);
    expect(tab.busy).toBe(false);
    expect(await tab.choose("r1", { file: fileOf("b.mp4"), handle: null })).toBe("name");
    expect(tab.list.value[0]?.state.step).toMatchObject({ name: "asleep", complaint: "name" });
    expect(await tab.choose("r1", { file: fileOf(), handle: null })).toBeNull();
    await shows(tab, "sending");
    expect(tab.list.value[0]?.state.saved).toBe(10);
    browser.finish();
    await shows(tab, "ready");
  });

  it("begins again with another file when it is told to", async () => {
    const browser = await interrupted();
    const tab = await browser.tab();
    await tab.startOver("r1", { file: fileOf("b.mp4", 50), handle: null });
    await shows(tab, "sending");
    expect(tab.list.value[0]?.state).toMatchObject({ saved: 0, job: { fileName: "b.mp4", totalBytes: 50 } });
    expect([browser.ended, browser.removed]).toEqual([["/uploads/u1"], ["old"]]);
    expect(tab.list.value[0]?.state.videoId).not.toBe("old");
  });

  it("doesn't take the first file, come whole after all, for the second", async () => {
    const browser = await interrupted();
    const tab = await browser.tab();
    browser.states.set("old", "ready");
    await tab.startOver("r1", { file: fileOf("b.mp4", 50), handle: null });
    await shows(tab, "sending");
    expect([browser.ended, browser.removed]).toEqual([[], []]);
    expect(tab.list.value[0]?.state.videoId).not.toBe("old");
  });

  it("doesn't begin again when the server can't be told to drop the first file", async () => {
    const browser = await interrupted();
    const tab = await browser.tab({ remove: async () => Promise.reject(refused(503)) });
    await expect(tab.startOver("r1", { file: fileOf("b.mp4", 50), handle: null })).rejects.toMatchObject({ status: 503 });
    expect(tab.list.value[0]?.state).toMatchObject({ saved: 10, step: { name: "asleep" } });
  });

  it("shows nobody what is another's", async () => {
    const browser = await interrupted();
    expect((await browser.tab({}, "bob")).list.value).toEqual([]);
    expect((await browser.tab({}, null)).list.value).toEqual([]);
  });

  it("finds a video that was ready when its answer was lost", async () => {
    const browser = await interrupted();
    browser.states.set("old", "ready");
    const tab = await browser.tab();
    await shows(tab, "ready");
    expect(browser.records.size).toBe(0);
  });

  it.each([
    ["goes on by itself with a file that the browser may read", true, false, "sending"],
    ["asks before it reads it where it must", false, false, "asleep"],
    ["leaves what was paused alone", true, true, "asleep"],
  ])("%s", async (_, allowed, paused, expected) => {
    const browser = await interrupted({ handle: {} as FileSystemFileHandle, paused });
    const tab = await browser.tab({ isAllowed: async () => allowed, fileOf: async () => fileOf() });
    await shows(tab, expected);
    await tab.go("r1"); // the visitor's click
    await shows(tab, "sending");
  });

  it("a kept file that is gone or has changed is asked for", async () => {
    const browser = await interrupted({ handle: {} as FileSystemFileHandle });
    const gone = await browser.tab();
    await gone.go("r1");
    expect(gone.list.value[0]?.state.step).toMatchObject({ name: "asleep", keptFile: false, complaint: "unreadable" });
    const changed = await browser.tab({ fileOf: async () => new File([new Uint8Array(100)], "a.mp4", { lastModified: 2 }) });
    await changed.go("r1");
    expect(changed.list.value[0]?.state.step).toMatchObject({ name: "asleep", complaint: "time" });
  });
});

describe("discarding", () => {
  it("ends the upload and removes its entry, also one that never ran here", async () => {
    const browser = new Browser();
    const tab = await browser.tab();
    await add(tab);
    await shows(tab, "sending");
    const { location, videoId } = browser.records.get(first(tab)) as UploadRecord;
    await tab.discard(first(tab));
    expect([tab.list.value, browser.ended, browser.removed, browser.records.size, browser.locks.size]).toEqual([[], [location], [videoId], 0, 0]);
  });

  it("leaves a video that has its file", async () => {
    const browser = new Browser();
    const tab = await browser.tab();
    await add(tab);
    await shows(tab, "sending");
    for (const id of browser.states.keys()) browser.states.set(id, "ready");
    await tab.discard(first(tab));
    expect([browser.ended, browser.removed, tab.list.value]).toEqual([[], [], []]);
  });

  it("keeps what the server couldn't be told, and tries again", async () => {
    const browser = new Browser();
    const remove = vi.fn(async () => Promise.reject<void>(refused(503)));
    const tab = await browser.tab({ remove });
    await add(tab);
    await shows(tab, "sending");
    await tab.discard(first(tab));
    expect(tab.list.value[0]?.state.step).toMatchObject({ name: "failed", mayRetry: true, problem: { status: 503 } });
    expect(browser.records.size).toBe(1);
    remove.mockResolvedValue(undefined);
    await tab.discard(first(tab));
    expect(browser.records.size).toBe(0);
  });
});

describe("two tabs", () => {
  it("don't fight: one sends, the other looks on, and takes over only when the first is gone", async () => {
    const browser = new Browser();
    const one = await browser.tab();
    const two = await browser.tab();
    await add(one);
    await shows(one, "sending");
    await shows(two, "elsewhere");
    const id = first(one);
    await two.choose(id, { file: fileOf(), handle: null });
    await two.discard(id);
    expect(steps(two)).toBe("elsewhere");
    expect(browser.ended).toEqual([]);
    expect(two.busy).toBe(false);
    browser.close(one);
    await shows(two, "asleep");
    await two.choose(id, { file: fileOf(), handle: null });
    await shows(two, "sending");
  });

  it("both know when it has ended", async () => {
    const browser = new Browser();
    const [one, two] = [await browser.tab(), await browser.tab()];
    await add(one);
    await shows(two, "elsewhere");
    await shows(one, "sending");
    browser.finish();
    await shows(one, "ready");
    await shows(two, "");
  });

  it("that may both read the file: one goes on, by itself", async () => {
    const browser = new Browser();
    const may = { isAllowed: async () => true, fileOf: async () => fileOf() };
    const tabs = [await browser.tab(may), await browser.tab(may), await browser.tab(may)];
    await tabs[0]?.add({ file: fileOf(), handle: {} as FileSystemFileHandle }, fields);
    await shows(tabs[0] as UploadQueue, "sending");
    for (const tab of tabs.slice(1)) await shows(tab, "elsewhere");
    browser.close(tabs[0] as UploadQueue);
    await vi.waitFor(() => expect(tabs.slice(1).map(steps).sort()).toEqual(["elsewhere", "sending"]));
  });
});

describe("signing out", () => {
  it("stops what runs; it goes on when its owner is back, and nobody else sees it", async () => {
    const browser = new Browser();
    const tab = await browser.tab();
    await add(tab);
    await shows(tab, "sending");
    await tab.setUser(null);
    expect([tab.list.value, tab.signedOut.value, tab.busy]).toEqual([[], 1, false]);
    await tab.setUser("bob");
    expect(tab.list.value).toEqual([]);
    await tab.setUser("ann");
    await shows(tab, "sending");
    expect(tab.signedOut.value).toBe(0);
    browser.finish();
    await shows(tab, "ready");
  });
});
