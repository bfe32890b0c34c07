// The connection of this page, wired to who is signed in.
import { SluiceClient } from "@sluice/gateway";
import { Live } from "./live";
import { mayReconnect, person, signedOutElsewhere } from "./person";

/** 5 is Web. */
const PLATFORM_WEB = 5;

export const live = new Live(
  (username) =>
    new SluiceClient({ url: new URL("/ws", location.href), sendID: username, platformID: PLATFORM_WEB, batch: true, beforeReconnect: () => mayReconnect(username) }),
  signedOutElsewhere,
);

/** Keeps the connection there while somebody is signed in. Call once. */
export function followPerson(): void {
  let username: string | undefined;
  const follow = () => {
    const now = person.value?.username;
    if (now === username) return;
    username = now;
    if (now === undefined) live.stop();
    else live.start(now);
  };
  person.watch(follow);
  live.on("OnSelfInfoUpdated", (user) => user.username === person.value?.username && person.set({ ...person.value, ...user }));
  follow();
}
