// What applications use. See README.md.
export { CLOSE } from "./backoff.js";
export { SluiceClient } from "./client.js";
export { ERR, GatewayError, type GatewayErrorCode } from "./errors.js";
export { FUNCTIONS, type FunctionName, type Functions } from "./functions.js";
export type * from "./functions.js";
export { type ClientState, type SocketConstructor, type SocketLike, type StateName } from "./link.js";
export { type LoginState } from "./login.js";
export type { CallOptions, Events, Options } from "./options.js";
export { type Joined, type RoomRequest } from "./rooms.js";
export { EVENT_OF_KIND, PLATFORM } from "./wire.js";
export type {
  ClosedData, CommentData, ConnectSuccess, DanmakuData, Entry, EntryData, EntryKind, EntryOf, Frame, InfoData, Limits, RoomCount, RevokedData,
  RoomSnapshot, UploadProgress, VideoRef,
} from "./wire.js";
