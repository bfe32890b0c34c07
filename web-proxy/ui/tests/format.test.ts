import { describe, expect, it } from "vitest";
import { bytes, duration, exact, percent, relative } from "../src/format";

describe("bytes", () => {
  it.each([
    [0, "0 B"], [999, "999 B"], [1000, "1 KB"], [1234, "1.23 KB"], [12_345, "12.3 KB"], [123_456, "123 KB"], [999_999, "1 MB"],
    [11_736_453, "11.7 MB"], [2 ** 31, "2.15 GB"], [5e15, "5,000 TB"],
  ])("%i is %s", (count, shown) => expect(bytes(count)).toBe(shown));
  it("the exact count is never rounded", () => expect(exact(11_736_453)).toBe("11,736,453"));
});

describe("duration", () => {
  it.each([[0, "0:00"], [1, "0:01"], [1999, "0:01"], [65_000, "1:05"], [3_723_000, "1:02:03"], [36_000_000, "10:00:00"]])("%i ms is %s", (ms, shown) =>
    expect(duration(ms)).toBe(shown),
  );
});

describe("relative", () => {
  const now = Date.parse("2026-06-15T12:00:00.000Z");
  it.each([
    ["2026-06-15T11:59:50.000Z", "now"], ["2026-06-15T11:58:00.000Z", "2 minutes ago"], ["2026-06-15T09:00:00.000Z", "3 hours ago"],
    ["2026-06-14T12:00:00.000Z", "yesterday"], ["2026-06-22T12:00:00.000Z", "in 7 days"], ["2025-06-15T12:00:00.000Z", "last year"], ["garbage", ""],
  ])("%s is %s", (time, shown) => expect(relative(time, now)).toBe(shown));
  it("speaks Chinese", () => expect(relative("2026-06-15T09:00:00Z", now, "zh-CN")).toBe("3小时前"));
});

describe("percent", () => {
  it.each([[0, 0, 0], [0, 10, 0], [999, 1000, 99], [1000, 1000, 100], [1, 3, 33]])("%i of %i is %i", (part, whole, share) => expect(percent(part, whole)).toBe(share));
});
