// Sends random messages over npm `ws`, now and then in fragments and with pings between, to a server that returns them, and
// compares what comes back. Arguments: port, seed.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../../ui/package.json', import.meta.url));
const { WebSocket } = require('ws');

const [port, seed] = process.argv.slice(2);
const MESSAGES = 300;
const SIZES = [0, 1, 5, 30, 124, 125, 126, 127, 1000, 20_000, 65_535, 65_536, 100_000];

// SplitMix64, as in frames.rs.
let state = BigInt(seed);
function below(end) {
  state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
  let mixed = state;
  mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n);
  mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn);
  return Number((mixed ^ (mixed >> 31n)) % BigInt(end));
}

function message() {
  const size = SIZES[below(SIZES.length)];
  if (below(2) === 0) return { binary: true, bytes: Buffer.alloc(size, below(256)) };
  const unit = ['a', 'é', '€', '🎉'][below(4)];
  return { binary: false, bytes: Buffer.from(unit.repeat(Math.ceil(size / unit.length))) };
}

function fail(text) {
  console.error(text);
  process.exit(1);
}

setTimeout(() => fail('not done within 60 s'), 60_000);
const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
const expected = [];
const pings = [];
let answered = 0;

function send({ binary, bytes }) {
  const pieces = below(2) === 0 ? 1 : 1 + below(5);
  for (let piece = 0; piece < pieces; piece += 1) {
    const [from, to] = [piece, piece + 1].map((count) => Math.floor((bytes.length * count) / pieces));
    socket.send(bytes.subarray(from, to), { binary, fin: piece + 1 === pieces });
    if (below(4) === 0) {
      pings.push(Buffer.alloc(below(126), pings.length));
      socket.ping(pings.at(-1));
    }
  }
}

socket.on('open', () => {
  for (let count = 0; count < MESSAGES; count += 1) {
    expected.push(message());
    send(expected.at(-1));
  }
});
socket.on('pong', (payload) => {
  if (!pings.shift()?.equals(payload)) fail('a pong without its ping');
});
socket.on('message', (bytes, binary) => {
  const sent = expected[answered];
  if (sent.binary !== binary || !sent.bytes.equals(bytes)) fail(`message ${answered} came back changed`);
  answered += 1;
  if (answered === MESSAGES) socket.close(4321, 'that is all');
});
socket.on('error', (error) => fail(`${error}`));
socket.on('close', (code) => {
  if (answered !== MESSAGES || pings.length > 0 || code !== 4321) fail(`closed with ${code} after ${answered} messages`);
  process.exit(0);
});
