// Writes src/functions.ts from schema/functions.json, which the gateway's own test writes from what ListFunctions answers.
//   npm run generate          writes
//   … -- --check              only says whether the file is what it should be
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { functionsModule } from "./types.mjs";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const target = new URL("../src/functions.ts", import.meta.url);
const text = functionsModule(JSON.parse(read("../schema/functions.json")));

if (!process.argv.includes("--check")) {
  writeFileSync(target, text);
  console.log(`wrote ${fileURLToPath(target)}`);
} else if (read(target.href) !== text) {
  console.error("src/functions.ts is not what schema/functions.json says: npm run generate");
  process.exit(1);
}
