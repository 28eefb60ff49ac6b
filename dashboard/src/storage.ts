// The little that the page keeps in the browser. Storage may be switched off: then it lasts as long as the page.

export function recall(key: string): string | null {
  try {
    return localStorage.getItem(`ferromq-${key}`);
  } catch {
    return null;
  }
}

export function keep(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(`ferromq-${key}`);
    else localStorage.setItem(`ferromq-${key}`, value);
  } catch {
    // As said above.
  }
}
