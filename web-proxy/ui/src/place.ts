// Where the visitor is: the browser's address as a route. Links are real links (they open in a new tab, show their address); a plain click
// on one is answered here without loading the page anew.
import { parseRoute, pathOf, type Route } from "./router";
import { Store } from "./store";

const here = () => parseRoute(location.pathname, location.search);

export const place = new Store<Route>(here());

export function go(to: Route | string, how: "push" | "replace" = "push"): void {
  const path = typeof to === "string" ? to : pathOf(to);
  if (how === "push") history.pushState(null, "", path);
  else history.replaceState(null, "", path);
  place.set(here());
  if (how === "push") scrollTo(0, 0);
}

/** Follows the browser's own back and forward, and clicks on this site's links. Call once. */
export function followBrowser(): void {
  addEventListener("popstate", () => place.set(here()));
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.target !== "" || link.hasAttribute("download") || link.hash !== "" || link.origin !== location.origin) return;
    if (parseRoute(link.pathname, link.search).page === "missing") return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
