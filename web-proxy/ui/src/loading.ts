// What a page asks the server for when it opens: one thing (`useLoad`) or a list page by page (`usePages`). An answer that comes after the
// visitor has moved on is dropped.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { asProblem, type Problem } from "./problem";
import type { Page } from "./types";

export interface Loaded<T> {
  value: T | undefined;
  problem: Problem | undefined;
  reload: () => void;
  /** Puts in what a change answered, without asking again. */
  put: (value: T) => void;
}

export function useLoad<T>(ask: (signal: AbortSignal) => Promise<T>, key: string): Loaded<T> {
  const [value, setValue] = useState<T>();
  const [problem, setProblem] = useState<Problem>();
  const [round, setRound] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    setProblem(undefined);
    ask(abort.signal).then(
      (answer) => abort.signal.aborted || setValue(() => answer),
      (thrown) => abort.signal.aborted || setProblem(asProblem(thrown)),
    );
    return () => abort.abort();
  }, [key, round]);
  const reload = useCallback(() => setRound((before) => before + 1), []);
  const put = useCallback((next: T) => setValue(() => next), []);
  return { value, problem, reload, put };
}

export interface Pages<T> {
  items: readonly T[];
  /** False until the first page has come. */
  begun: boolean;
  busy: boolean;
  hasMore: boolean;
  problem: Problem | undefined;
  more: () => void;
  reload: () => void;
  change: (edit: (items: readonly T[]) => readonly T[]) => void;
}

interface Held<T> {
  items: readonly T[];
  next: string | null;
  begun: boolean;
}

const EMPTY = { items: [], next: null, begun: false };

/** A list with "show more". Items already shown are not repeated when a page shifts under the reader. */
export function usePages<T extends { id: string }>(
  ask: (cursor: string | null, signal: AbortSignal) => Promise<Page<T>>,
  key: string,
): Pages<T> {
  const [held, setHeld] = useState<Held<T>>(EMPTY);
  const [busy, setBusy] = useState(true);
  const [problem, setProblem] = useState<Problem>();
  const abort = useRef<AbortController | undefined>(undefined);

  const fetchPage = (cursor: string | null) => {
    abort.current?.abort();
    const mine = new AbortController();
    abort.current = mine;
    setBusy(true);
    setProblem(undefined);
    ask(cursor, mine.signal).then(
      (page) => {
        if (mine.signal.aborted) return;
        setBusy(false);
        setHeld((before) => joined(cursor === null ? EMPTY : before, page));
      },
      (thrown) => {
        if (mine.signal.aborted) return;
        setBusy(false);
        setProblem(asProblem(thrown));
      },
    );
  };

  useEffect(() => {
    setHeld(EMPTY);
    fetchPage(null);
    return () => abort.current?.abort();
  }, [key]);

  const more = () => fetchPage(held.begun ? held.next : null);
  const reload = () => fetchPage(null);
  const change = (edit: (items: readonly T[]) => readonly T[]) => setHeld((before) => ({ ...before, items: edit(before.items) }));
  return { ...held, hasMore: held.next !== null, busy, problem, more, reload, change };
}

function joined<T extends { id: string }>(before: Held<T>, page: Page<T>): Held<T> {
  const known = new Set(before.items.map((item) => item.id));
  const fresh = page.items.filter((item) => !known.has(item.id));
  return { items: [...before.items, ...fresh], next: page.next, begun: true };
}

/** An action of the visitor: busy while it runs, its problem afterwards. Runs once at a time. */
export function useAction<A extends unknown[]>(act: (...args: A) => Promise<void>) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const running = useRef(false);
  const run = async (...args: A) => {
    if (running.current) return;
    running.current = true;
    setBusy(true);
    setProblem(undefined);
    try {
      await act(...args);
    } catch (thrown) {
      setProblem(asProblem(thrown));
    } finally {
      running.current = false;
      setBusy(false);
    }
  };
  return { busy, problem, run, clear: () => setProblem(undefined) };
}
