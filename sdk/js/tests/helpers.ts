// A mock gateway on a free port, clients of it, and bounded waits.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { MemoryWorld, MockGateway } from "../mock/gateway.mjs";
import { SluiceClient, type Entry, type Options } from "../src/index.js";

/** No wait in these tests may take longer. */
const MOST_MS = 15_000;

export async function until(what: string, holds: () => boolean): Promise<void> {
  const end = Date.now() + MOST_MS;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`${what}: not within ${MOST_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export class Site {
  world = new MemoryWorld();
  gateway = new MockGateway({ WebSocketServer, world: this.world });
  port = 0;
  #server: Server | undefined;
  #clients: SluiceClient[] = [];

  async listen(): Promise<this> {
    const server = createServer((_, response) => response.writeHead(404).end());
    server.on("upgrade", (request, socket, head) => this.gateway.handleUpgrade(request, socket, head));
    await new Promise<void>((resolve) => server.listen(this.port, "127.0.0.1", resolve));
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
    return this;
  }

  /** As a process that ends: the port is closed, the connections are cut. */
  async stop(): Promise<void> {
    this.gateway.cutAll();
    await new Promise((resolve) => this.#server?.close(resolve));
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/ws`;
  }

  client(username = "mira", options: Partial<Options> = {}): SluiceClient {
    const token = `token-of-${username}`;
    this.world.addUser(token, username);
    const client = new SluiceClient({ url: this.url, sendID: username, token, WebSocket, random: () => 0.05, ...options });
    this.#clients.push(client);
    return client;
  }

  say(videoID: string, text: string): void {
    this.gateway.publish(this.world.append(videoID, "danmaku", danmaku(text)));
  }

  async end(): Promise<void> {
    for (const client of this.#clients) client.close();
    this.gateway.close();
    await new Promise((resolve) => this.#server?.close(resolve));
  }
}

export const danmaku = (text: string) => ({ id: text, text, atMs: 0, mode: "scroll", color: "#ffffff", author: { username: "mira", displayName: "Mira" }, createdAt: "2026-01-01T00:00:00.000Z" });

/** What an application sees of a room. */
export function heard(client: SluiceClient): { seqs: number[]; entries: Entry[] } {
  const seen = { seqs: [] as number[], entries: [] as Entry[] };
  client.on("entry", (entry) => {
    seen.seqs.push(entry.seq);
    seen.entries.push(entry);
  });
  return seen;
}

export const upTo = (last: number, first = 1): number[] => Array.from({ length: last - first + 1 }, (_, index) => first + index);
