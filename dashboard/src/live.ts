// Data that keeps itself up to date while someone looks at it.
//
// Always true:
// * nothing is asked while the tab is hidden, and at once when it is shown again;
// * there is one question in flight per hook, and the next waits for its answer;
// * a failure keeps what was known before: the page shows both.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { asProblem, call, type Problem } from "./api.ts";

export interface Live<T> {
  data: T | undefined;
  problem: Problem | undefined;
  /** Asks now, whatever the interval is. */
  refresh: () => void;
}

/**
 * What `GET path` answers, asked again every `every` milliseconds (0: only on `refresh`, and when the tab is shown
 * again after it was hidden). No path, no question.
 */
export function useLive<T>(path: string | undefined, every = 5_000): Live<T> {
  const [state, setState] = useState<{ path: string | undefined; data?: T; problem?: Problem }>({ path });
  const ask = useRef<() => void>(() => {});

  useEffect(() => {
    if (path === undefined) {
      setState({ path });
      return;
    }
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let inFlight = false;

    const load = async (): Promise<void> => {
      if (inFlight) return;
      clearTimeout(timer);
      inFlight = true;
      try {
        const data = await call<T>("GET", path, { signal: stop.signal });
        setState({ path, data });
      } catch (error) {
        if (stop.signal.aborted) return;
        const problem = asProblem(error);
        setState((known) => (known.path === path && known.data !== undefined ? { ...known, problem } : { path, problem }));
      } finally {
        inFlight = false;
      }
      if (!stop.signal.aborted && every > 0 && !document.hidden) timer = setTimeout(load, every);
    };
    const shown = (): void => {
      clearTimeout(timer);
      if (!document.hidden) void load();
    };
    ask.current = () => void load();
    document.addEventListener("visibilitychange", shown);
    if (!document.hidden) void load();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", shown);
    };
  }, [path, every]);

  const refresh = useCallback(() => ask.current(), []);
  // Between a change of the path and its first answer, the old path's data is not shown as if it were the new one's.
  const current = state.path === path ? state : { data: undefined, problem: undefined };
  return { data: current.data, problem: current.problem, refresh };
}

/** One thing at a time that somebody asked for by a button: whether it runs, and what went wrong. */
export function useAction(): {
  busy: boolean;
  problem: Problem | undefined;
  run: (what: () => Promise<void>) => Promise<void>;
  forget: () => void;
} {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const run = useCallback(async (what: () => Promise<void>) => {
    setBusy(true);
    setProblem(undefined);
    try {
      await what();
    } catch (error) {
      setProblem(asProblem(error));
    } finally {
      setBusy(false);
    }
  }, []);
  const forget = useCallback(() => setProblem(undefined), []);
  return { busy, problem, run, forget };
}
