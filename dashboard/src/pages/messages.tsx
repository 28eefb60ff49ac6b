// Looking for messages: by key, id, time or offset. The question is in the address, so that it can be sent to others.

import { useEffect, useState } from "preact/hooks";
import { path, withQuery } from "../api.ts";
import { useLive } from "../live.ts";
import { link, type Route } from "../route.ts";
import type { Message, Topic } from "../types.ts";
import { Empty, Field, Loaded, Page, Panel } from "../ui.tsx";
import { FullMessage, MessageTable } from "./message.tsx";
import { Send } from "./send.tsx";

const WAYS = { time: "Time", key: "Key", id: "Message id", offset: "Queue and offset" };
type Way = keyof typeof WAYS;

const PASTS: [span: string, name: string][] = [
  ["-5m", "the last 5 minutes"],
  ["-1h", "the last hour"],
  ["-24h", "the last day"],
  ["-168h", "the last 7 days"],
  ["between", "between two times"],
  ["", "any time"],
];

interface Question {
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

function question(query: URLSearchParams): Question {
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
    return q.topic ? path`/v1/topics/${q.topic}/messages/${q.id}` : path`/v1/messages/${q.id}`;
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

export function Messages({ route }: { route: Route }) {
  const asked = question(route.query);
  const address = route.query.toString();
  const [form, setForm] = useState(asked);
  const [sending, setSending] = useState(false);
  const topics = useLive<{ topics: Topic[] }>("/v1/topics?system=true", 30_000);
  useEffect(() => setForm(question(new URLSearchParams(address))), [address]);

  const change = (part: Partial<Question>): void => setForm({ ...form, ...part });
  const at = request(asked);
  const result = useLive<Message & { messages?: Message[] }>(at, 0);
  const submit = (event: Event): void => {
    event.preventDefault();
    const { topic, by, key, id, queue, offset, past, from, to, max } = form;
    const range = { past, ...(past === "between" ? { from, to } : {}) };
    const parts = { time: { ...range, max }, key: { key, ...range, max }, id: { id }, offset: { queue, offset, max } }[by];
    const next = link(["messages"], { topic, by, ...parts });
    if (next === location.hash) result.refresh();
    else location.hash = next;
  };
  const text = (label: string, of: "key" | "id" | "queue" | "offset", more: object = {}) => (
    <Field label={label}>
      {(id) => <input id={id} required autocomplete="off" spellcheck={false} value={form[of]} onInput={(event) => change({ [of]: event.currentTarget.value })} {...more} />}
    </Field>
  );
  const number = { type: "number", min: 0 };

  return (
    <Page title="Messages" actions={<button type="button" class="primary" onClick={() => setSending(true)}>Send a message</button>}>
      <form class="panel pad search" role="search" onSubmit={submit}>
        <Field label="Topic" class="grow">
          {(id) => (
            <>
              <input
                id={id}
                list={`${id}-names`}
                required={form.by !== "id"}
                autocomplete="off"
                spellcheck={false}
                placeholder={form.by === "id" ? "any, with an offset id" : ""}
                value={form.topic}
                onInput={(event) => change({ topic: event.currentTarget.value })}
              />
              <datalist id={`${id}-names`}>{topics.data?.topics.map((topic) => <option key={topic.name} value={topic.name} />)}</datalist>
            </>
          )}
        </Field>
        <Field label="Find by">
          {(id) => (
            <select id={id} value={form.by} onChange={(event) => change({ by: event.currentTarget.value as Way })}>
              {Object.entries(WAYS).map(([way, name]) => <option key={way} value={way}>{name}</option>)}
            </select>
          )}
        </Field>
        {form.by === "key" && text("Key", "key")}
        {form.by === "id" && text("Message id", "id", { class: "long" })}
        {form.by === "offset" && text("Queue", "queue", number)}
        {form.by === "offset" && text("From offset", "offset", number)}
        {(form.by === "key" || form.by === "time") && (
          <Field label="Stored in">
            {(id) => (
              <select id={id} value={form.past} onChange={(event) => change({ past: event.currentTarget.value })}>
                {PASTS.map(([past, name]) => <option key={past} value={past}>{name}</option>)}
              </select>
            )}
          </Field>
        )}
        {(form.by === "key" || form.by === "time") && form.past === "between" && (
          <>
            <Field label="From">{(id) => <input id={id} type="datetime-local" step="1" value={form.from} onInput={(event) => change({ from: event.currentTarget.value })} />}</Field>
            <Field label="To">{(id) => <input id={id} type="datetime-local" step="1" value={form.to} onInput={(event) => change({ to: event.currentTarget.value })} />}</Field>
          </>
        )}
        {form.by !== "id" && (
          <Field label="At most">
            {(id) => (
              <select id={id} value={form.max} onChange={(event) => change({ max: event.currentTarget.value })}>
                {["32", "128", "256"].map((n) => <option key={n} value={n}>{n}</option>)}
              </select>
            )}
          </Field>
        )}
        <button type="submit" class="primary">Search</button>
      </form>
      {at === undefined ? (
        <Panel><Empty title="Say which topic to look in">By its id a message is found without one, where the id is an offset id.</Empty></Panel>
      ) : (
        <Panel class={asked.by === "id" ? "pad" : ""}>
          <Loaded live={result}>
            {(data) =>
              data.messages === undefined ? (
                <FullMessage message={data} />
              ) : (
                <MessageTable
                  messages={data.messages}
                  empty={<Empty title="Nothing found">{asked.by === "key" ? "No message with this key was stored in that time." : "No message was stored there in that time."}</Empty>}
                />
              )
            }
          </Loaded>
        </Panel>
      )}
      {sending && <Send topic={form.topic} onClose={() => setSending(false)} />}
    </Page>
  );
}
