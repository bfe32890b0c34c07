// Shows a Problem: what it means in the reader's language, what the server said about this very case, and what can be done.
import { useEffect, useState } from "preact/hooks";
import { useText } from "../language";
import type { Problem } from "../problem";
import { AlertIcon } from "./icons";

interface Props {
  problem: Problem | undefined;
  /** Shown as a button; waits as long as the server asked for. */
  onRetry?: (() => void) | undefined;
  testid?: string;
}

export function ProblemBox({ problem, onRetry, testid = "problem" }: Props) {
  const t = useText();
  if (!problem) return null;
  const title = t.problems[problem.code] ?? t.problem;
  const showDetail = problem.detail !== "" && problem.detail !== title;
  return (
    <div class="problem" role="alert" data-testid={testid} data-code={problem.code}>
      <AlertIcon />
      <div class="problem-body">
        <strong>{title}</strong>
        {showDetail && <p data-testid={`${testid}-detail`}>{problem.detail}</p>}
        {problem.status >= 500 && problem.operation && <p class="small">{t.site.operation(problem.operation)}</p>}
        {onRetry && <RetryButton problem={problem} onRetry={onRetry} />}
      </div>
    </div>
  );
}

export function RetryButton({ problem, onRetry }: { problem: Problem; onRetry: () => void }) {
  const t = useText();
  const left = useCountdown(problem);
  return (
    <button type="button" class="button" disabled={left > 0} onClick={onRetry} data-testid="retry">
      {left > 0 ? t.site.retryIn(left) : t.site.tryAgain}
    </button>
  );
}

/** Seconds until the server wants to be asked again. */
function useCountdown(problem: Problem): number {
  const [left, setLeft] = useState(problem.retryAfter ?? 0);
  useEffect(() => {
    const end = performance.now() + (problem.retryAfter ?? 0) * 1000;
    const tick = () => setLeft(Math.max(Math.ceil((end - performance.now()) / 1000), 0));
    tick();
    const timer = setInterval(tick, 500);
    return () => clearInterval(timer);
  }, [problem]);
  return left;
}
