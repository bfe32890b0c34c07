// What an application gives and what it hears.
import type { Chance } from "./backoff.js";
import type { GatewayError } from "./errors.js";
import type { User } from "./functions.js";
import type { ClientState } from "./link.js";
import type { ClosedData, ConnectSuccess, Entry, EntryOf, Frame, RoomCount, UploadProgress, VideoRef } from "./wire.js";

export interface Options {
  /** Where the gateway is: `wss://host/ws`, or a page's own `/ws`. `http` and `https` are taken for `ws` and `wss`. */
  url: string | URL;
  /** The user name. Who the connection is, is its token's to say; the gateway checks that both agree. */
  sendID: string;
  /** One of PLATFORM; web when not given. */
  platformID?: number;
  /** The session's token. Without it the browser's cookie speaks. It travels as a subprotocol, never in the address. */
  token?: string;
  /** Room entries in batches: fewer frames in a busy room. The application sees no difference. */
  batch?: boolean;
  /**
   * Asked before every try that follows one in vain, because a browser can't see that a handshake was refused with 401: `signed_out` ends the
   * client as close code 4401 does. A page asks `GET /api/v1/users/me`. Throw when it can't be told: then the try is made.
   */
  beforeReconnect?: () => Promise<"go" | "signed_out">;
  /** Where there is no WebSocket (Node 20): that of the package `ws`. */
  WebSocket?: unknown;
  /** For tests. */
  random?: Chance;
}

export interface Events {
  state: ClientState;
  OnConnectSuccess: ConnectSuccess;
  OnKickedOffline: { reason: string };
  OnUserTokenExpired: Record<string, never>;
  OnServerDraining: { closeWithinMs: number };
  OnSelfInfoUpdated: User;
  /** Every entry of every joined room, in the order of its seq, before the event of its kind. */
  entry: Entry;
  OnRecvDanmaku: EntryOf<"danmaku">;
  OnRecvComment: EntryOf<"comment">;
  OnMessageRevoked: EntryOf<"revoked">;
  OnRoomInfoChanged: EntryOf<"info">;
  OnRoomClosed: EntryOf<"closed">;
  /** Also told after every join, with what the join answered. */
  OnRoomMemberCount: RoomCount;
  OnUploadProgress: UploadProgress;
  OnVideoReady: VideoRef;
  OnVideoFailed: VideoRef;
  OnVideoTrashed: VideoRef;
  OnVideoRestored: VideoRef;
  OnVideoPurged: VideoRef;
  /** User events may be lost (the bus between the server's processes was away): what they would have said is to be looked up. */
  OnEventsMissed: Record<string, never>;
  /** Logged in (again): user events sent while there was no login are lost, so what they would have said is to be looked up. */
  loggedIn: { again: boolean };
  /** A Login was refused. With `retryAt` (as Date.now() counts) it is tried again by itself then; without, login() is to be called. */
  loginFailed: { error: unknown; attempt: number; retryAt?: number };
  /** The room has closed and this client is no longer in it. A closing that is over (the room could be joined again) is only an entry. */
  roomEnded: { videoID: string; reason: ClosedData["reason"] };
  /** A room is given up: it can't be joined (any more). */
  roomLost: { videoID: string; error: GatewayError };
  /** The log doesn't give these seqs, however often it was asked; the room goes on after them. */
  roomGap: { videoID: string; from: number; to: number };
  /** The room's log is shorter than what was seen; it goes on from its new end. */
  roomReset: { videoID: string; seq: number };
  /** An event this client doesn't know. */
  other: Frame;
}

export interface CallOptions {
  signal?: AbortSignal;
  /** From now until the answer. Without it: the function's own deadline and some seconds for the way. */
  timeoutMs?: number;
}
