// Is the file that was chosen again the one that was begun? Name, size and time of the last change must be the same, and so must samples of
// the content: bytes of two files must never be joined. Samples and not all of it, because reading 20 GB takes longer than anybody waits.
import { Problem } from "./problem";

export interface FileFacts {
  name: string;
  size: number;
  lastModified: number;
  /** Of the samples. Tells files apart that were mistaken for each other; it is no protection against malice, which only harms itself here. */
  sample: string;
}

/** What is different, as the texts name it. */
export type Difference = "size" | "name" | "time" | "content" | "unreadable";

/** Odd, so that the middle is among them. */
const SAMPLES = 17;
const SAMPLE_BYTES = 64 * 1024;

export async function factsOf(file: File): Promise<FileFacts> {
  return { name: file.name, size: file.size, lastModified: file.lastModified, sample: await sampleOf(file) };
}

/** A file that was moved or changed can't be read any more, which looks like a broken connection when it is sent. Throws a Problem then. */
export async function checkReadable(file: Blob): Promise<void> {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Problem({ code: "unreadable", status: 0, detail: "" });
  }
}

/** Null when it is the same. */
export async function difference(file: File, wanted: FileFacts): Promise<Difference | null> {
  if (file.size !== wanted.size) return "size";
  if (file.name !== wanted.name) return "name";
  if (file.lastModified !== wanted.lastModified) return "time";
  try {
    return (await sampleOf(file)) === wanted.sample ? null : "content";
  } catch {
    return "unreadable";
  }
}

/** Throws when the file can't be read. Not crypto.subtle: that is missing on a page that is not served by https. */
async function sampleOf(file: Blob): Promise<string> {
  const hash = new Hash();
  const last = Math.max(file.size - SAMPLE_BYTES, 0);
  const places = file.size <= SAMPLES * SAMPLE_BYTES ? [0] : Array.from({ length: SAMPLES }, (_, index) => Math.round((last * index) / (SAMPLES - 1)));
  const length = places.length === 1 ? file.size : SAMPLE_BYTES;
  for (const at of places) hash.update(new Uint8Array(await file.slice(at, at + length).arrayBuffer()));
  return hash.hex();
}

/** 64 bits in two halves, each multiplied and rotated by its own primes (in the way of MurmurHash). */
class Hash {
  #a = 0x9e3779b1;
  #b = 0x85ebca77;

  update(bytes: Uint8Array): void {
    let [a, b] = [this.#a ^ bytes.length, this.#b ^ bytes.length];
    for (const byte of bytes) {
      a = Math.imul(a ^ byte, 0x01000193);
      b = Math.imul((b << 5) | (b >>> 27), 0x27d4eb2f) ^ byte;
    }
    this.#a = Math.imul(a ^ (b >>> 15), 0x2c1b3c6d);
    this.#b = Math.imul(b ^ (a >>> 13), 0x297a2d39);
  }

  hex(): string {
    return [this.#a, this.#b].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
  }
}
