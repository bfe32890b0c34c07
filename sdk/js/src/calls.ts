// Calls under way on one connection: which answer belongs to which, how many at once, how long each may take. When the connection ends every
// one of them is rejected: whether the gateway carried it out is not known, and only the caller can say whether to ask again.
import { GatewayError, type GatewayErrorCode } from "./errors.js";
import type { Frame, Request } from "./wire.js";

/** Calls that wait for their turn. More are refused at once. */
export const MAX_WAITING = 100;

/** Until the gateway has said how many it runs at a time. */
export const DEFAULT_IN_FLIGHT = 8;

export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** Goes out at once, whatever is waiting. */
  urgent?: boolean;
  batch?: boolean;
}

interface Call {
  request: Request;
  resolve: (data: unknown) => void;
  reject: (reason: unknown) => void;
  timer: ReturnType<typeof setTimeout> | undefined;
  stopListening: () => void;
  /** The caller has its result; the place on the gateway is still taken. */
  settled: boolean;
}

export class Calls {
  #send: (text: string) => void;
  #waiting: Call[] = [];
  #flying = new Map<string, Call>();
  maxInFlight = DEFAULT_IN_FLIGHT;

  constructor(send: (text: string) => void) {
    this.#send = send;
  }

  get pending(): number {
    return this.#waiting.length + this.#flying.size;
  }

  /** `timeoutMs` counts from now until the answer, waiting for a turn included. */
  call(name: string, data: unknown, timeoutMs: number, options: CallOptions = {}): Promise<unknown> {
    const { signal, urgent = false, batch = false } = options;
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    const operationID = newOperationID();
    if (!urgent && this.#waiting.length >= MAX_WAITING) {
      return Promise.reject(new GatewayError("too_many_pending", `${name}: ${MAX_WAITING} calls are waiting already.`, { operationID }));
    }
    return new Promise((resolve, reject) => {
      const request: Request = { reqFuncName: name, operationID, data, ...(batch ? { batchMsg: 1 } : {}) };
      const call: Call = { request, resolve, reject, timer: undefined, stopListening: () => {}, settled: false };
      call.timer = setTimeout(() => {
        this.#settle(call, () => reject(new GatewayError("timeout", `${name}: no answer within ${timeoutMs} ms.`, { operationID })));
        this.#forget(call);
      }, timeoutMs);
      if (signal) {
        const abort = () => {
          this.#settle(call, () => reject(signal.reason as Error), true);
          if (!this.#flying.has(operationID)) this.#forget(call);
        };
        signal.addEventListener("abort", abort, { once: true });
        call.stopListening = () => signal.removeEventListener("abort", abort);
      }
      if (urgent) return this.#fly(call);
      this.#waiting.push(call);
      this.#next();
    });
  }

  /** Whether the frame was the answer to a call of this connection. An event may bear the operationID of the call that caused it. */
  onFrame(frame: Frame): boolean {
    const call = this.#flying.get(frame.operationID);
    if (!call || (frame.event !== call.request.reqFuncName && frame.event.startsWith("On"))) return false;
    this.#settle(call, () => {
      if (frame.errCode === 0) return call.resolve(frame.data);
      const message = `${call.request.reqFuncName}: ${frame.errMsg || `errCode ${frame.errCode}`}`;
      call.reject(new GatewayError("refused", message, { errCode: frame.errCode, operationID: frame.operationID }));
    });
    this.#forget(call);
    return true;
  }

  /** The connection has ended. */
  rejectAll(code: GatewayErrorCode, message: string): void {
    const calls = [...this.#flying.values(), ...this.#waiting];
    this.#flying.clear();
    this.#waiting = [];
    for (const call of calls) {
      const { reqFuncName, operationID } = call.request;
      this.#settle(call, () => call.reject(new GatewayError(code, `${reqFuncName}: ${message}`, { operationID })));
      clearTimeout(call.timer);
    }
  }

  #fly(call: Call): void {
    this.#flying.set(call.request.operationID, call);
    this.#send(JSON.stringify(call.request));
  }

  #next(): void {
    while (this.#flying.size < this.maxInFlight) {
      const call = this.#waiting.shift();
      if (!call) return;
      this.#fly(call);
    }
  }

  #settle(call: Call, tell: () => void, keepTimer = false): void {
    if (!keepTimer) clearTimeout(call.timer);
    call.stopListening();
    if (call.settled) return;
    call.settled = true;
    tell();
  }

  #forget(call: Call): void {
    clearTimeout(call.timer);
    this.#flying.delete(call.request.operationID);
    const index = this.#waiting.indexOf(call);
    if (index >= 0) this.#waiting.splice(index, 1);
    this.#next();
  }
}

/** A random UUID (RFC 9562, version 4). Not crypto.randomUUID: browsers have that on HTTPS pages only. */
export function newOperationID(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
