// The peer on Node: rooms over npm `ws`, the way such a server is usually written. It speaks the frames of Sluice's gateway
// (OnConnectSuccess, Login with rooms, OnRecvComment), so that the load client checks both alike; no sign-in, no database.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const rooms = new Map(); // id -> { seq, members }
const id = '019aa5f0-0000-7000-8000-000000000000';

function room(name) {
  let found = rooms.get(name);
  if (!found) rooms.set(name, (found = { seq: 0, members: new Set() }));
  return found;
}

function frame(event, data) {
  return JSON.stringify({ event, errCode: 0, errMsg: '', data, operationID: id });
}

function publish(name, text) {
  const here = room(name);
  here.seq += 1;
  const at = new Date().toISOString();
  const author = { username: 'ann', displayName: 'ann' };
  const data = { id, text, parentId: null, author, createdAt: at };
  const entry = { videoID: name, seq: here.seq, kind: 'comment', at, operationID: id, data };
  const message = Buffer.from(frame('OnRecvComment', entry));
  for (const socket of here.members) socket.send(message, { binary: false });
}

const server = createServer((request, response) => {
  const name = request.url.slice('/publish/'.length);
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    publish(name, Buffer.concat(parts).toString());
    response.writeHead(201, { 'Content-Length': 0 }).end();
  });
});

const sockets = new WebSocketServer({ server, maxPayload: 65536, perMessageDeflate: false });
sockets.on('connection', (socket) => {
  socket.joined = [];
  socket.on('error', () => {}); // 'close' follows
  socket.on('close', () => {
    for (const one of socket.joined) one.members.delete(socket);
  });
  socket.on('message', (bytes) => {
    const call = JSON.parse(bytes);
    if (call.reqFuncName !== 'Login') return;
    const answers = (call.data.rooms ?? []).map(({ videoID }) => {
      const one = room(videoID);
      one.members.add(socket);
      socket.joined.push(one);
      return { videoID, errCode: 0, errMsg: '', seq: one.seq, events: [], complete: true, memberCount: one.members.size };
    });
    socket.send(frame('Login', { rooms: answers }));
  });
  socket.send(frame('OnConnectSuccess', { userID: 'ann', platformID: 5, serverTime: new Date().toISOString() }));
});

// Clients that went away without a word are found by pings, as every such server does it.
setInterval(() => sockets.clients.forEach((socket) => socket.ping()), 25_000);

server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
