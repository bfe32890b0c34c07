// The smaller pure parts: comment threads, language, titles, art, form checks.
import { describe, expect, it } from "vitest";
import { checkPassword, checkUsername, titleFromFile } from "../src/checks";
import { pickLanguage } from "../src/language";
import { artOf } from "../src/parts/art";
import { longer, MOST_MS } from "../src/polling";
import { en } from "../src/text";
import { zhCN } from "../src/text.zh-CN";
import { threadsOf } from "../src/threads";
import type { Comment } from "../src/types";

const comment = (id: string, parentId: string | null = null): Comment => ({ id, parentId, text: id, author: { username: "u", displayName: "U" }, createdAt: "2026-01-01T00:00:00.000Z" });
const shape = (comments: Comment[]) => threadsOf(comments).map(({ root, replies, orphan }) => [root.id, replies.map((reply) => reply.id), orphan]);

describe("threads", () => {
  it("puts replies, oldest first, under their root", () =>
    expect(shape([comment("4", "1"), comment("3"), comment("2", "1"), comment("1")])).toEqual([["3", [], false], ["1", ["2", "4"], false]]));
  it("shows a reply to a reply on the same level", () => expect(shape([comment("3", "2"), comment("2", "1"), comment("1")])).toEqual([["1", ["2", "3"], false]]));
  it("keeps a reply whose root isn't loaded", () => expect(shape([comment("9", "7")])).toEqual([["9", [], true]]));
  it("survives a circle", () => expect(() => shape([comment("1", "2"), comment("2", "1")])).not.toThrow());
});

describe("language", () => {
  it.each<[string | null, string[], string]>([
    [null, ["zh-CN", "en"], "zh-CN"], [null, ["zh-Hant-TW"], "zh-CN"], [null, ["de", "en-GB", "zh"], "en"], [null, ["de"], "en"], [null, [], "en"],
    ["en", ["zh-CN"], "en"], ["zh-CN", ["en"], "zh-CN"], ["xx", ["zh"], "zh-CN"],
  ])("chosen %s, wanted %j: %s", (chosen, wanted, language) => expect(pickLanguage(chosen, wanted)).toBe(language));

  it("both languages have the same texts, none empty, the Chinese ones in Chinese", () => {
    const flat = (texts: object, path = ""): Array<[string, unknown]> =>
      Object.entries(texts).flatMap(([key, value]) => (typeof value === "object" ? flat(value as object, `${path}${key}.`) : [[path + key, value] as [string, unknown]]));
    expect(flat(zhCN).map(([path]) => path).sort()).toEqual(flat(en).map(([path]) => path).sort());
    for (const [path, value] of flat(zhCN)) if (typeof value === "string") expect(value, path).toMatch(/[\u4e00-\u9fff]/);
  });
});

describe("checks", () => {
  it.each([["abc", true], ["a_b-9", true], ["ab", false], ["9ab", false], ["Abc", false], ["a".repeat(33), false], ["a b", false]])("user name %s: %s", (name, good) =>
    expect(checkUsername(name, en) === undefined).toBe(good));
  it.each([["1234567", false], ["12345678", true], ["密码密码密码密码", true], ["x".repeat(129), false]])("password %s: %s", (password, good) =>
    expect(checkPassword(password, en) === undefined).toBe(good));
  it.each([["my_holiday_2026.mp4", "my holiday 2026"], ["a.b.mov", "a.b"], [".mp4", ".mp4"], ["x".repeat(300) + ".mp4", "x".repeat(100)]])("title of %s", (name, title) =>
    expect(titleFromFile(name)).toBe(title));
});

it("the same id always has the same picture, another one another", () => {
  expect(artOf("0123456789ab")).toEqual(artOf("0123456789ab"));
  expect(artOf("0123456789ab")).not.toEqual(artOf("0123456789ac"));
});

it("waits grow up to the longest and stay there", () => {
  let wait = 300;
  for (let round = 0; round < 20; round += 1) wait = longer(wait);
  expect(wait).toBe(MOST_MS);
});
