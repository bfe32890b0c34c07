// A wire that can be cut: what goes to its address goes on to the server until somebody pulls the plug. Then every connection breaks without a
// word and new ones are refused, as when a network is gone; browsers' own "offline" leaves open WebSockets alone.
import { connect, createServer } from "node:net";

export async function openWire(base) {
  const target = new URL(base);
  const open = new Set();
  let whole = true;
  const server = createServer((socket) => {
    if (!whole) return socket.resetAndDestroy();
    const onward = connect(Number(target.port), target.hostname);
    for (const [from, to] of [[socket, onward], [onward, socket]]) {
      open.add(from);
      from.on("close", () => {
        open.delete(from);
        to.destroy();
      });
      from.on("error", () => {});
      from.pipe(to);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    cut() {
      whole = false;
      for (const socket of open) socket.resetAndDestroy();
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
