// The page as a whole: head, the page of the moment, foot, toasts.
import { useEffect, useRef } from "preact/hooks";
import { chooseLanguage, language, LANGUAGES, useText } from "./language";
import { Account } from "./pages/account";
import { DeletionPage } from "./pages/deletion";
import { Register, SignIn } from "./pages/entry";
import { Home } from "./pages/home";
import { Mine } from "./pages/mine";
import { UploadPage } from "./pages/upload";
import { Watch } from "./pages/watch";
import { Empty, Loading } from "./parts/empty";
import { Header } from "./parts/header";
import { ToastList } from "./parts/toast_list";
import { person } from "./person";
import { go, place } from "./place";
import { needsAccount, pathOf, type Route } from "./router";
import { useStore } from "./store";
import type { Text } from "./text";

export function App() {
  const t = useText();
  const route = useStore(place);
  const me = useStore(person);
  const main = useRef<HTMLElement>(null);
  const path = pathOf(route);
  const first = useRef(true);

  const mustSignIn = me === null && needsAccount(route);
  useEffect(() => {
    if (mustSignIn) go({ page: "signin", next: path }, "replace");
  }, [mustSignIn, path]);

  useEffect(() => {
    const title = titleOf(route, t);
    if (title !== null) document.title = title === "" ? "Sluice" : `${title} · Sluice`;
  }, [path, t]);

  useEffect(() => {
    // After a move inside the page the keyboard goes on from the new page's beginning; when it is loaded the browser does that by itself.
    if (first.current) first.current = false;
    else (main.current?.querySelector<HTMLElement>("h1") ?? main.current)?.focus({ preventScroll: true });
  }, [route.page, "id" in route ? route.id : ""]);

  return (
    <>
      <a class="skip" href="#main">{t.site.skip}</a>
      <Header />
      <main id="main" ref={main} tabIndex={-1}>
        {me === undefined && needsAccount(route) ? <Loading /> : !mustSignIn && <PageOf route={route} />}
      </main>
      <Footer />
      <ToastList />
    </>
  );
}

function PageOf({ route }: { route: Route }) {
  const t = useText();
  const me = useStore(person);
  switch (route.page) {
    case "home":
      return <Home q={route.q} author={route.author} sort={route.sort} />;
    case "watch":
      return <Watch key={route.id} id={route.id} />;
    case "upload":
      return <UploadPage />;
    case "mine":
      return <Mine />;
    case "signin":
      return <SignIn next={route.next} />;
    case "register":
      return <Register next={route.next} />;
    case "account":
      return me ? <Account user={me} /> : null;
    case "deletion":
      return <DeletionPage key={route.id} id={route.id} />;
    case "missing":
      return (
        <Empty title={t.missing.title} text={t.missing.text} testid="missing">
          <a class="button" href="/">{t.missing.home}</a>
        </Empty>
      );
  }
}

function Footer() {
  const t = useText();
  const code = useStore(language);
  return (
    <footer class="site-foot">
      <span>Sluice — {t.site.tagline}</span>
      <div class="languages" role="group" aria-label={t.site.language}>
        {LANGUAGES.map((known) => (
          <button key={known.code} type="button" class="link" lang={known.code} aria-pressed={known.code === code} onClick={() => chooseLanguage(known.code)} data-testid={`language-${known.code}`}>
            {known.name}
          </button>
        ))}
      </div>
    </footer>
  );
}

/** The title of the window; null where the page sets it once it knows. */
function titleOf(route: Route, t: Text): string | null {
  switch (route.page) {
    case "home":
      return route.q || route.author;
    case "watch":
      return null;
    case "upload":
      return t.upload.title;
    case "mine":
      return t.mine.title;
    case "signin":
      return t.signIn.title;
    case "register":
      return t.register.title;
    case "account":
      return t.account.title;
    case "deletion":
      return t.receipt.title;
    case "missing":
      return t.missing.title;
  }
}
