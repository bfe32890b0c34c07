// What the browser test's page does: uses the built package as a page would.
import { SluiceClient } from "/dist/index.js";

const client = new SluiceClient({ url: "/ws", sendID: "mira", batch: true, random: () => 0.1 });
globalThis.seen = { seqs: [], states: [], ready: false };
client.on("entry", ({ seq }) => seen.seqs.push(seq));
client.on("state", ({ name }) => seen.states.at(-1) !== name && seen.states.push(name));
await client.connect();
await client.joinRoom("room", { afterSeq: 0 });
await client.call("Ping");
globalThis.seen.ready = true;
