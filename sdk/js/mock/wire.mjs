// A wire that can be cut: what goes to its address goes on to the server until somebody pulls the plug. Then every connection breaks without a
// word and new ones are refused, as when a network is gone; browsers' own "offline" leaves open WebSockets alone.
import { connect, createServer } from "node:net";

/** What a connection may send beside the counted bytes: requests without much of a body go through. */
const SMALL = 256 * 1024;

export async function openWire(base) {
  let target = new URL(base);
  const open = new Set();
  const held = new Set();
  let whole = true;
  /** Bytes that may still go to the server in large bodies. */
  let budget = Infinity;
  const server = createServer((socket) => {
    if (!whole) return socket.resetAndDestroy();
    const onward = connect(Number(target.port), target.hostname);
    let sent = 0;
    socket.on("data", (bytes) => {
      sent += bytes.length;
      if (sent > SMALL) budget -= bytes.length;
      if (sent > SMALL && budget <= 0) held.add(socket);
      if (!onward.write(bytes) || held.has(socket)) socket.pause();
    });
    onward.on("drain", () => held.has(socket) || socket.resume());
    socket.on("end", () => onward.end());
    onward.pipe(socket);
    for (const [from, to] of [[socket, onward], [onward, socket]]) {
      open.add(from);
      from.on("close", () => {
        open.delete(from);
        held.delete(from);
        to.destroy();
      });
      from.on("error", () => {});
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    cut() {
      whole = false;
      for (const socket of open) socket.resetAndDestroy();
    },
    /** From now on new connections go to another server, as when one is started again elsewhere. */
    aim(next) {
      target = new URL(next);
    },
    /** Lets so many bytes more of large bodies through, then holds them back until it is told again: the middle of an upload, for as long as wanted. */
    allow(bytes) {
      budget = bytes;
      const waiting = [...held];
      held.clear();
      for (const socket of waiting) socket.resume();
    },
    /** What is held back is lost with its connection: whoever sent it is gone, and so is what was on its way. */
    dropHeld() {
      for (const socket of held) socket.resetAndDestroy();
    },
    mend() {
      whole = true;
    },
    close() {
      for (const socket of open) socket.destroy();
      server.close();
    },
  };
}
