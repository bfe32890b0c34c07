// The page's one connection to the gateway: there while somebody is signed in, shared by everything on the page. Pages listen and say which room
// they want; what the connection goes through is the client's business and shows in `state`.
import { SluiceClient, type ClientState, type Events, type GatewayError, type Joined } from "@sluice/gateway";
import { Store } from "./store";

export type LiveName = "off" | "connecting" | "live" | "waiting" | "signed_out" | "refused";

export interface LiveState {
  name: LiveName;
  /** Tries since the last good connection. */
  attempt: number;
  /** When the next try begins, as Date.now() counts. */
  retryAt?: number;
}

const OFF: LiveState = { name: "off", attempt: 0 };

/** What the page hears; the client has more. */
export type LiveEvents = Pick<
  Events,
  "entry" | "roomLost" | "roomReset" | "loggedIn" | "OnRoomMemberCount" | "OnUploadProgress" | "OnVideoReady" | "OnVideoFailed" | "OnVideoTrashed" | "OnVideoRestored" | "OnVideoPurged" | "OnSelfInfoUpdated"
>;
type Name = keyof LiveEvents;

const NAMES: readonly Name[] = [
  "entry", "roomLost", "roomReset", "loggedIn", "OnRoomMemberCount", "OnUploadProgress", "OnVideoReady", "OnVideoFailed", "OnVideoTrashed", "OnVideoRestored", "OnVideoPurged", "OnSelfInfoUpdated",
];

/** As much of SluiceClient as is used here; tests bring their own. */
export type Client = Pick<SluiceClient, "on" | "connect" | "login" | "joinRoom" | "leaveRoom" | "close">;

export class Live {
  readonly state = new Store<LiveState>(OFF);
  #listeners = new Map<Name, Set<(value: never) => void>>();
  #client: Client | undefined;
  #make: (username: string) => Client;
  #onSignedOut: () => void;

  constructor(make: (username: string) => Client, onSignedOut: () => void) {
    this.#make = make;
    this.#onSignedOut = onSignedOut;
  }

  start(username: string): void {
    this.stop();
    const client = this.#make(username);
    this.#client = client;
    const mine = () => this.#client === client;
    client.on("state", (state) => mine() && this.#show(state));
    for (const name of NAMES) client.on(name, (value) => mine() && this.#tell(name, value as never));
    const quiet = () => {}; // the state tells
    client.connect().catch(quiet);
    client.login().catch(quiet);
  }

  stop(): void {
    this.#client?.close();
    this.#client = undefined;
    this.state.set(OFF);
  }

  /** Ends a wait. */
  retry(): void {
    if (this.state.value.name === "waiting") this.#client?.connect().catch(() => {});
  }

  on<E extends Name>(event: E, listener: (value: LiveEvents[E]) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** Rejects with a GatewayError when the room can't be joined, or was left first. */
  join(videoID: string, afterSeq: number | undefined): Promise<Joined> {
    if (!this.#client) return Promise.reject(new Error("There is no connection to join a room on."));
    return this.#client.joinRoom(videoID, afterSeq === undefined ? {} : { afterSeq });
  }

  leave(videoID: string): void {
    this.#client?.leaveRoom(videoID).catch(() => {}); // the gateway forgets a member with its connection anyway
  }

  #tell<E extends Name>(event: E, value: LiveEvents[E]): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) (listener as (value: LiveEvents[E]) => void)(value);
  }

  #show(state: ClientState): void {
    this.state.set(shown(state));
    if (state.name === "signed_out") this.#onSignedOut();
  }
}

/** What a visitor needs to know of the client's state. */
export function shown({ name, attempt, retryAt }: ClientState): LiveState {
  switch (name) {
    case "online":
      return { name: "live", attempt };
    case "waiting":
      return retryAt === undefined ? { name, attempt } : { name, attempt, retryAt };
    case "idle":
    case "closed":
      return OFF;
    default:
      return { name, attempt };
  }
}

export type { GatewayError };
