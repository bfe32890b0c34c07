// Holds the conversation of tests/it/gateway/peers.rs with npm's `ws` as client; prints what came as JSON.
// node ws_peer.mjs <ws/wrapper.mjs> <ws://…>, TOKEN and SCRIPT in the environment.
import { pathToFileURL } from 'node:url';

const [, , wrapper, address] = process.argv;
const { WebSocket } = await import(pathToFileURL(wrapper).href);
const script = JSON.parse(process.env.SCRIPT);
const socket = new WebSocket(address, { headers: { Authorization: `Bearer ${process.env.TOKEN}` } });
const told = { frames: [], pong: null, code: null };
const patience = setTimeout(() => {
  console.error(`no end after 20 s: ${told.frames.length} frames`);
  process.exit(1);
}, 20_000);

const next = () => {
  if (told.frames.length < script.length) {
    socket.send(script[told.frames.length]);
  } else {
    socket.ping('are you there');
  }
};

socket.on('message', (data, isBinary) => {
  const frame = JSON.parse(isBinary ? 'null' : data.toString());
  if (frame.event === 'OnConnectSuccess') return next();
  if (frame.event === 'OnRoomMemberCount') return;
  told.frames.push(frame);
  next();
});
socket.on('pong', (payload) => {
  told.pong = payload.toString();
  socket.close(1000);
});
socket.on('close', (code) => {
  clearTimeout(patience);
  told.code = code;
  console.log(JSON.stringify(told));
});
socket.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
