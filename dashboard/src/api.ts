// The only place that talks to the server.
//
// Always true:
// * whatever goes wrong is a `Problem`, with the server's own words where it has said any;
// * who is not logged in is told to the page once, here, and not by each caller.

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly title: string,
    readonly detail: string,
    readonly action: string,
    readonly requestId: string,
  ) {
    super(detail || title);
  }
}

/** Tells the server that a page asks: it then does not have the browser ask for a password by itself. */
export const OURS = { "X-Requested-With": "FerroMQ-Dashboard" };

type Query = Record<string, string | number | boolean | undefined>;

interface Ask {
  query?: Query;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

type Listener = (state: "reached" | "unreachable" | "unauthenticated") => void;
const listeners = new Set<Listener>();

/** Hears of each answer whether the server was reached and knows us. Returns how to stop hearing. */
export function onAnswer(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(state: Parameters<Listener>[0]): void {
  for (const listener of listeners) listener(state);
}

/** A path of the API from its parts, each of which may have any characters: path`/v1/topics/${name}`. */
export function path(fixed: TemplateStringsArray, ...parts: (string | number)[]): string {
  return fixed.reduce((whole, piece, n) => whole + encodeURIComponent(String(parts[n - 1])) + piece);
}

/** The path with the parts of the query that have a value. */
export function withQuery(path: string, query: Query = {}): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") given.set(name, String(value));
  }
  const text = given.toString();
  return text ? `${path}?${text}` : path;
}

/** One request, and its answer's JSON; `undefined` where the answer is empty. */
export async function call<T>(method: string, path: string, ask: Ask = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json", ...OURS, ...ask.headers };
  const init: RequestInit = { method, headers, credentials: "same-origin", cache: "no-store" };
  if (ask.signal) init.signal = ask.signal;
  if (ask.body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(ask.body);
  }
  let response: Response;
  let text: string;
  try {
    response = await fetch(withQuery(path, ask.query), init);
    text = await response.text();
  } catch (error) {
    if (ask.signal?.aborted) throw error;
    tell("unreachable");
    throw new Problem(
      0,
      "no-answer",
      "The server does not answer",
      error instanceof Error ? error.message : String(error),
      "Check that it runs and that this machine reaches it. The page tries again by itself.",
      "",
    );
  }
  if (response.status === 401) tell("unauthenticated");
  else tell("reached");
  if (!response.ok) throw problemOf(response.status, response.statusText, text, response.headers);
  if (!text) return undefined as T;
  try {
    return JSON.parse(text) as T;
  } catch {
    throw problemOf(response.status, "The answer is no JSON", text, response.headers);
  }
}

/** What a failed answer says, also where it is not the server's own but a proxy's. */
export function problemOf(status: number, statusText: string, text: string, headers?: Headers): Problem {
  let said: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (parsed !== null && typeof parsed === "object") said = parsed as Record<string, unknown>;
  } catch {
    // A proxy's page, or nothing: the status is all there is to show.
  }
  const word = (name: string): string => (typeof said[name] === "string" ? said[name] : "");
  return new Problem(
    status,
    word("code") || `http-${status}`,
    word("title") || statusText || `The server answered ${status}`,
    word("detail"),
    word("action"),
    word("requestId") || headers?.get("x-request-id") || "",
  );
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  // JSON and properties that somebody typed.
  if (error instanceof SyntaxError) return new Problem(0, "input", "This cannot be read", error.message, "", "");
  return new Problem(0, "page", "The page failed", error instanceof Error ? error.message : String(error), "", "");
}

/** Logs in: the server answers with a cookie that the browser keeps and this page cannot read. */
export async function logIn(authorization: string): Promise<void> {
  await call("POST", "/v1/session", { headers: { Authorization: authorization } });
}

export async function logOut(): Promise<void> {
  await call("DELETE", "/v1/session");
}

/** UTF-8, then base64: what HTTP's basic authentication wants of a name and password. */
export function basic(user: string, password: string): string {
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}
