// The types of the functions are those of the schema, and the file in src/ is what the generator writes.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { functionsModule, typeOf } from "../scripts/types.mjs";

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");

it("src/functions.ts is current (npm run generate)", () => {
  expect(read("../src/functions.ts")).toBe(functionsModule(JSON.parse(read("../schema/functions.json"))));
});

describe("a schema's type", () => {
  it.each<[unknown, string]>([
    [{ type: "string" }, "string"],
    [{ type: ["string", "null"] }, "string | null"],
    [{ type: "integer", format: "int64" }, "number"],
    [{ enum: ["a", "b"], type: "string" }, '"a" | "b"'],
    [{ const: 1 }, "1"],
    [{ $ref: "#/components/schemas/Video" }, "Video"],
    [{ $ref: "#/$defs/Page<Video>" }, "PageVideo"],
    [{ oneOf: [{ type: "null" }, { $ref: "#/schemas/X" }] }, "null | X"],
    [{ type: "array", items: { type: ["string", "null"] } }, "(string | null)[]"],
    [{ type: "array", items: false, prefixItems: [{ type: "string" }, { type: "number" }] }, "[string, number]"],
    [{ type: "object", properties: { a: { type: "string" }, "b-c": { type: "number" } }, required: ["a"] }, '{\n  a: string;\n  "b-c"?: number;\n}'],
    [{ type: "object", properties: {} }, "Record<string, never>"],
    [{ type: "object" }, "Record<string, unknown>"],
    [{ type: "object", additionalProperties: { type: "integer" } }, "Record<string, number>"],
    [{ allOf: [{ $ref: "#/$defs/A" }, { type: "object", properties: { b: { type: "boolean" } }, required: ["b"] }] }, "A & {\n  b: boolean;\n}"],
    [{}, "unknown"], [true, "unknown"], [null, "unknown"], [{ type: "strange" }, "unknown"],
    [{ oneOf: [{ type: "string" }, {}] }, "unknown"],
  ])("%j", (schema, type) => expect(typeOf(schema)).toBe(type));

  it("carries what is said about it", () => {
    const text = functionsModule({ functions: [], schemas: { A: { type: "object", description: "One.\nTwo */ three.", properties: { b: { type: "string", description: "Note." } } } } });
    expect(text).toContain("/**\n * One.\n * Two *\\/ three.\n */\nexport interface A {\n  /** Note. */\n  b?: string;\n}");
  });
});
