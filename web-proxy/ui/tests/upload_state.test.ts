import { describe, expect, it } from "vitest";
import { Problem } from "../src/problem";
import { finished, IDLE, inFlight, next, type UploadEvent, type UploadState } from "../src/upload_state";

const job = { title: "T", fileName: "t.mp4", totalBytes: 100 };
const problem = new Problem({ code: "network", status: 0, detail: "" });
const events = {
  started: { type: "started", job },
  created: { type: "created", videoId: "v" },
  half: { type: "progressed", sentBytes: 50, bytesPerSecond: 10 },
  all: { type: "progressed", sentBytes: 100, bytesPerSecond: 10 },
  interrupted: { type: "interrupted", problem, seconds: 3 },
  resumed: { type: "resumed" },
  stored: { type: "stored" },
  slow: { type: "slow" },
  ready: { type: "ready" },
  failed: { type: "failed", problem },
  dismissed: { type: "dismissed" },
} satisfies Record<string, UploadEvent>;
type Name = keyof typeof events;

const after = (...names: Name[]): UploadState => names.reduce((state, name) => next(state, events[name]), IDLE);

describe("the upload machine", () => {
  it.each<[Name[], UploadState["step"]]>([
    [[], "idle"],
    [["started"], "creating"],
    [["started", "created"], "sending"],
    [["started", "created", "half", "all"], "storing"],
    [["started", "created", "half", "interrupted"], "waiting"],
    [["started", "created", "all", "interrupted"], "waiting"],
    [["started", "created", "interrupted", "resumed"], "sending"],
    [["started", "created", "interrupted", "stored"], "processing"],
    [["started", "created", "all", "stored", "slow", "ready"], "ready"],
    [["started", "failed"], "failed"],
    [["started", "created", "failed", "resumed"], "sending"],
    [["started", "created", "failed", "started"], "creating"],
    [["started", "created", "half", "dismissed"], "idle"],
  ])("%j leads to %s", (names, step) => expect(after(...names).step).toBe(step));

  it.each<[Name[], Name]>([
    [[], "half"], [[], "failed"], [[], "stored"],
    [["started"], "half"], [["started"], "stored"], [["started"], "started"],
    [["started", "created"], "ready"], [["started", "created"], "resumed"],
    [["started", "created", "all"], "half"],
    [["started", "created", "stored", "ready"], "failed"],
    [["started", "created", "stored", "ready"], "stored"],
    [["started", "failed"], "resumed"], [["started", "failed"], "failed"],
  ])("after %j, %s changes nothing", (names, late) => {
    const state = after(...names);
    expect(next(state, events[late])).toBe(state);
  });

  it("counts attempts, and begins each at nothing", () => {
    expect(after("started", "created", "half", "interrupted", "resumed")).toMatchObject({ attempt: 2, sentBytes: 0, bytesPerSecond: null });
    expect(after("started", "created", "failed", "resumed")).toMatchObject({ attempt: 1 });
  });

  it("knows when leaving would lose something, and when nothing more comes", () => {
    expect([after("started"), after("started", "created"), after("started", "created", "all"), after("started", "created", "interrupted")].every(inFlight)).toBe(true);
    expect([after(), after("started", "created", "stored"), after("started", "failed")].some(inFlight)).toBe(false);
    expect([after("started", "failed"), after("started", "created", "stored", "ready")].every(finished)).toBe(true);
  });
});
