// What stands where a list or a page has nothing to show.
import type { ComponentChildren } from "preact";
import { useText } from "../language";
import { FilmIcon } from "./icons";

export function Empty({ title, text, children, testid = "empty" }: { title: string; text?: string; children?: ComponentChildren; testid?: string }) {
  return (
    <div class="empty" data-testid={testid}>
      <span class="empty-icon"><FilmIcon /></span>
      <h2>{title}</h2>
      {text && <p>{text}</p>}
      {children}
    </div>
  );
}

export function Loading() {
  const t = useText();
  return <p class="loading" role="status" data-testid="loading">{t.site.loading}</p>;
}
