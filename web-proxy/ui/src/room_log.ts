// Reading a room's log over HTTP, for visitors without a connection.
import type { Entry } from "@sluice/gateway";
import type { LogPage } from "./types";

const PAGE = 500;
/** Pages of one look; what is beyond comes with the next. */
const MOST_PAGES = 10;

export type Ask = (afterSeq: number, limit: number) => Promise<LogPage>;

/** Hands on what the log has after `afterSeq`, page by page; returns the seq it came to. */
export async function readLog(ask: Ask, afterSeq: number, tell: (entry: Entry) => void): Promise<number> {
  let last = afterSeq;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const { items, next } = await ask(last, PAGE);
    for (const entry of items) {
      if (entry.seq <= last) continue;
      last = entry.seq;
      tell(entry);
    }
    if (next === null || items.length === 0) break;
  }
  return last;
}
