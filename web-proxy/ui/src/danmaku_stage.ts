// Danmaku flying over a video: the engine (npm danmaku) keeps them in step with the video's time; here is what each looks like. Text is text:
// it is never parsed as markup.
import Engine from "danmaku/dist/esm/danmaku.dom.js";
import { isNow } from "./danmaku_track";
import type { Danmaku, DanmakuMode } from "./types";

const MODES: Record<DanmakuMode, "rtl" | "top" | "bottom"> = { scroll: "rtl", top: "top", bottom: "bottom" };

/** Pixels per second: a line crosses a large player in about seven seconds. */
const SPEED = 144;

export class DanmakuStage {
  #engine: Engine;
  #media: HTMLVideoElement;
  #nodes = new Map<string, HTMLElement>();
  #removed = new Set<string>();
  #observer: ResizeObserver;

  constructor(container: HTMLElement, media: HTMLVideoElement, visible: boolean) {
    this.#media = media;
    this.#engine = new Engine({ container, media, speed: SPEED });
    if (!visible) this.#engine.hide();
    this.#observer = new ResizeObserver(() => this.#engine.resize());
    this.#observer.observe(container);
  }

  /** `live`: it has just been said, and may be shown though its moment has passed. */
  add(danmaku: Danmaku, live: boolean): void {
    const { currentTime, seeking } = this.#media;
    const late = live && !seeking && isNow(danmaku, currentTime * 1000);
    this.#engine.emit({
      text: danmaku.text,
      mode: MODES[danmaku.mode] ?? "rtl",
      time: late ? currentTime : danmaku.atMs / 1000,
      render: () => this.#draw(danmaku),
    });
  }

  /** Gone at once, on the stage and for every later time. */
  remove(id: string): void {
    this.#removed.add(id);
    const node = this.#nodes.get(id);
    if (node) blank(node);
  }

  show(visible: boolean): void {
    if (visible) this.#engine.show();
    else this.#engine.hide();
  }

  destroy(): void {
    this.#observer.disconnect();
    this.#engine.destroy();
    this.#nodes.clear();
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
