// A Sluice of its own behind an address that stays: the real binary on a free port, killed and started again at will on the same data.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openWire } from "../../../sdk/js/mock/wire.mjs";

/** Longest time until it says that it is ready. */
const START_MS = 30_000;

export class Server {
  #binary;
  #folder = mkdtempSync(join(tmpdir(), "sluice-e2e-"));
  #process;
  #log = "";
  wire;

  constructor(binary) {
    this.#binary = binary;
    writeFileSync(join(this.#folder, "admin-password"), "the operators password 1");
  }

  /** `settings`: as `key=value`. */
  async start(settings = []) {
    const args = ["serve", "--listen", "127.0.0.1:0", "--data-dir", join(this.#folder, "data"), ...settings.flatMap((setting) => ["--set", setting])];
    const env = { ...process.env, SLUICE_ADMIN_PASSWORD_FILE: join(this.#folder, "admin-password") };
    const child = spawn(this.#binary, args, { stdio: ["ignore", "pipe", "pipe"], env });
    this.#process = child;
    child.stderr.on("data", (bytes) => (this.#log = (this.#log + bytes).slice(-20_000)));
    const line = await Promise.race([once(child.stdout, "data"), once(child, "exit"), new Promise((resolve) => setTimeout(resolve, START_MS).unref())]);
    const base = /http:\/\/[^\s]+/.exec(String(line?.[0]))?.[0];
    if (!base) throw new Error(`the server doesn't start:\n${this.#log}`);
    if (this.wire) this.wire.aim(base);
    else this.wire = await openWire(base);
    return this.wire.base;
  }

  async kill() {
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }

  /** What there is of uploads that are not finished. */
  parts() {
    const files = readdirSync(join(this.#folder, "data"), { recursive: true }).map(String);
    return files.filter((name) => name.endsWith(".part") && statSync(join(this.#folder, "data", name)).isFile());
  }

  get log() {
    return this.#log;
  }

  async close() {
    await this.kill().catch(() => {});
    this.wire?.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
