// One upload as the queue holds it: what runs it, and whether it is this tab's to run.
import type { Locks, Release } from "./upload_locks";
import type { Uploader } from "./uploader";

interface World {
  locks: Locks;
  announce(id: string): void;
}

export class Item {
  readonly uploader: Uploader;
  /** Resolves when it no longer runs. */
  running: Promise<void> | null = null;
  unwatch: () => void = () => {};
  #world: World;
  #release: Release | null = null;
  /** Ends waiting for another tab to leave it. */
  #waiting: AbortController | null = null;

  constructor(uploader: Uploader, world: World) {
    this.uploader = uploader;
    this.#world = world;
  }

  get held(): boolean {
    return this.#release !== null;
  }

  /** This tab has it, or is just about to: its file was chosen here. */
  get ours(): boolean {
    return this.held || this.uploader.file !== null;
  }

  /** Makes it this tab's. False when another tab has it. */
  async own(): Promise<boolean> {
    if (this.#release) return true;
    const release = await this.#world.locks.take(this.uploader.record.id);
    this.#release ??= release; // two clicks ask twice
    return this.held;
  }

  /** Any tab may have it now. */
  letGo(): void {
    if (!this.#release) return;
    this.#release();
    this.#release = null;
    this.#world.announce(this.uploader.record.id);
  }

  /** Calls back once when no other tab has it any more. */
  whenFree(then: () => void): void {
    this.#waiting?.abort();
    const { signal } = (this.#waiting = new AbortController());
    this.#world.locks.free(this.uploader.record.id, signal).then(
      () => signal.aborted || then(),
      () => {}, // it was ended
    );
  }

  end(): void {
    this.unwatch();
    this.#waiting?.abort();
    this.letGo();
  }
}
