// Who is signed in here. `undefined` until the server has said it. The session itself is a cookie that this code can't read.
import { signOut as endSession, whenSessionEnds, whoAmI } from "./api";
import { text } from "./language";
import { go } from "./place";
import { home } from "./router";
import { Store } from "./store";
import { say } from "./toasts";
import type { User } from "./types";

export const person = new Store<User | null | undefined>(undefined);

/** Asks the server; throws a Problem when it can't be asked. */
export async function startPerson(): Promise<void> {
  whenSessionEnds(() => {
    if (!person.value) return;
    person.set(null);
    say(text().site.sessionEnded, { kind: "problem" });
  });
  person.set(await whoAmI());
}

export async function signOut(): Promise<void> {
  await endSession();
  person.set(null);
  go(home());
}
