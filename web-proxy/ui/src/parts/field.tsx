// Form fields with a label, a hint and a complaint, tied together for screen readers.
import type { ComponentChildren, TargetedEvent } from "preact";
import { useId, useState } from "preact/hooks";
import { useText } from "../language";

interface Common {
  label: string;
  hint?: string | undefined;
  complaint?: string | undefined;
  optional?: boolean;
  value: string;
  onValue: (value: string) => void;
  testid: string;
}

interface TextProps extends Common {
  type?: "text" | "password";
  autocomplete?: string;
  autofocus?: boolean;
}

type Ids = { id: string; describedBy: string | undefined };

function Frame(props: Common & { children: (ids: Ids) => ComponentChildren }) {
  const t = useText();
  const id = useId();
  const { label, hint, complaint, optional, testid, children } = props;
  const describedBy = complaint ? `${id}-bad` : hint ? `${id}-hint` : undefined;
  return (
    <div class={complaint ? "field field-bad" : "field"}>
      <label for={id}>
        {label} {optional && <span class="quiet">({t.form.optional})</span>}
      </label>
      {children({ id, describedBy })}
      {hint && !complaint && <p class="hint" id={`${id}-hint`}>{hint}</p>}
      {complaint && <p class="complaint" id={`${id}-bad`} data-testid={`${testid}-complaint`}>{complaint}</p>}
    </div>
  );
}

export function TextField(props: TextProps) {
  const t = useText();
  const [shown, setShown] = useState(false);
  const secret = props.type === "password";
  const exact = secret || props.autocomplete === "username"; // nothing that a keyboard may correct
  return (
    <Frame {...props}>
      {({ id, describedBy }) => (
        <div class="field-row">
          <input
            id={id}
            {...(secret && !shown ? { type: "password" as const } : { type: "text" as const })}
            value={props.value}
            onInput={(event: TargetedEvent<HTMLInputElement>) => props.onValue(event.currentTarget.value)}
            autocomplete={props.autocomplete ?? "off"}
            autocapitalize={exact ? "none" : "sentences"}
            spellcheck={!exact}
            aria-invalid={props.complaint !== undefined}
            aria-describedby={describedBy}
            data-testid={props.testid}
          />
          {secret && (
            <button type="button" class="reveal" aria-pressed={shown} onClick={() => setShown(!shown)} aria-label={t.form.showPassword} title={t.form.showPassword}>
              <Eye crossed={shown} />
            </button>
          )}
        </div>
      )}
    </Frame>
  );
}

export function AreaField(props: Common & { rows?: number }) {
  return (
    <Frame {...props}>
      {({ id, describedBy }) => (
        <textarea
          id={id}
          rows={props.rows ?? 4}
          value={props.value}
          onInput={(event: TargetedEvent<HTMLTextAreaElement>) => props.onValue(event.currentTarget.value)}
          aria-invalid={props.complaint !== undefined}
          aria-describedby={describedBy}
          data-testid={props.testid}
        />
      )}
    </Frame>
  );
}

function Eye({ crossed }: { crossed: boolean }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" aria-hidden="true">
      <path d="M3 12c2-4 5.2-6 9-6s7 2 9 6c-2 4-5.2 6-9 6s-7-2-9-6z" />
      <circle cx="12" cy="12" r="2.5" />
      {crossed && <path d="M4 20 20 4" />}
    </svg>
  );
}
