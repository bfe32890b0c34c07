// A switch of this browser that is remembered.
import { Store } from "./store";

export class Preference extends Store<boolean> {
  #key: string;

  constructor(key: string, otherwise: () => boolean) {
    super(remembered(key) ?? otherwise());
    this.#key = key;
  }

  override set(next: boolean): void {
    super.set(next);
    try {
      localStorage.setItem(this.#key, next ? "on" : "off");
    } catch {
      // Storage may be switched off; then the choice lasts until the page is left.
    }
  }
}

function remembered(key: string): boolean | undefined {
  try {
    const value = localStorage.getItem(key);
    return value === "on" ? true : value === "off" ? false : undefined;
  } catch {
    return undefined;
  }
}

/** Danmaku over videos: on, unless the visitor's system asks for less motion. */
export const danmakuShown = new Preference("sluice.danmaku", () => typeof matchMedia === "undefined" || !matchMedia("(prefers-reduced-motion: reduce)").matches);
