import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

export interface MockEntry {
  videoID: string;
  seq: number;
  kind: string;
  at: string;
  operationID: string | null;
  data: unknown;
}
export class CallError extends Error {
  constructor(errCode: number, errMsg: string);
  errCode: number;
}
export class MemoryWorld {
  users: Map<string, { userID: string; username: string }>;
  logs: Map<string, MockEntry[]>;
  hidden: Set<string>;
  addUser(token: string, username: string): void;
  log(videoID: string): MockEntry[];
  append(videoID: string, kind: string, data: unknown, operationID?: string | null): MockEntry;
  call(user: unknown, name: string, data: unknown): unknown;
}
export class MockGateway {
  constructor(options: { WebSocketServer: unknown; world: unknown });
  faults: {
    refuse: number;
    mute: Set<string>;
    drop: (entry: MockEntry) => boolean;
    twice: (entry: MockEntry) => boolean;
    delay: Record<string, number>;
    errors: Record<string, number[]>;
    silentOpen: boolean;
  };
  connections: Set<{ ws: { send(text: string): void; close(code?: number): void; terminate(): void }; rooms: Set<string>; loggedIn: boolean }>;
  requests: Array<{ reqFuncName: string; operationID: string; data: Record<string, unknown>; batchMsg?: number }>;
  refusals: number;
  pageSize: number;
  limits: { maxFrameBytes: number; callsPerSecond: number; callBurst: number; maxCallsInFlight: number; maxRooms: number };
  pingIntervalMs: number;
  batchMs: number;
  anyOrigin?: boolean;
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  publish(entry: MockEntry): void;
  toUser(username: string, event: string, data: unknown, operationID?: string): void;
  heartbeat(videoID: string): void;
  kick(token: string): void;
  drain(closeWithinMs?: number): void;
  closeAll(code: number): void;
  cutAll(): void;
  count(videoID: string): number;
  close(): void;
}
