// What went wrong, in one shape, whether the server said it (problem+json, RFC 9457), a proxy in between said it in its own words, or
// nothing answered at all. Pages show a Problem; they never look at a status themselves.

/** `network`: no answer came. `timeout`: none came in time. `broken`: an answer that isn't the contract's. The rest are the server's codes. */
export type ProblemCode = "network" | "timeout" | "broken" | (string & {});

export interface FieldProblem {
  /** JSON pointer into the request body: `/title`. */
  pointer: string;
  detail: string;
}

export interface ProblemFacts {
  code: ProblemCode;
  /** HTTP status; 0 when nothing answered. */
  status: number;
  detail: string;
  fields?: FieldProblem[];
  /** Seconds to wait, from Retry-After. */
  retryAfter?: number;
  /** The operation id to quote to whoever runs the server. */
  operation?: string;
  /** Where an upload continues (offset_mismatch). */
  offset?: number;
}

export class Problem extends Error {
  readonly code: ProblemCode;
  readonly status: number;
  readonly detail: string;
  readonly fields: FieldProblem[];
  readonly retryAfter: number | undefined;
  readonly operation: string | undefined;
  readonly offset: number | undefined;

  constructor(facts: ProblemFacts) {
    super(`${facts.code} (${facts.status}): ${facts.detail}`);
    this.name = "Problem";
    this.code = facts.code;
    this.status = facts.status;
    this.detail = facts.detail;
    this.fields = facts.fields ?? [];
    this.retryAfter = facts.retryAfter;
    this.operation = facts.operation;
    this.offset = facts.offset;
  }

  /** What the server said about one field of the form, if it did. */
  field(name: string): string | undefined {
    return this.fields.find((f) => f.pointer === `/${name}`)?.detail;
  }

  /** True when sending the same thing again may well work. */
  get passing(): boolean {
    return this.code === "network" || this.code === "timeout" || [408, 423, 429, 502, 503, 504].includes(this.status);
  }
}

/** A status without the contract's body (a proxy's own page) still gets a code, so that the texts fit. */
const CODE_OF_STATUS: Record<number, string> = {
  400: "bad_request",
  401: "unauthenticated",
  403: "forbidden",
  404: "not_found",
  405: "method_not_allowed",
  408: "request_timeout",
  409: "conflict",
  410: "gone",
  413: "body_too_large",
  415: "unsupported_media",
  416: "range_not_satisfiable",
  422: "invalid",
  423: "overloaded",
  429: "too_many_requests",
  502: "upstream_unavailable",
  503: "upstream_unavailable",
  504: "upstream_unavailable",
  507: "storage_full",
};

/** Longer waits are cut: nobody watches a countdown of an hour. */
const MAX_RETRY_AFTER_SECONDS = 3600;

/** Retry-After as seconds; both forms of RFC 9110, section 10.2.3. */
export function retryAfterSeconds(header: string | null, now: number): number | undefined {
  if (header === null || header.trim() === "") return undefined;
  const value = header.trim();
  const seconds = /^\d+$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - now) / 1000);
  if (!Number.isFinite(seconds) || !/^(\d+|[A-Z][a-z]{2}, .*GMT)$/.test(value)) return undefined; // Date.parse alone takes "-1" for a year
  return Math.min(Math.max(seconds, 0), MAX_RETRY_AFTER_SECONDS);
}

/** The Problem of an answer that is not a success. `body` is the text of the answer, whatever it is. */
export function problemOf(status: number, body: string, header: (name: string) => string | null, now = Date.now()): Problem {
  const said = parseObject(body);
  const text = (key: string) => (typeof said[key] === "string" ? (said[key] as string) : undefined);
  const facts: ProblemFacts = {
    code: text("code") ?? CODE_OF_STATUS[status] ?? (status >= 500 ? "internal" : "broken"),
    status,
    detail: text("detail") ?? text("title") ?? "",
    fields: fieldsOf(said["errors"]),
  };
  const wait = retryAfterSeconds(header("Retry-After"), now);
  if (wait !== undefined) facts.retryAfter = wait;
  const operation = text("operationID") ?? header("X-Request-Id") ?? undefined;
  if (operation !== undefined) facts.operation = operation;
  const offset = said["offset"];
  if (typeof offset === "number" && Number.isSafeInteger(offset) && offset >= 0) facts.offset = offset;
  return new Problem(facts);
}

/** Whatever was thrown, as a Problem. An abort stays what it is: the caller asked for it. */
export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  const name = thrown instanceof Error ? thrown.name : "";
  if (name === "TimeoutError") return new Problem({ code: "timeout", status: 0, detail: "" });
  if (name === "TypeError") return new Problem({ code: "network", status: 0, detail: "" });
  return new Problem({ code: "broken", status: 0, detail: thrown instanceof Error ? thrown.message : String(thrown) });
}

function parseObject(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function fieldsOf(value: unknown): FieldProblem[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((entry: unknown) => {
    const { pointer, detail } = (entry ?? {}) as Record<string, unknown>;
    return typeof pointer === "string" && typeof detail === "string" ? [{ pointer, detail }] : [];
  });
}
