// Short messages at the edge of the page, some with one action ("Undo"). Read out by screen readers; gone by themselves after a while.
import { Store } from "./store";

export interface Toast {
  id: number;
  text: string;
  kind: "note" | "problem";
  action: { label: string; run: () => void } | undefined;
  /** What it speaks of. A newer toast about the same takes its place. */
  about: string | undefined;
}

/** Long enough to read. With an action, long enough to find the button by keyboard too. */
const NOTE_MS = 5_000;
const ACTION_MS = 15_000;
const MOST = 3;

export const toasts = new Store<readonly Toast[]>([]);

let lastId = 0;

export function say(text: string, options: { kind?: Toast["kind"]; action?: Toast["action"]; about?: string } = {}): void {
  lastId += 1;
  const toast: Toast = { id: lastId, text, kind: options.kind ?? "note", action: options.action, about: options.about };
  if (toast.about !== undefined) dismissAbout(toast.about);
  toasts.set([...toasts.value, toast].slice(-MOST));
  setTimeout(() => dismiss(toast.id), toast.action ? ACTION_MS : NOTE_MS);
}

export function dismiss(id: number): void {
  toasts.set(toasts.value.filter((toast) => toast.id !== id));
}

export function dismissAbout(about: string): void {
  toasts.set(toasts.value.filter((toast) => toast.about !== about));
}
