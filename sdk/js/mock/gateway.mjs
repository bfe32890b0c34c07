// A stand-in for the Rust gateway, for tests of this package and for developing the page without it. It keeps to gateway.md: the order of the
// handshake's refusals, the frames, dense seqs, paging, batches, close codes. What users and videos there are is the `world`'s to say; `faults`
// make happen what a network does. Never part of the product.

const PLATFORMS = 9;
const MOST_CONNECTIONS = 10;
const LIMITS = { maxFrameBytes: 65536, callsPerSecond: 20, callBurst: 40, maxCallsInFlight: 8, maxRooms: 100 };
/** Calls refused as too many after which whoever goes on is closed. */
const MOST_IGNORED = 40;
const EVENT_OF_KIND = { danmaku: "OnRecvDanmaku", comment: "OnRecvComment", revoked: "OnMessageRevoked", info: "OnRoomInfoChanged", closed: "OnRoomClosed" };
const FREE = new Set(["Login", "Logout", "GetLoginStatus", "GetLoginUser", "ListFunctions", "Ping"]);

export class CallError extends Error {
  constructor(errCode, errMsg) {
    super(errMsg);
    this.errCode = errCode;
  }
}

/** Rooms in memory: a log each, with dense seqs. The UI's mock brings its own world with the same methods. */
export class MemoryWorld {
  users = new Map(); // token -> { userID, username }
  logs = new Map(); // videoID -> entries
  hidden = new Set(); // rooms that can't be joined

  addUser(token, username) {
    this.users.set(token, { userID: `id-${username}`, username });
  }

  authenticate({ token }) {
    return this.users.get(token) ?? null;
  }

  /** The log of a room that this user may be in; throws otherwise. */
  log(videoID) {
    if (this.hidden.has(videoID)) throw new CallError(2004, "Not found");
    if (!this.logs.has(videoID)) this.logs.set(videoID, []);
    return this.logs.get(videoID);
  }

  append(videoID, kind, data, operationID = null) {
    if (!this.logs.has(videoID)) this.logs.set(videoID, []);
    const log = this.logs.get(videoID);
    const entry = { videoID, seq: log.length + 1, kind, at: new Date().toISOString(), operationID, data };
    log.push(entry);
    return entry;
  }

  call(user, name) {
    throw new CallError(1001, `There is no function ${name}`);
  }
}

export class MockGateway {
  /** Filled by tests: `refuse` (HTTP status for handshakes), `mute` (names that get no answer), `drop` (entry → true: not pushed), `twice` (pushed twice), `delay` (ms per name). */
  faults = { refuse: 0, mute: new Set(), drop: () => false, twice: () => false, delay: {}, errors: {}, silentOpen: false };
  connections = new Set();
  /** Calls that were refused as too many. */
  refusals = 0;
  /** Every request frame that came, for tests to look at. */
  requests = [];
  pageSize = 1000;
  limits = { ...LIMITS };
  pingIntervalMs = 25_000;
  batchMs = 20;

  constructor({ WebSocketServer, world }) {
    this.world = world;
    this.server = new WebSocketServer({ noServer: true, maxPayload: LIMITS.maxFrameBytes, handleProtocols: (offered) => (offered.has("sluice.v1") ? "sluice.v1" : false) });
  }

  /** Give this to the HTTP server's `upgrade`. */
  handleUpgrade(request, socket, head) {
    socket.on("error", () => {});
    const url = new URL(request.url, "http://gateway");
    const refusal = this.#refusal(request, url);
    if (refusal.status) {
      socket.end(`HTTP/1.1 ${refusal.status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    this.server.handleUpgrade(request, socket, head, (ws) => this.#open(ws, refusal.user, refusal.token, Number(url.searchParams.get("platformID")), url.searchParams.has("token")));
  }

  /** Appends nothing: tells the members what the world has appended. */
  publish(entry) {
    for (const connection of [...this.connections]) {
      if (connection.rooms.has(entry.videoID) && !this.faults.drop(entry, connection)) {
        this.#push(connection, entry);
        if (this.faults.twice(entry)) this.#push(connection, entry);
      }
      if (entry.kind === "closed" && connection.rooms.delete(entry.videoID)) this.#countLater(entry.videoID);
    }
  }

  toUser(username, event, data, operationID = "") {
    for (const connection of this.connections) if (connection.loggedIn && connection.user.username === username) this.#send(connection, event, data, operationID);
  }

  heartbeat(videoID) {
    const seq = this.world.log(videoID).length;
    const members = [...this.connections].filter((connection) => connection.rooms.has(videoID));
    for (const connection of members) this.#send(connection, "OnRoomMemberCount", { videoID, count: members.length, seq });
  }

  /** Ends the connections of a session. */
  kick(token) {
    for (const connection of [...this.connections]) {
      if (connection.token !== token) continue;
      this.#send(connection, "OnKickedOffline", { reason: "signed_out" });
      connection.ws.close(4401, "signed out");
    }
  }

  drain(closeWithinMs = 0) {
    for (const connection of [...this.connections]) {
      this.#send(connection, "OnServerDraining", { closeWithinMs });
      setTimeout(() => connection.ws.close(1012, "restart"), closeWithinMs);
    }
  }

  closeAll(code) {
    for (const { ws } of [...this.connections]) ws.close(code);
  }

  /** As a cable that is pulled: no close frame. */
  cutAll() {
    for (const { ws } of [...this.connections]) ws.terminate();
  }

  #refusal(request, url) {
    if (this.faults.refuse) return { status: this.faults.refuse };
    const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((part) => part.trim());
    const bearer = offered.find((part) => part.startsWith("bearer."))?.slice(7) ?? /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
    const cookie = /(?:^|;\s*)sluice_session=([^;]+)/.exec(request.headers.cookie ?? "")?.[1];
    const token = bearer ?? url.searchParams.get("token") ?? cookie;
    const sendID = url.searchParams.get("sendID");
    const platform = Number(url.searchParams.get("platformID"));
    if (url.pathname !== "/ws") return { status: 404 };
    if (!token || !sendID || !(platform >= 1 && platform <= PLATFORMS)) return { status: 400 };
    const { origin, host } = request.headers;
    if (origin !== undefined && new URL(origin).host !== host && !this.anyOrigin) return { status: 403 };
    const user = this.world.authenticate({ token });
    if (!user || user.username !== sendID) return { status: 401 };
    const same = [...this.connections].filter((connection) => connection.user.username === sendID && connection.platformID === platform);
    return same.length >= MOST_CONNECTIONS ? { status: 429 } : { user, token };
  }

  #open(ws, user, token, platformID, stringForm) {
    const connection = { ws, user, token, platformID, stringForm, loggedIn: false, rooms: new Set(), batch: false, waiting: [], timer: undefined, fullAt: 0, ignored: 0 };
    this.connections.add(connection);
    ws.on("error", () => {});
    ws.on("close", () => {
      clearTimeout(connection.timer);
      this.connections.delete(connection);
      for (const videoID of connection.rooms) this.#countLater(videoID);
    });
    ws.on("message", (data, isBinary) => this.#onMessage(connection, data, isBinary));
    if (this.faults.silentOpen) return;
    const { userID, username } = user;
    this.#send(connection, "OnConnectSuccess", { userID, username, platformID, pingIntervalMs: this.pingIntervalMs, deadAfterMs: 60_000, limits: this.limits, serverTime: new Date().toISOString() });
  }

  #send(connection, event, data, operationID = "", errCode = 0, errMsg = "") {
    if (connection.ws.readyState !== 1) return;
    const shown = connection.stringForm && typeof data !== "string" ? JSON.stringify(data) : data;
    connection.ws.send(JSON.stringify({ event, errCode, errMsg, data: shown, operationID }));
  }

  #push(connection, entry) {
    if (!connection.batch) return this.#send(connection, (EVENT_OF_KIND[entry.kind] ?? "OnRoomEntry"), entry, entry.operationID ?? "");
    connection.waiting.push(entry);
    connection.timer ??= setTimeout(() => {
      connection.timer = undefined;
      this.#send(connection, "OnRecvNewMessages", connection.waiting.splice(0));
    }, this.batchMs);
  }

  /** The rule of the real gateway (session.rs): a token bucket, and a count of refusals that calls in measure bring down again. */
  #tooFast(connection) {
    const cost = 1000 / this.limits.callsPerSecond;
    const now = performance.now();
    const over = Math.max(connection.fullAt, now) + cost - now - cost * this.limits.callBurst;
    if (over <= 0) {
      connection.fullAt = Math.max(connection.fullAt, now) + cost;
      connection.ignored = Math.max(connection.ignored - 1, 0);
      return 0;
    }
    this.refusals += 1;
    connection.ignored += 1;
    if (connection.ignored > MOST_IGNORED) connection.ws.close(4429, "too many calls");
    return Math.max(Math.floor(over), 1);
  }

  #onMessage(connection, data, isBinary) {
    let frame;
    try {
      if (isBinary) throw new Error("binary");
      frame = JSON.parse(String(data));
      if (typeof frame?.reqFuncName !== "string" || typeof frame.operationID !== "string") throw new Error("shape");
      connection.stringForm = typeof frame.data === "string";
      frame.data = connection.stringForm && frame.data !== "" ? JSON.parse(frame.data) : (frame.data || {});
    } catch {
      return this.#send(connection, "", "", frame?.operationID ?? "", 100, "The frame is not JSON of this shape");
    }
    this.requests.push(frame);
    const { reqFuncName: name, operationID } = frame;
    const wait = this.#tooFast(connection);
    if (wait > 0) return this.#send(connection, name, "", operationID, 2019, `At most ${this.limits.callsPerSecond} calls a second; try again in ${wait} ms.`);
    if (this.faults.mute.has(name) || this.faults.mute.has("*")) return;
    const answer = () => {
      this.#answer(connection, frame).then(
        (reply) => this.#send(connection, name, reply ?? {}, operationID),
        (thrown) => this.#send(connection, name, "", operationID, thrown.errCode ?? 1001, thrown.message),
      );
    };
    const delay = this.faults.delay[name];
    if (delay) setTimeout(answer, delay);
    else answer();
  }

  async #answer(connection, { reqFuncName: name, operationID, data, userID, batchMsg, batch }) {
    const error = this.faults.errors[name]?.shift();
    if (error) throw new CallError(error, `${name}: as asked for`);
    if (userID !== undefined && userID !== connection.user.userID) throw new CallError(1001, "userID is not that of this connection");
    if (!FREE.has(name) && !connection.loggedIn) throw new CallError(1003, "not logged in");
    if ((name === "Login" || name === "JoinRoom") && (batchMsg || batch)) connection.batch = true;
    switch (name) {
      case "Ping":
        return {};
      case "Login":
        if (data.rooms?.length > this.limits.maxRooms) throw new CallError(1001, `rooms: at most ${this.limits.maxRooms}.`);
        connection.loggedIn = true;
        if (!data.rooms) return "ok";
        return { rooms: data.rooms.map((room) => this.#answered(connection, room)) };
      case "Logout":
        connection.loggedIn = false;
        for (const videoID of connection.rooms) this.#leave(connection, videoID);
        if (data.session) setImmediate(() => (this.world.endSession?.(connection.token), this.kick(connection.token)));
        return "ok";
      case "GetLoginStatus":
        return { status: connection.loggedIn ? 3 : 1 };
      case "JoinRoom":
        return this.#join(connection, data);
      case "LeaveRoom":
        this.#leave(connection, data.videoID);
        return { videoID: data.videoID };
      case "GetRoomMemberCount":
        return { videoID: data.videoID, count: this.count(data.videoID) };
      default:
        return this.world.call(connection.user, name, data, operationID, connection.token);
    }
  }

  #answered(connection, room) {
    try {
      return { errCode: 0, errMsg: "", ...this.#join(connection, room) };
    } catch (thrown) {
      return { videoID: room.videoID, errCode: thrown.errCode ?? 1001, errMsg: thrown.message };
    }
  }

  #join(connection, { videoID, afterSeq }) {
    const log = this.world.log(videoID, connection.user);
    if (!connection.rooms.has(videoID) && connection.rooms.size >= this.limits.maxRooms) throw new CallError(1004, "Too many rooms");
    if (!connection.rooms.has(videoID)) this.#countLater(videoID);
    connection.rooms.add(videoID);
    const missing = afterSeq === undefined ? [] : log.filter((entry) => entry.seq > afterSeq);
    const events = missing.slice(0, this.pageSize);
    return { videoID, seq: log.at(-1)?.seq ?? 0, events, complete: events.length === missing.length, memberCount: this.count(videoID) };
  }

  #leave(connection, videoID) {
    if (connection.rooms.delete(videoID)) this.#countLater(videoID);
  }

  count(videoID) {
    return [...this.connections].filter((connection) => connection.rooms.has(videoID)).length;
  }

  #counting = new Map();
  #countLater(videoID) {
    if (this.#counting.has(videoID)) return;
    this.#counting.set(videoID, setTimeout(() => {
      this.#counting.delete(videoID);
      try {
        this.heartbeat(videoID);
      } catch {
        // The room is gone meanwhile: nobody is left to be told.
      }
    }, 100));
  }

  close() {
    for (const timer of this.#counting.values()) clearTimeout(timer);
    this.#counting.clear();
    this.cutAll();
    this.server.close();
  }
}
