// Light or dark: as the system says, until somebody chooses.

import { useEffect, useState } from "preact/hooks";
import { keep, recall } from "./storage.ts";

export type Theme = "light" | "dark";

const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();
system.addEventListener("change", tell);

export function theme(): Theme {
  const chosen = document.documentElement.dataset["theme"];
  if (chosen === "light" || chosen === "dark") return chosen;
  return system.matches ? "dark" : "light";
}

export function chooseTheme(chosen: Theme): void {
  document.documentElement.dataset["theme"] = chosen;
  keep("theme", chosen);
  tell();
}

/** Before anything is drawn. */
export function restoreTheme(): void {
  const chosen = recall("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset["theme"] = chosen;
}

export function useTheme(): Theme {
  const [current, setCurrent] = useState(theme);
  useEffect(() => {
    const changed = (): void => setCurrent(theme());
    listeners.add(changed);
    return () => {
      listeners.delete(changed);
    };
  }, []);
  return current;
}

function tell(): void {
  for (const listener of listeners) listener();
}
