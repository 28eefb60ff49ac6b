// What one can ask for messages by, and the request of the API that answers it. Pure functions.

import { path, withQuery } from "./api.ts";

export const WAYS = { time: "Time", key: "Key", id: "Message id", offset: "Queue and offset" };
export type Way = keyof typeof WAYS;

export interface Question {
  topic: string;
  by: Way;
  key: string;
  id: string;
  queue: string;
  offset: string;
  past: string;
  from: string;
  to: string;
  max: string;
}

/** What the address of the page asks. */
export function question(query: URLSearchParams): Question {
  const by = query.get("by") ?? "";
  const word = (name: string, otherwise = ""): string => query.get(name) ?? otherwise;
  return {
    topic: word("topic"),
    by: by in WAYS ? (by as Way) : "time",
    key: word("key"),
    id: word("id"),
    queue: word("queue", "0"),
    offset: word("offset", "0"),
    past: word("past", "-1h"),
    from: word("from"),
    to: word("to"),
    max: word("max", "32"),
  };
}

/** The request that answers a question; nothing while the question is not complete. */
export function request(q: Question): string | undefined {
  if (q.by === "id") {
    if (!q.id) return undefined;
    return `${q.topic ? path`/v1/topics/${q.topic}/messages/${q.id}` : path`/v1/messages/${q.id}`}?body=text`;
  }
  if (!q.topic) return undefined;
  if (q.by === "offset") return withQuery(path`/v1/topics/${q.topic}/queues/${q.queue}/messages`, { offset: q.offset, max: q.max, body: "none" });
  if (q.by === "key" && !q.key) return undefined;
  const range = q.past === "between" ? { from: utc(q.from), to: utc(q.to) } : { from: q.past || undefined };
  return withQuery(path`/v1/topics/${q.topic}/messages`, { key: q.by === "key" ? q.key : undefined, ...range, max: q.max, body: "none" });
}

/** What a field for local times says, as the API wants it. */
function utc(local: string): string | undefined {
  const time = Date.parse(local);
  return Number.isNaN(time) ? undefined : new Date(time).toISOString();
}
