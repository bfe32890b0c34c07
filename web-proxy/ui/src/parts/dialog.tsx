// A modal dialog on the browser's own <dialog>: focus stays inside, Escape closes it, focus goes back to where it was.
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { useText } from "../language";
import type { Problem } from "../problem";
import { ProblemBox } from "./problem_box";

interface Props {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  testid: string;
}

export function Dialog({ title, onClose, children, testid }: Props) {
  const ref = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useLayoutEffect(() => {
    const dialog = ref.current;
    if (dialog && !dialog.open) dialog.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={ref}
      aria-labelledby={titleId}
      data-testid={testid}
      onCancel={(event: Event) => {
        event.preventDefault();
        onClose();
      }}
      onMouseDown={(event: MouseEvent) => event.target === ref.current && onClose()}
    >
      <div class="dialog-body">
        <h2 id={titleId}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  text: string;
  confirm: string;
  busy: boolean;
  problem: Problem | undefined;
  onConfirm: () => void;
  onClose: () => void;
  testid: string;
  children?: ComponentChildren;
}

/** Asks before what can't be undone. The harmless answer comes first and has the focus. */
export function ConfirmDialog(props: ConfirmProps) {
  const t = useText();
  return (
    <Dialog title={props.title} onClose={props.onClose} testid={props.testid}>
      <form
        onSubmit={(event: Event) => {
          event.preventDefault();
          props.onConfirm();
        }}
      >
        <p class="user-text">{props.text}</p>
        {props.children}
        <ProblemBox problem={props.problem} />
        <div class="actions actions-end">
          <button type="button" class="button" onClick={props.onClose}>{t.site.cancel}</button>
          <button type="submit" class="button danger" disabled={props.busy} data-testid={`${props.testid}-yes`}>
            {props.confirm}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
