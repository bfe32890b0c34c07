// Everything a call can fail with. `code` is a word to switch on; `errCode` is the gateway's number when it was the gateway that refused.

export type GatewayErrorCode =
  /** The gateway answered with an errCode other than 0. */
  | "refused"
  /** No answer within the call's time. The call may have been carried out all the same. */
  | "timeout"
  /** The connection ended while the call was under way. It may have been carried out all the same. */
  | "disconnected"
  /** There was no connection to send it on. It was not sent. */
  | "not_connected"
  /** Too many calls are waiting already. It was not sent. */
  | "too_many_pending"
  /** The session is over (close code 4401). */
  | "signed_out"
  /** The gateway doesn't want this client (close code 4400). */
  | "protocol"
  /** The client was closed by the application. */
  | "closed"
  /** A connection is in no more rooms than the gateway allows (`info.limits.maxRooms`): leave one first. */
  | "too_many_rooms"
  /** The room was left, or has closed, before it was joined. */
  | "left";

/** The gateway's own numbers (gateway.md), and that of too many requests. Others are numbers of the catalogue of problems. */
export const ERR = { frame: 100, badParameter: 1001, loginPending: 1002, notLoggedIn: 1003, notReady: 1004, notSupported: 1005, tooManyRequests: 2019 } as const;

export class GatewayError extends Error {
  readonly code: GatewayErrorCode;
  /** The gateway's number; 0 when the error is this side's. */
  readonly errCode: number;
  readonly operationID: string | undefined;

  constructor(code: GatewayErrorCode, message: string, facts: { errCode?: number; operationID?: string } = {}) {
    super(message);
    this.name = "GatewayError";
    this.code = code;
    this.errCode = facts.errCode ?? 0;
    this.operationID = facts.operationID;
  }
}
