// The mock's rooms and their gateway. The gateway itself is the one the client's own tests use (sdk/js/mock); here is what it asks about: who is
// who, which rooms there are, and their logs. Functions of the gateway that the page doesn't call answer 1005.
import { WebSocketServer } from "ws";
import { CallError, MockGateway } from "../../../sdk/js/mock/gateway.mjs";
import { iso } from "./state.mjs";

class World {
  constructor(state) {
    this.state = state;
  }

  authenticate({ token }) {
    const session = this.state.sessions.get(token);
    const user = session && this.state.users.get(session.username);
    return user ? { userID: user.id, username: user.username } : null;
  }

  log(videoID, user) {
    if (user) {
      try {
        const video = this.state.visibleVideo(videoID, user);
        if (video.state !== "ready") throw new Error("not ready");
      } catch {
        throw new CallError(2004, "Not found");
      }
    }
    return this.state.logs.get(videoID) ?? [];
  }

  endSession(token) {
    this.state.sessions.delete(token);
  }

  call() {
    throw new CallError(1005, "The mock doesn't have this function.");
  }
}

export class Live {
  constructor(state) {
    this.state = state;
    this.gateway = new MockGateway({ WebSocketServer, world: new World(state) });
    this.gateway.anyOrigin = true; // the development server is another origin
  }

  attach(server) {
    server.on("upgrade", (request, socket, head) => this.gateway.handleUpgrade(request, socket, head));
  }

  /** Writes an entry into the room's log and tells the room. */
  append(videoID, kind, data) {
    const log = this.state.logs.get(videoID) ?? [];
    this.state.logs.set(videoID, log);
    const entry = { videoID, seq: log.length + 1, kind, at: iso(), operationID: null, data };
    log.push(entry);
    this.gateway.publish(entry);
    return entry;
  }

  /** Takes an entry back: its place in the log stays, what it said goes. */
  revoke(videoID, kind, id) {
    const entry = (this.state.logs.get(videoID) ?? []).find((candidate) => candidate.kind === kind && candidate.data?.id === id);
    if (entry) entry.data = null;
    this.append(videoID, "revoked", { id, kind, seq: entry?.seq ?? 0 });
  }

  toOwner(video, event, data = {}) {
    this.gateway.toUser(video.username, event, { videoID: video.id, ...data });
  }

  kick(token) {
    this.gateway.kick(token);
  }
}
