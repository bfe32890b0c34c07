// Where a comment or a reply is written. What was written stays until the server has it.
import type { TargetedEvent } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { useText } from "../language";
import { useAction } from "../loading";
import { ProblemBox } from "./problem_box";

/** The contract's limit, in characters. */
const MOST = 2000;

/** From here on the page says how many are left. */
const COUNT_FROM = 1800;

interface Props {
  label: string;
  onPost: (text: string) => Promise<void>;
  onCancel?: () => void;
  testid: string;
}

export function CommentForm({ label, onPost, onCancel, testid }: Props) {
  const t = useText();
  const id = useId();
  const area = useRef<HTMLTextAreaElement>(null);
  const [draft, setDraft] = useState("");
  const length = [...draft.trim()].length;
  const post = useAction(async () => {
    await onPost(draft.trim());
    setDraft((now) => (now === draft ? "" : now)); // what was written meanwhile stays
  });
  const ready = length > 0 && length <= MOST && !post.busy;
  const submit = (event: Event) => {
    event.preventDefault();
    if (ready) void post.run();
  };

  useEffect(() => {
    if (onCancel) area.current?.focus(); // a reply form opens because somebody wants to write in it
  }, []);

  return (
    <form class="comment-form" onSubmit={submit} data-testid={`${testid}-form`}>
      <label for={id} class="visually-hidden">{label}</label>
      <textarea
        ref={area}
        id={id}
        rows={draft === "" ? 2 : 4}
        placeholder={label}
        value={draft}
        onInput={(event: TargetedEvent<HTMLTextAreaElement>) => setDraft(event.currentTarget.value)}
        onKeyDown={(event: KeyboardEvent) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && submit(event)}
        aria-invalid={length > MOST}
        data-testid={`${testid}-input`}
      />
      <ProblemBox problem={post.problem} testid={`${testid}-problem`} />
      <div class="actions actions-end">
        {length > COUNT_FROM && (
          <span class={length > MOST ? "complaint" : "hint"} role="status">
            {length > MOST ? t.form.tooLong(MOST) : t.comments.left(MOST - length)}
          </span>
        )}
        {onCancel && <button type="button" class="button" onClick={onCancel}>{t.site.cancel}</button>}
        <button type="submit" class="button primary" disabled={!ready} data-testid={`${testid}-post`}>
          {post.busy ? t.comments.posting : t.comments.post}
        </button>
      </div>
    </form>
  );
}
