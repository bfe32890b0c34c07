// The toasts at the foot of the page.
import { useText } from "../language";
import { useStore } from "../store";
import { dismiss, toasts } from "../toasts";
import { CloseIcon } from "./icons";

export function ToastList() {
  const t = useText();
  const list = useStore(toasts);
  return (
    <div class="toasts" role="status" aria-live="polite" data-testid="toasts">
      {list.map((toast) => (
        <div key={toast.id} class={toast.kind === "problem" ? "toast toast-problem" : "toast"} data-testid="toast">
          <span class="user-text">{toast.text}</span>
          {toast.action && (
            <button
              type="button"
              class="toast-action"
              data-testid="toast-action"
              onClick={() => {
                dismiss(toast.id);
                toast.action?.run();
              }}
            >
              {toast.action.label}
            </button>
          )}
          <button type="button" class="toast-close" aria-label={t.site.close} onClick={() => dismiss(toast.id)}>
            <CloseIcon />
          </button>
        </div>
      ))}
    </div>
  );
}
