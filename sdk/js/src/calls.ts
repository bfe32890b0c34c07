// Calls under way on one connection: which answer belongs to which, how many at once and how fast, how long each may take. When the connection
// ends every one of them is rejected: whether the gateway carried it out is not known, and only the caller can say whether to ask again.
import { ERR, GatewayError, type GatewayErrorCode } from "./errors.js";
import { Pace } from "./pace.js";
import type { Frame, Limits, Request } from "./wire.js";

/** Calls that wait for their turn. More are refused at once. */
export const MAX_WAITING = 100;

/** Until the gateway has said how many it runs at a time. */
export const DEFAULT_IN_FLIGHT = 8;

/** A call that was refused unread, with a time to wait, is sent again so often. */
export const MAX_RESENT = 5;
/** And when that time is longer, the caller hears of it at once. */
const MOST_WAIT_MS = 30_000;

export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** `now`: goes out at once, whatever is waiting. `first`: before what is waiting. */
  rank?: "now" | "first" | undefined;
  /** The client's own, of which there are so many as rooms: its time counts from when it is sent, and it is not refused for those that wait. */
  patient?: boolean | undefined;
  /** As many calls as this one may count for. */
  weight?: number | undefined;
  batch?: boolean | undefined;
}

interface Call {
  request: Request;
  options: CallOptions;
  timeoutMs: number;
  resolve: (data: unknown) => void;
  reject: (reason: unknown) => void;
  timer: ReturnType<typeof setTimeout> | undefined;
  stopListening: () => void;
  /** The caller has its result; the place on the gateway is still taken. */
  settled: boolean;
  resent: number;
}

export class Calls {
  #send: (text: string) => void;
  #pace = new Pace();
  #first: Call[] = [];
  #waiting: Call[] = [];
  #flying = new Map<string, Call>();
  #maxInFlight = DEFAULT_IN_FLIGHT;
  #wakeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (text: string) => void) {
    this.#send = send;
  }

  get pending(): number {
    return this.#first.length + this.#waiting.length + this.#flying.size;
  }

  /** A connection begins. */
  begin(limits: Partial<Limits> | undefined): void {
    this.#maxInFlight = limits?.maxCallsInFlight || DEFAULT_IN_FLIGHT;
    this.#pace.begin(limits);
  }

  /** `timeoutMs` counts from now until the answer, waiting for a turn included (see `patient`). */
  call(name: string, data: unknown, timeoutMs: number, options: CallOptions = {}): Promise<unknown> {
    const { signal, rank, patient = false, batch = false } = options;
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    const operationID = newOperationID();
    if (rank === undefined && !patient && this.#waiting.filter((call) => !call.options.patient).length >= MAX_WAITING) {
      return Promise.reject(new GatewayError("too_many_pending", `${name}: ${MAX_WAITING} calls are waiting already.`, { operationID }));
    }
    return new Promise((resolve, reject) => {
      const request: Request = { reqFuncName: name, operationID, data, ...(batch ? { batchMsg: 1 } : {}) };
      const call: Call = { request, options, timeoutMs, resolve, reject, timer: undefined, stopListening: () => {}, settled: false, resent: 0 };
      if (!patient) this.#startTime(call);
      if (signal) {
        const abort = () => {
          this.#settle(call, () => reject(signal.reason as Error), true);
          if (!this.#flying.has(operationID)) this.#forget(call);
        };
        signal.addEventListener("abort", abort, { once: true });
        call.stopListening = () => signal.removeEventListener("abort", abort);
      }
      if (rank === "now") {
        this.#pace.charge(performance.now());
        return this.#fly(call);
      }
      (rank === "first" ? this.#first : this.#waiting).push(call);
      this.#next();
    });
  }

  /** Whether the frame was the answer to a call of this connection. An event may bear the operationID of the call that caused it. */
  onFrame(frame: Frame): boolean {
    const call = this.#flying.get(frame.operationID);
    if (!call || (frame.event !== call.request.reqFuncName && frame.event.startsWith("On"))) return false;
    if (frame.errCode === ERR.tooManyRequests && this.#again(call, frame.errMsg)) return true;
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
    const calls = [...this.#flying.values(), ...this.#first, ...this.#waiting];
    clearTimeout(this.#wakeTimer);
    this.#flying.clear();
    this.#first = [];
    this.#waiting = [];
    for (const call of calls) {
      const { reqFuncName, operationID } = call.request;
      this.#settle(call, () => call.reject(new GatewayError(code, `${reqFuncName}: ${message}`, { operationID })));
      clearTimeout(call.timer);
    }
  }

  /** The gateway has taken too much: nothing goes out for a while. Whether this call, which it hasn't carried out, will be sent again. */
  #again(call: Call, errMsg: string): boolean {
    const told = toldWait(errMsg);
    this.#pace.refused(told, performance.now());
    const { rank, patient } = call.options;
    if (call.settled || rank === "now" || told === undefined || told > MOST_WAIT_MS || call.resent >= MAX_RESENT) return false;
    call.resent += 1;
    if (patient) clearTimeout(call.timer);
    this.#flying.delete(call.request.operationID);
    (rank === "first" ? this.#first : this.#waiting).unshift(call);
    this.#next();
    return true;
  }

  #startTime(call: Call): void {
    const { reqFuncName, operationID } = call.request;
    call.timer = setTimeout(() => {
      this.#settle(call, () => call.reject(new GatewayError("timeout", `${reqFuncName}: no answer within ${call.timeoutMs} ms.`, { operationID })));
      this.#forget(call);
    }, call.timeoutMs);
  }

  #fly(call: Call): void {
    if (call.options.patient) this.#startTime(call);
    this.#flying.set(call.request.operationID, call);
    this.#send(JSON.stringify(call.request));
  }

  #next(): void {
    clearTimeout(this.#wakeTimer);
    while (this.#flying.size < this.#maxInFlight) {
      const queue = this.#first.length > 0 ? this.#first : this.#waiting;
      const call = queue[0];
      if (!call) return;
      const wait = this.#pace.take(call.options.weight ?? 1, performance.now());
      if (wait > 0) {
        this.#wakeTimer = setTimeout(() => this.#next(), wait);
        return;
      }
      queue.shift();
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
    for (const queue of [this.#first, this.#waiting]) {
      const index = queue.indexOf(call);
      if (index >= 0) queue.splice(index, 1);
    }
    this.#next();
  }
}

/** "… try again in 50 ms." */
export function toldWait(errMsg: string): number | undefined {
  const told = /try again in (\d+) ms/i.exec(errMsg)?.[1];
  return told === undefined ? undefined : Number(told);
}

/** A random UUID (RFC 9562, version 4). Not crypto.randomUUID: browsers have that on HTTPS pages only. */
export function newOperationID(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
