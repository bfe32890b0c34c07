// Builds the page into dist/, which web-proxy embeds. The server sends a strict CSP, so nothing may become inline: no data: assets, no
// preload polyfill. Every asset carries a hash in its name and may be cached for ever; index.html may not.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Where `npm run dev` sends API calls: a running server, or `npm run mock`. */
const backend = process.env["SLUICE_URL"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  // The gateway's client is built from its source with the page: a fresh clone needs no build of its own for it. tsconfig.json says the same.
  resolve: { alias: { "@sluice/gateway": fileURLToPath(new URL("../../sdk/js/src/index.ts", import.meta.url)) } },
  build: {
    target: "es2022",
    outDir: "dist",
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
  },
  server: {
    host: "127.0.0.1",
    proxy: { "/api": backend, "/uploads": backend, "/media": backend, "/ws": { target: backend, ws: true, rewriteWsOrigin: true } },
    fs: { allow: [".", "../../sdk/js/src"] },
  },
  test: { include: ["tests/**/*.test.ts"] },
});
