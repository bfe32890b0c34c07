// Who is signed in here. `undefined` until the server has said it. The session itself is a cookie that this code can't read.
import { signOut as endSession, whenSessionEnds, whoAmI } from "./api";
import { text } from "./language";
import { go, place } from "./place";
import { home, pathOf } from "./router";
import { Store } from "./store";
import { say } from "./toasts";
import type { User } from "./types";

export const person = new Store<User | null | undefined>(undefined);

/** While the visitor ends the session here, that it ends is no news. */
let leaving = false;

/** Asks the server; throws a Problem when it can't be asked. */
export async function startPerson(): Promise<void> {
  whenSessionEnds(() => {
    if (!person.value || leaving) return;
    person.set(null);
    say(text().site.sessionEnded, { kind: "problem" });
  });
  person.set(await whoAmI());
}

export async function signOut(): Promise<void> {
  await whileLeaving(endSession);
  person.set(null);
  go(home());
}

/** Runs what ends the session here by the visitor's own will. */
export async function whileLeaving(act: () => Promise<void>): Promise<void> {
  leaving = true;
  try {
    await act();
  } finally {
    leaving = false;
  }
}

/**
 * Whether the connection of `username` that was refused is worth another try: a browser can't see that it was refused because the session is over.
 * Throws a Problem when it can't be told.
 */
export async function mayReconnect(username: string): Promise<"go" | "signed_out"> {
  const user = await whoAmI();
  if (user === null) return "signed_out";
  // Another tab has signed in as somebody else: the page, and with it the connection, becomes theirs.
  if (user.username !== username && person.value?.username === username) person.set(user);
  return "go";
}

/** The server has closed the connection because the session is over. */
export function signedOutElsewhere(): void {
  if (!person.value || leaving) return;
  const route = place.value;
  person.set(null);
  say(text().live.signedOut, { kind: "problem" });
  go({ page: "signin", next: route.page === "missing" ? "/" : pathOf(route) });
}
