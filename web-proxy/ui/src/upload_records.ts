// What this browser remembers of uploads that are not finished, in IndexedDB: only there a file's handle can be kept. No grant and no token is
// ever written. Where the browser gives no storage (some private windows) the memory of the page has to do.
import type { FileFacts } from "./same_file";
import type { Visibility } from "./types";

export interface Fields {
  title: string;
  description: string;
  visibility: Visibility;
}

export interface UploadRecord {
  /** Of this record; the video has none before it is asked for. */
  id: string;
  /** Whose it is: others at this browser don't see it. */
  username: string;
  /** When it was chosen, milliseconds; the order of the list. */
  chosenAt: number;
  fields: Fields;
  file: FileFacts;
  /** The browser's own way back to the file, where it has one. */
  handle: FileSystemFileHandle | null;
  videoId: string | null;
  /** Of the upload at the server. */
  location: string | null;
  /** Bytes that the server is known to have. */
  saved: number;
  /** Until when it keeps them, ISO 8601. */
  expires: string | null;
  /** The visitor stopped it: it doesn't go on by itself. */
  paused: boolean;
}

export interface Records {
  all(username: string): Promise<UploadRecord[]>;
  one(id: string): Promise<UploadRecord | undefined>;
  put(record: UploadRecord): Promise<void>;
  remove(id: string): Promise<void>;
}

const DATABASE = "sluice";
const STORE = "uploads";

export class StoredRecords implements Records {
  #database: Promise<IDBDatabase> | undefined;

  async all(username: string): Promise<UploadRecord[]> {
    const all = await this.#ask<UploadRecord[]>("readonly", (store) => store.getAll());
    return all.filter((record) => record.username === username).sort((a, b) => a.chosenAt - b.chosenAt);
  }

  one(id: string): Promise<UploadRecord | undefined> {
    return this.#ask("readonly", (store) => store.get(id));
  }

  async put(record: UploadRecord): Promise<void> {
    await this.#ask("readwrite", (store) => store.put(record));
  }

  async remove(id: string): Promise<void> {
    await this.#ask("readwrite", (store) => store.delete(id));
  }

  async #ask<T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest): Promise<T> {
    this.#database ??= open();
    const database = await this.#database;
    return await new Promise<T>((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result as T);
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? request.error);
    });
  }
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => {
      // A newer version of the page in another tab wants to change the database: it must not wait for us.
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
  });
}

/** Keeps what `inner` can't keep for as long as the page lives. */
export class ForgivingRecords implements Records {
  #inner: Records;
  #own = new Map<string, UploadRecord>();

  constructor(inner: Records) {
    this.#inner = inner;
  }

  async all(username: string): Promise<UploadRecord[]> {
    const kept = await this.#inner.all(username).catch(() => []);
    const known = new Set(kept.map(({ id }) => id));
    return [...kept, ...[...this.#own.values()].filter((record) => record.username === username && !known.has(record.id))];
  }

  async one(id: string): Promise<UploadRecord | undefined> {
    return (await this.#inner.one(id).catch(() => undefined)) ?? this.#own.get(id);
  }

  async put(record: UploadRecord): Promise<void> {
    try {
      await this.#inner.put(record);
      this.#own.delete(record.id);
    } catch (thrown) {
      console.info("This browser can't keep the upload", record.id, thrown);
      this.#own.set(record.id, record);
    }
  }

  async remove(id: string): Promise<void> {
    this.#own.delete(id);
    await this.#inner.remove(id).catch(() => {});
  }
}
