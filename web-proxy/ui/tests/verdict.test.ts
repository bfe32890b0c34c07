import { describe, expect, it } from "vitest";
import { Problem, type ProblemFacts } from "../src/problem";
import { judge, type Situation, type Verdict } from "../src/verdict";

const check = (facts: Partial<ProblemFacts>, situation: Partial<Situation>, expected: Verdict) =>
  expect(judge(new Problem({ code: "x", status: 0, detail: "", ...facts }), { asked: "bytes", failures: 0, freshGrant: false, lost: 0, whole: false, ...situation })).toEqual(expected);

describe("what to do when an upload fails", () => {
  it.each<[string, Partial<ProblemFacts>, Partial<Situation>, Verdict]>([
    ["no answer", { code: "network" }, {}, { do: "wait", seconds: 1, busy: false }],
    ["no answer for the fourth time", { code: "timeout" }, { failures: 3 }, { do: "wait", seconds: 8, busy: false }],
    ["no answer for the hundredth time", { code: "network" }, { failures: 99 }, { do: "wait", seconds: 30, busy: false }],
    ["no answer about the entry", { code: "network" }, { asked: "entry" }, { do: "wait", seconds: 1, busy: false }],
    ["a stall", { status: 408 }, {}, { do: "wait", seconds: 1, busy: false }],
    ["too many", { status: 429, retryAfter: 7 }, {}, { do: "wait", seconds: 7, busy: true }],
    ["too many, now", { status: 429, retryAfter: 0 }, {}, { do: "wait", seconds: 1, busy: true }],
    ["too many, no word when", { status: 429 }, { failures: 9 }, { do: "wait", seconds: 2, busy: true }],
    ["stopping", { status: 503, retryAfter: 1 }, { failures: 5 }, { do: "wait", seconds: 1, busy: true }],
    ["a lock of another kind of server", { status: 423 }, {}, { do: "wait", seconds: 1, busy: true }],
    ["a proxy whose server is gone", { status: 502 }, { failures: 2 }, { do: "wait", seconds: 4, busy: true }],
    ["the server's fault", { status: 500 }, { failures: 4 }, { do: "wait", seconds: 15, busy: true }],
    ["the server's fault every time", { status: 500 }, { failures: 5 }, { do: "fail", final: false }],
    ["the grant is old", { status: 401 }, {}, { do: "new_grant" }],
    ["the grant is old when asked how far", { status: 401 }, { asked: "where" }, { do: "new_grant" }],
    ["a fresh grant isn't taken", { status: 401 }, { freshGrant: true, failures: 1 }, { do: "wait", seconds: 2, busy: true }],
    ["the session is over", { status: 401 }, { asked: "grant" }, { do: "sign_in" }],
    ["there never was a session", { status: 401 }, { asked: "entry" }, { do: "sign_in" }],
    ["another offset", { status: 409, offset: 7 }, {}, { do: "go_on", offset: 7 }],
    ["another offset again and again", { status: 409, offset: 7 }, { failures: 3 }, { do: "wait", seconds: 8, busy: false }],
    ["a conflict", { status: 409 }, {}, { do: "look" }],
    ["no grant for this video any more", { status: 409 }, { asked: "grant" }, { do: "look" }],
    ["the video is gone", { status: 404 }, { asked: "grant" }, { do: "look" }],
    ["the video is gone when beginning", { status: 410 }, { asked: "begin" }, { do: "fail", final: false }],
    ["the upload is unknown", { status: 404 }, { asked: "where" }, { do: "begin_anew" }],
    ["the upload has expired", { status: 410 }, {}, { do: "begin_anew" }],
    ["and the next one, too", { status: 410 }, { lost: 1 }, { do: "fail", final: false }],
    ["it was ended when it was whole", { status: 410 }, { asked: "where", whole: true }, { do: "fail", final: false }],
    ["too large from the start", { status: 413 }, { asked: "begin" }, { do: "fail", final: true }],
    ["a piece too large for something in between", { status: 413 }, {}, { do: "smaller" }],
    ["not a video", { status: 415 }, {}, { do: "fail", final: true }],
    ["the disk is full", { status: 507 }, {}, { do: "fail", final: false }],
    ["nonsense", { status: 400 }, {}, { do: "fail", final: false }],
    ["a checksum", { status: 460 }, {}, { do: "fail", final: false }],
  ])("%s", (_, facts, situation, expected) => check(facts, situation, expected));
});
