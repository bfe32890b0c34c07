// Which page an address means, and the address of a page. Both directions are pure; what touches the browser's history is in place.ts.
import type { Sort } from "./types";

export interface HomeQuery {
  q: string;
  author: string;
  sort: Sort;
}

export type Route =
  | ({ page: "home" } & HomeQuery)
  | { page: "watch"; id: string }
  | { page: "upload" }
  | { page: "mine" }
  | { page: "signin"; next: string }
  | { page: "register"; next: string }
  | { page: "account" }
  | { page: "deletion"; id: string }
  | { page: "missing" };

/** 12 characters of lower-case Crockford base32 (no i, l, o, u). */
const VIDEO_ID = /^[0-9a-hjkmnp-tv-z]{12}$/;
const SORTS: readonly string[] = ["new", "old", "title"];

/** The route of a path and its query (`search` with or without the question mark). */
export function parseRoute(pathname: string, search: string): Route {
  const query = new URLSearchParams(search);
  const [head = "", id, ...rest] = pathname.replace(/^\/+|\/+$/g, "").split("/");
  if (rest.length > 0) return { page: "missing" };
  if (id !== undefined) {
    if (!VIDEO_ID.test(id)) return { page: "missing" };
    if (head === "v") return { page: "watch", id };
    if (head === "deletion") return { page: "deletion", id };
    return { page: "missing" };
  }
  switch (head) {
    case "":
      return homeRoute(query);
    case "upload":
      return { page: "upload" };
    case "me":
      return { page: "mine" };
    case "account":
      return { page: "account" };
    case "signin":
      return { page: "signin", next: safeNext(query.get("next")) };
    case "register":
      return { page: "register", next: safeNext(query.get("next")) };
    default:
      return { page: "missing" };
  }
}

/** The address of a route. `parseRoute` of it gives the same route back. */
export function pathOf(route: Route): string {
  switch (route.page) {
    case "home":
      return withoutEmpty("/", { q: route.q, author: route.author, sort: route.sort === "new" ? "" : route.sort });
    case "watch":
      return `/v/${route.id}`;
    case "deletion":
      return `/deletion/${route.id}`;
    case "mine":
      return "/me";
    case "signin":
    case "register":
      return withoutEmpty(`/${route.page}`, { next: route.next === "/" ? "" : route.next });
    case "missing":
      return "/404";
    default:
      return `/${route.page}`;
  }
}

export const home = (query: Partial<HomeQuery> = {}): Route => ({ page: "home", q: "", author: "", sort: "new", ...query });

/** Pages that mean nothing to somebody who isn't signed in. */
export const needsAccount = (route: Route): boolean => ["upload", "mine", "account", "deletion"].includes(route.page);

function homeRoute(query: URLSearchParams): Route {
  const sort = query.get("sort") ?? "new";
  return {
    page: "home",
    q: query.get("q") ?? "",
    author: query.get("author") ?? "",
    sort: SORTS.includes(sort) ? (sort as Sort) : "new",
  };
}

/** Where to go after signing in: a path of this site, never another site's address smuggled into a link. */
export function safeNext(next: string | null): string {
  if (next === null || !next.startsWith("/") || /^\/[/\\]/.test(next) || /[\u0000-\u001f]/.test(next)) return "/";
  return next;
}

function withoutEmpty(path: string, query: Record<string, string>): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== "");
  return pairs.length === 0 ? path : `${path}?${new URLSearchParams(pairs)}`;
}
