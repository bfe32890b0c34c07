import { describe, expect, it } from "vitest";
import { Problem } from "../src/problem";
import { active, fresh, next, type Step, type UploadEvent, type UploadState } from "../src/upload_state";

const job = { title: "T", fileName: "t.mp4", totalBytes: 100 };
const problem = new Problem({ code: "network", status: 0, detail: "" });
const events = {
  queued: { type: "queued" },
  begun: { type: "begun" },
  created: { type: "created", videoId: "v" },
  placed: { type: "placed", saved: 20, expires: "2026-01-02T00:00:00.000Z" },
  half: { type: "progressed", sent: 50, rate: 10 },
  all: { type: "progressed", sent: 100, rate: 10 },
  saved: { type: "saved", saved: 40, expires: null },
  interrupted: { type: "interrupted", why: "connection", problem, until: 3 },
  signed_out: { type: "signed_out" },
  stored: { type: "stored" },
  slow: { type: "slow" },
  ready: { type: "ready" },
  paused: { type: "paused" },
  failed: { type: "failed", problem, mayRetry: true },
  slept: { type: "slept", keptFile: false, complaint: null },
  elsewhere: { type: "left_to_another" },
  discarding: { type: "discarding" },
} satisfies Record<string, UploadEvent>;
type Name = keyof typeof events;

const after = (...names: Name[]): UploadState => names.reduce((state, name) => next(state, events[name]), fresh(job));

describe("the upload machine", () => {
  it.each<[Name[], Step["name"]]>([
    [[], "queued"],
    [["begun"], "preparing"],
    [["begun", "created", "placed"], "sending"],
    [["begun", "placed", "half", "saved"], "sending"],
    [["begun", "placed", "half", "all"], "storing"],
    [["begun", "placed", "all", "saved"], "storing"],
    [["begun", "placed", "half", "interrupted"], "waiting"],
    [["begun", "interrupted"], "waiting"],
    [["begun", "placed", "interrupted", "begun", "placed"], "sending"],
    [["begun", "placed", "half", "paused"], "paused"],
    [["paused", "queued", "begun"], "preparing"],
    [["begun", "placed", "signed_out"], "signed_out"],
    [["begun", "placed", "stored", "signed_out", "queued"], "queued"],
    [["slept"], "asleep"],
    [["slept", "queued"], "queued"],
    [["slept", "elsewhere"], "elsewhere"],
    [["elsewhere", "slept"], "asleep"],
    [["slept", "stored", "ready"], "ready"],
    [["begun", "placed", "all", "stored", "slow", "ready"], "ready"],
    [["begun", "failed"], "failed"],
    [["begun", "failed", "queued"], "queued"],
    [["begun", "placed", "discarding"], "discarding"],
    [["begun", "discarding", "failed"], "failed"],
  ])("%j leads to %s", (names, step) => expect(after(...names).step.name).toBe(step));

  it.each<[Name[], Name]>([
    [[], "half"], [[], "saved"], [[], "placed"], [[], "slow"],
    [["begun"], "half"], [["begun"], "ready"], [["begun"], "queued"],
    [["begun", "placed", "half", "paused"], "half"], // progress that comes late
    [["begun", "placed", "half", "paused"], "saved"],
    [["begun", "placed", "half", "paused"], "interrupted"],
    [["begun", "placed", "interrupted"], "half"], [["begun", "placed", "interrupted"], "interrupted"],
    [["begun", "placed", "all"], "half"],
    [["begun", "placed", "stored"], "paused"],
    [["begun", "placed", "stored", "ready"], "failed"], [["begun", "placed", "stored", "ready"], "discarding"],
    [["begun", "discarding"], "half"], [["begun", "discarding"], "queued"], [["begun", "discarding"], "begun"],
    [["elsewhere"], "begun"],
  ])("after %j, %s changes nothing", (names, late) => {
    const state = after(...names);
    expect(next(state, events[late])).toBe(state);
  });

  it("tells what is safe from what is on its way", () => {
    expect(after("begun", "placed")).toMatchObject({ saved: 20, sent: 20, expires: "2026-01-02T00:00:00.000Z" });
    expect(after("begun", "placed", "half")).toMatchObject({ saved: 20, sent: 50 });
    expect(after("begun", "placed", "half", "saved")).toMatchObject({ saved: 40, sent: 50, expires: "2026-01-02T00:00:00.000Z" });
    expect(after("begun", "placed", "half", "saved", "interrupted")).toMatchObject({ saved: 40, sent: 40 });
    expect(after("begun", "placed", "half", "saved", "paused")).toMatchObject({ saved: 40, sent: 40 });
    expect(after("begun", "placed", "stored")).toMatchObject({ saved: 100, sent: 100, expires: null });
  });

  it("knows when leaving would stop something", () => {
    expect([after(), after("begun"), after("begun", "placed"), after("begun", "placed", "all"), after("begun", "interrupted")].every(active)).toBe(true);
    expect([after("paused"), after("slept"), after("elsewhere"), after("begun", "placed", "stored"), after("begun", "failed")].some(active)).toBe(false);
  });
});
