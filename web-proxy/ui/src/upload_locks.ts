// One tab at a time has an upload. The browser's own locks (Web Locks) end with the tab that holds them, however it ends. Where there are none
// (a page that is not served by https) every tab may, and the server decides: the newer request wins, and the other tab stops by itself.

/** Another tab may look at a lock for a moment; longer than this is a tab that has it. */
const WAIT_MS = 1_500;

/** Gives it back. */
export type Release = () => void;

export interface Locks {
  /** Null when another tab has it. */
  take(id: string): Promise<Release | null>;
  isTaken(id: string): Promise<boolean>;
  /** Resolves when no tab has it any more. */
  free(id: string, signal: AbortSignal): Promise<void>;
}

const nameOf = (id: string) => `sluice.upload.${id}`;

export const browserLocks: Locks = {
  take(id) {
    const { locks } = navigator;
    if (!locks) return Promise.resolve(() => {});
    return new Promise((resolve) => {
      const hold = () => new Promise<void>((release) => resolve(release));
      locks.request(nameOf(id), { signal: AbortSignal.timeout(WAIT_MS) }, hold).catch(() => resolve(null));
    });
  },

  async isTaken(id) {
    const held = (await navigator.locks?.query())?.held ?? [];
    return held.some(({ name, mode }) => name === nameOf(id) && mode === "exclusive");
  },

  async free(id, signal) {
    await navigator.locks?.request(nameOf(id), { mode: "shared", signal }, () => {});
  },
};
