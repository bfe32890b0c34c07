// The head of every page: the way home, what the visitor can do, and how an upload in the background is getting on.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { percent } from "../format";
import { useText } from "../language";
import { useAction } from "../loading";
import { person, signOut } from "../person";
import { place } from "../place";
import { pathOf, type Route } from "../router";
import { useStore } from "../store";
import type { Text } from "../text";
import { asProblem } from "../problem";
import { say } from "../toasts";
import type { User } from "../types";
import type { Listed } from "../upload_queue";
import type { Step } from "../upload_state";
import { uploads } from "../uploads";
import { FilmIcon, Mark, PersonIcon, UploadIcon } from "./icons";
import { LiveIndicator } from "./live_indicator";

export function Header() {
  const t = useText();
  const me = useStore(person);
  const route = useStore(place);
  const here = (page: Route["page"]) => (route.page === page ? ({ "aria-current": "page" } as const) : {});
  return (
    <header class="site-head">
      <a class="brand" href="/" data-testid="brand"><Mark /><span>Sluice</span></a>
      <nav aria-label={t.site.nav}>
        {me && (
          <>
            <LiveIndicator />
            <UploadChip />
            <a class="nav-link" href="/me" {...here("mine")} data-testid="nav-mine"><FilmIcon /><span class="wide-only">{t.site.mine}</span></a>
            <a class="button primary" href="/upload" {...here("upload")} data-testid="nav-upload"><UploadIcon /><span class="wide-only">{t.site.upload}</span></a>
            <Menu user={me} />
          </>
        )}
        {me === null && (
          <>
            <SignInToGoOn />
            <a class="nav-link" href={pathOf({ page: "signin", next: nextOf(route) })} {...here("signin")} data-testid="nav-signin">{t.site.signIn}</a>
            <a class="button primary" href={pathOf({ page: "register", next: nextOf(route) })} data-testid="nav-register">{t.site.register}</a>
          </>
        )}
      </nav>
    </header>
  );
}

/** After signing in the visitor is back where they were. */
function nextOf(route: Route): string {
  if (route.page === "signin" || route.page === "register") return route.next;
  return route.page === "missing" ? "/" : pathOf(route);
}

function Menu({ user }: { user: User }) {
  const t = useText();
  const [open, setOpen] = useState(false);
  const frame = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const leave = useAction(() => signOut().catch((thrown: unknown) => say(t.problems[asProblem(thrown).code] ?? t.problem, { kind: "problem" })));

  useLayoutEffect(() => {
    if (!open) return;
    const onPointer = (event: Event) => {
      if (!frame.current?.contains(event.target as Node)) setOpen(false);
    };
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      setOpen(false);
      button.current?.focus();
    };
    document.addEventListener("pointerdown", onPointer);
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("pointerdown", onPointer);
      document.removeEventListener("keydown", onKey);
    };
  }, [open]);
  const name = user.displayName || user.username;
  return (
    <div class="menu" ref={frame}>
      <button ref={button} type="button" class="nav-link" aria-expanded={open} aria-label={name} onClick={() => setOpen(!open)} data-testid="nav-menu">
        <PersonIcon /><span class="wide-only menu-name">{name}</span>
      </button>
      {open && (
        <ul class="menu-list" onClick={() => setOpen(false)}>
          <li class="menu-who user-text" data-testid="nav-name">{name}</li>
          <li><a href="/account" data-testid="nav-account">{t.site.account}</a></li>
          <li><button type="button" disabled={leave.busy} onClick={() => void leave.run()} data-testid="nav-signout">{t.site.signOut}</button></li>
        </ul>
      )}
    </div>
  );
}

/** Only where the uploads themselves aren't on the page. */
function UploadChip() {
  const t = useText();
  const list = useStore(uploads.list);
  const route = useStore(place);
  const words = route.page === "upload" ? null : chipText(list, t);
  return words === null ? null : <a class="chip chip-upload" href="/upload" data-testid="upload-chip">{words}</a>;
}

/** What needs somebody goes before what goes on by itself, and that before what is done. */
function chipText(list: readonly Listed[], t: Text): string | null {
  const at = (...names: Array<Step["name"]>) => list.filter(({ state }) => names.includes(state.step.name)).map(({ state }) => state);
  if (at("failed").length > 0) return t.site.uploadFailed;
  const moving = at("queued", "preparing", "sending", "storing", "waiting");
  if (moving.length > 0) {
    const sum = (pick: (state: Listed["state"]) => number) => moving.reduce((before, state) => before + pick(state), 0);
    return t.site.uploading(percent(sum(({ sent }) => sent), sum(({ job }) => job.totalBytes)));
  }
  if (at("asleep", "paused", "signed_out").length > 0) return t.site.uploadUnfinished;
  if (at("processing").length > 0) return t.site.uploadProcessing;
  return at("ready").length > 0 ? t.site.uploadReady : null;
}

/** Uploads whose session has ended under them go on when their owner signs in. */
function SignInToGoOn() {
  const t = useText();
  const waiting = useStore(uploads.signedOut);
  const route = useStore(place);
  if (waiting === 0 || route.page === "signin") return null;
  return <a class="chip chip-upload" href={pathOf({ page: "signin", next: "/upload" })} data-testid="upload-signin">{t.site.uploadSignIn}</a>;
}
