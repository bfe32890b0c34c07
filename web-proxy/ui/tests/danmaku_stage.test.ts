// The stage of a tab that is open for long, with an engine that only counts.
import { beforeEach, expect, it, vi } from "vitest";
import type { Danmaku } from "../src/types";

const made = vi.hoisted(() => [] as Array<{ held: number; hidden: boolean; destroyed: boolean }>);
vi.mock("danmaku/dist/esm/danmaku.dom.js", () => ({
  default: class {
    held = 0;
    hidden = false;
    destroyed = false;
    constructor() {
      made.push(this);
    }
    emit() {
      this.held += 1;
    }
    hide() {
      this.hidden = true;
    }
    show() {
      this.hidden = false;
    }
    resize() {}
    destroy() {
      this.destroyed = true;
    }
  },
}));
vi.stubGlobal("ResizeObserver", class {
  observe() {}
  disconnect() {}
});
const { DanmakuStage, FULL } = await import("../src/danmaku_stage");

const danmaku = (id: string): Danmaku => ({ id, text: id, atMs: 0, mode: "scroll", color: "#ffffff", author: { username: "mira", displayName: "Mira" }, createdAt: "" });
beforeEach(() => void made.splice(0));

it("says when its engine holds too many, and begins anew with what is left, as visible as it was", () => {
  const stage = new DanmakuStage({} as HTMLElement, { currentTime: 0, seeking: false } as HTMLVideoElement, true);
  stage.show(false);
  for (let number = 0; number < FULL; number += 1) stage.add(danmaku(`d${number}`), false);
  expect(stage.isFull).toBe(false);
  stage.add(danmaku("one more"), true);
  expect(stage.isFull).toBe(true);
  stage.restart([danmaku("a"), danmaku("b")]);
  expect(stage.isFull).toBe(false);
  expect(made).toMatchObject([{ held: FULL + 1, destroyed: true }, { held: 2, hidden: true, destroyed: false }]);
});
