// What the contract says about input, checked before it is sent so that the answer is immediate. The server checks again and has the last word.
import type { Text } from "./text";

export const MOST_TITLE = 200;
export const MOST_DESCRIPTION = 5000;
export const MOST_DISPLAY_NAME = 64;

export function checkUsername(value: string, t: Text): string | undefined {
  return /^[a-z][a-z0-9_-]{2,31}$/.test(value) ? undefined : t.form.needUsername;
}

export function checkPassword(value: string, t: Text): string | undefined {
  const length = [...value].length;
  if (length < 8) return t.form.needPassword;
  return length > 128 ? t.form.longPassword : undefined;
}

export function checkTitle(value: string, t: Text): string | undefined {
  return value.trim() === "" ? t.form.needTitle : undefined;
}

/** A title for a file that has none yet: its name without the ending. */
export function titleFromFile(name: string): string {
  const title = name.replace(/\.[A-Za-z0-9]{1,5}$/, "").replace(/[_\s]+/g, " ").trim();
  return [...(title || name)].slice(0, 100).join("");
}
