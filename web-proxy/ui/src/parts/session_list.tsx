// Where the visitor is signed in. Ending a session works at once everywhere.
import { endSession, listSessions } from "../api";
import { moment, relative } from "../format";
import { language, useText } from "../language";
import { useAction, usePages } from "../loading";
import { signOut } from "../person";
import { say } from "../toasts";
import type { Session } from "../types";
import { Loading } from "./empty";
import { ProblemBox } from "./problem_box";

export function SessionList() {
  const t = useText();
  const pages = usePages(listSessions, "sessions");
  return (
    <section class="panel">
      <h2>{t.account.sessions}</h2>
      {!pages.begun && pages.busy && <Loading />}
      <ProblemBox problem={pages.problem} onRetry={pages.more} />
      <ul class="session-list" data-testid="session-list">
        {pages.items.map((session) => (
          <SessionRow key={session.id} session={session} onEnded={() => pages.change((items) => items.filter((item) => item.id !== session.id))} />
        ))}
      </ul>
      {pages.hasMore && <button type="button" class="button" disabled={pages.busy} onClick={pages.more}>{t.site.more}</button>}
    </section>
  );
}

function SessionRow({ session, onEnded }: { session: Session; onEnded: () => void }) {
  const t = useText();
  const name = session.platform || t.account.session;
  const end = useAction(async () => {
    if (session.current) return signOut();
    await endSession(session.id);
    onEnded();
    say(t.account.ended);
  });
  const facts = [
    session.createdAt && t.account.since(moment(session.createdAt, language.value)),
    session.lastSeenAt && t.account.used(relative(session.lastSeenAt, Date.now(), language.value)),
    t.account.until(moment(session.expiresAt, language.value)),
  ].filter(Boolean);
  return (
    <li data-testid="session" data-current={session.current === true}>
      <div>
        <strong class="user-text">{name}</strong> {session.current && <span class="chip chip-ready">{t.account.thisOne}</span>}
        <p class="hint">{facts.join(" · ")}</p>
        <ProblemBox problem={end.problem} />
      </div>
      <button type="button" class="button" disabled={end.busy} onClick={() => void end.run()} aria-label={t.account.endOf(name)} data-testid="session-end">{t.account.end}</button>
    </li>
  );
}
