// Sizes, durations and times as people read them. Pure: the language and the present moment are given.

const UNITS = ["B", "KB", "MB", "GB", "TB"] as const;

/** Bytes in decimal units with three significant digits, as file managers and disks show them: 1.23 MB. */
export function bytes(count: number, language = "en"): string {
  let value = count;
  let unit = 0;
  while (Math.round(value * 10) / 10 >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value)} ${UNITS[unit]}`;
}

/** The exact count with its separators: 1,234,567. */
export function exact(count: number, language = "en"): string {
  return new Intl.NumberFormat(language).format(count);
}

/** A length of play: 0:07, 1:05, 1:02:03. Rounded down as players show it, but never to nothing. */
export function duration(ms: number): string {
  const total = Math.max(Math.floor(ms / 1000), ms > 0 ? 1 : 0);
  const seconds = String(total % 60).padStart(2, "0");
  const minutes = Math.floor(total / 60) % 60;
  const hours = Math.floor(total / 3600);
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}

const STEPS: ReadonlyArray<[Intl.RelativeTimeFormatUnit, number]> = [
  ["year", 365 * 86_400],
  ["month", 30 * 86_400],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "3 hours ago", "in 7 days". What is under a minute away is "now". */
export function relative(time: string, now: number, language = "en"): string {
  const seconds = (Date.parse(time) - now) / 1000;
  if (!Number.isFinite(seconds)) return "";
  const format = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  for (const [unit, size] of STEPS) {
    const count = Math.round(seconds / size);
    if (Math.abs(seconds) >= size * 0.99) return format.format(count, unit);
  }
  return format.format(0, "second");
}

/** The moment in the reader's own zone. */
export function moment(time: string, language = "en"): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return "";
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(date);
}

/** A share as whole percent, 100 only when all of it is there. */
export function percent(part: number, whole: number): number {
  if (whole <= 0) return 0;
  return part >= whole ? 100 : Math.min(Math.floor((part / whole) * 100), 99);
}
