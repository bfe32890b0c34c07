// Builds the page into dist/, which web-proxy embeds. The server sends a strict CSP, so nothing may become inline: no data: assets, no
// preload polyfill. Every asset carries a hash in its name and may be cached for ever; index.html may not.
import { defineConfig } from "vitest/config";

/** Where `npm run dev` sends API calls: a running server, or `npm run mock`. */
const backend = process.env["SLUICE_URL"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  build: {
    target: "es2022",
    outDir: "dist",
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
  },
  server: {
    host: "127.0.0.1",
    proxy: { "/api": backend, "/uploads": backend, "/media": backend },
  },
  test: { include: ["tests/**/*.test.ts"] },
});
