// Danmaku flying over a video: the engine (npm danmaku) keeps them in step with the video's time; here is what each looks like. Text is text:
// it is never parsed as markup.
import Engine from "danmaku/dist/esm/danmaku.dom.js";
import { isNow, MOST } from "./danmaku_track";
import { Recent } from "./recent";
import type { Danmaku, DanmakuMode } from "./types";

const MODES: Record<DanmakuMode, "rtl" | "top" | "bottom"> = { scroll: "rtl", top: "top", bottom: "bottom" };

/** Pixels per second: a line crosses a large player in about seven seconds. */
const SPEED = 144;

/** As many as are kept, and some that were taken back since. */
export const FULL = MOST + 1_000;

export class DanmakuStage {
  #engine: Engine;
  #container: HTMLElement;
  #media: HTMLVideoElement;
  #visible: boolean;
  /** What the engine has been given; it lets go of nothing by itself. */
  #given = 0;
  #nodes = new Map<string, HTMLElement>();
  #removed = new Recent(MOST);
  #observer: ResizeObserver;

  constructor(container: HTMLElement, media: HTMLVideoElement, visible: boolean) {
    this.#container = container;
    this.#media = media;
    this.#visible = visible;
    this.#engine = this.#start();
    this.#observer = new ResizeObserver(() => this.#engine.resize());
    this.#observer.observe(container);
  }

  /** `live`: it has just been said, and may be shown though its moment has passed. */
  add(danmaku: Danmaku, live: boolean): void {
    const { currentTime, seeking } = this.#media;
    const late = live && !seeking && isNow(danmaku, currentTime * 1000);
    this.#given += 1;
    this.#engine.emit({
      text: danmaku.text,
      mode: MODES[danmaku.mode] ?? "rtl",
      time: late ? currentTime : danmaku.atMs / 1000,
      render: () => this.#draw(danmaku),
    });
  }

  /** The engine holds more than is good; `restart` it. */
  get isFull(): boolean {
    return this.#given > FULL;
  }

  /** Begins anew with these. What flies at the moment begins anew, too. */
  restart(items: readonly Danmaku[]): void {
    this.#engine.destroy();
    this.#nodes.clear();
    this.#given = 0;
    this.#engine = this.#start();
    for (const danmaku of items) this.add(danmaku, false);
  }

  /** Gone at once, on the stage and for every later time. */
  remove(id: string): void {
    this.#removed.add(id);
    const node = this.#nodes.get(id);
    if (node) blank(node);
  }

  show(visible: boolean): void {
    this.#visible = visible;
    if (visible) this.#engine.show();
    else this.#engine.hide();
  }

  destroy(): void {
    this.#observer.disconnect();
    this.#engine.destroy();
    this.#nodes.clear();
  }

  #start(): Engine {
    const engine = new Engine({ container: this.#container, media: this.#media, speed: SPEED });
    if (!this.#visible) engine.hide();
    return engine;
  }

  #draw(danmaku: Danmaku): HTMLElement {
    const node = document.createElement("span");
    this.#nodes.set(danmaku.id, node);
    node.className = "danmaku";
    node.dataset["testid"] = "danmaku";
    node.dataset["danmakuId"] = danmaku.id;
    if (/^#[0-9a-f]{6}$/i.test(danmaku.color)) node.style.color = danmaku.color;
    if (this.#removed.has(danmaku.id)) blank(node);
    else node.textContent = danmaku.text;
    return node;
  }
}

/** The engine takes the node away when its time is over; until then it shows nothing. */
function blank(node: HTMLElement): void {
  node.textContent = "";
  node.hidden = true;
}
