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
  "entry" | "roomLost" | "roomEnded" | "roomReset" | "loggedIn" | "loginFailed" | "OnRoomMemberCount" | "OnUploadProgress" | "OnVideoReady" | "OnVideoFailed" | "OnVideoTrashed" | "OnVideoRestored" | "OnVideoPurged" | "OnEventsMissed" | "OnSelfInfoUpdated"
>;
type Name = keyof LiveEvents;

const NAMES: readonly Name[] = [
  "entry", "roomLost", "roomEnded", "roomReset", "loggedIn", "loginFailed", "OnRoomMemberCount", "OnUploadProgress", "OnVideoReady", "OnVideoFailed", "OnVideoTrashed", "OnVideoRestored", "OnVideoPurged", "OnEventsMissed", "OnSelfInfoUpdated",
];

/** As much of SluiceClient as is used here; tests bring their own. */
export type Client = Pick<SluiceClient, "on" | "connect" | "login" | "joinRoom" | "leaveRoom" | "close">;

export class Live {
  readonly state = new Store<LiveState>(OFF);
  #listeners = new Map<Name, Set<(value: never) => void>>();
  #client: Client | undefined;
  #connection: ClientState = { name: "idle", attempt: 0 };
  /** The connection is there, and the login on it was refused. */
  #refused: LiveEvents["loginFailed"] | undefined;
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
    client.on("state", (state) => {
      if (!mine()) return;
      if (state.name !== "online") this.#refused = undefined;
      this.#show(state);
      if (state.name === "signed_out") this.#onSignedOut();
    });
    for (const name of NAMES) {
      client.on(name, (value) => {
        if (!mine()) return;
        if (name === "loginFailed" || name === "loggedIn") {
          this.#refused = name === "loginFailed" ? (value as LiveEvents["loginFailed"]) : undefined;
          this.#show(this.#connection);
        }
        this.#tell(name, value as never);
      });
    }
    const quiet = () => {}; // the state tells
    client.connect().catch(quiet);
    client.login().catch(quiet);
  }

  stop(): void {
    this.#client?.close();
    this.#client = undefined;
    this.#refused = undefined;
    this.state.set(OFF);
  }

  /** Ends a wait. */
  retry(): void {
    if (this.state.value.name !== "waiting") return;
    this.#client?.connect().catch(() => {});
    if (this.#refused) this.#client?.login().catch(() => {});
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

  /** Without a login a connection tells nothing: then it is not live. */
  #show(state: ClientState): void {
    this.#connection = state;
    const { attempt, retryAt } = this.#refused ?? {};
    if (state.name !== "online" || attempt === undefined) this.state.set(shown(state));
    else this.state.set(retryAt === undefined ? { name: "waiting", attempt } : { name: "waiting", attempt, retryAt });
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
