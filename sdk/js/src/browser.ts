// What a page knows beyond the socket: its own address, whether there is a network, whether it is looked at. Does nothing elsewhere.
import type { Link } from "./link.js";
import type { Options } from "./options.js";
import { PLATFORM } from "./wire.js";

/** The address of the handshake. */
export function addressOf(options: Options): string {
  const page = (globalThis as { location?: { href: string } }).location?.href;
  const url = page === undefined ? new URL(options.url) : new URL(options.url, page);
  if (url.protocol === "http:" || url.protocol === "https:") url.protocol = url.protocol === "http:" ? "ws:" : "wss:";
  if (url.protocol !== "ws:" && url.protocol !== "wss:") throw new TypeError(`${url.protocol} is not a protocol of a gateway.`);
  url.searchParams.set("sendID", options.sendID);
  url.searchParams.set("platformID", String(options.platformID ?? PLATFORM.web));
  return url.href;
}

/** Returns the way to stop. */
export function watchBrowser(link: Link): () => void {
  const scope = globalThis as unknown as { addEventListener?: Window["addEventListener"]; removeEventListener?: Window["removeEventListener"]; document?: Document };
  const { document } = scope;
  if (!document || !scope.addEventListener) return () => {};
  const back = () => link.onNetwork(true);
  const gone = () => link.onNetwork(false);
  const seen = () => document.visibilityState === "visible" && link.onVisible();
  scope.addEventListener("online", back);
  scope.addEventListener("offline", gone);
  document.addEventListener("visibilitychange", seen);
  return () => {
    scope.removeEventListener?.("online", back);
    scope.removeEventListener?.("offline", gone);
    document.removeEventListener("visibilitychange", seen);
  };
}
