// Which language the page speaks: what the visitor chose here before, else the first of the browser's languages that we have.
import { Store, useStore } from "./store";
import { en, type Text } from "./text";
import { zhCN } from "./text.zh-CN";

export type Language = "en" | "zh-CN";

export const LANGUAGES: ReadonlyArray<{ code: Language; name: string }> = [
  { code: "en", name: "English" },
  { code: "zh-CN", name: "中文" },
];

const KEY = "sluice.language";
const TEXTS: Record<Language, Text> = { en, "zh-CN": zhCN };

export function pickLanguage(chosen: string | null, wanted: readonly string[]): Language {
  if (chosen === "en" || chosen === "zh-CN") return chosen;
  for (const tag of wanted) {
    if (/^zh\b/i.test(tag)) return "zh-CN";
    if (/^en\b/i.test(tag)) return "en";
  }
  return "en";
}

export const language = new Store<Language>("en");

/** The texts of the moment, for code outside of components. */
export const text = (): Text => TEXTS[language.value];

/** The texts, for components: they are drawn anew when the language changes. */
export const useText = (): Text => TEXTS[useStore(language)];

export function startLanguage(): void {
  language.watch((code) => (document.documentElement.lang = code));
  language.set(pickLanguage(remembered(), navigator.languages));
}

export function chooseLanguage(code: Language): void {
  try {
    localStorage.setItem(KEY, code);
  } catch {
    // Storage may be switched off; then the choice lasts until the page is left.
  }
  language.set(code);
}

function remembered(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
