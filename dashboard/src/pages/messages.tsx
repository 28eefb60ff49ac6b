// Looking for messages: by key, id, time or offset. The question is in the address, so that it can be sent to others.

import { useEffect, useRef, useState } from "preact/hooks";
import { useLive } from "../live.ts";
import { type Question, question, request, type Way, WAYS } from "../question.ts";
import { link, type Route } from "../route.ts";
import type { Message, Topic } from "../types.ts";
import { Empty, Field, Loaded, Page, Panel } from "../ui.tsx";
import { FullMessage, MessageTable } from "./message.tsx";
import { Send } from "./send.tsx";

const PASTS: [span: string, name: string][] = [
  ["-5m", "the last 5 minutes"],
  ["-1h", "the last hour"],
  ["-24h", "the last day"],
  ["-168h", "the last 7 days"],
  ["between", "between two times"],
  ["", "any time"],
];

export function Messages({ route }: { route: Route }) {
  const asked = question(route.query);
  const address = route.query.toString();
  const [form, setForm] = useState(asked);
  const [sending, setSending] = useState(false);
  const topics = useLive<{ topics: Topic[] }>("/v1/topics?max=10000&system=true", 30_000);
  // What the form itself asked for last, until the address says so: by then it may have been changed again.
  const own = useRef<string | undefined>(undefined);
  useEffect(() => {
    if (address !== own.current) setForm(question(new URLSearchParams(address)));
    own.current = undefined;
  }, [address]);

  const change = (part: Partial<Question>): void => setForm({ ...form, ...part });
  const at = request(asked);
  const result = useLive<Message & { messages?: Message[] }>(at, 0);
  const submit = (event: Event): void => {
    event.preventDefault();
    const { topic, by, key, id, queue, offset, past, from, to, max } = form;
    const range = { past, ...(past === "between" ? { from, to } : {}) };
    const parts = { time: { ...range, max }, key: { key, ...range, max }, id: { id }, offset: { queue, offset, max } }[by];
    const next = link(["messages"], { topic, by, ...parts });
    if (next === location.hash) return result.refresh();
    own.current = next.slice(next.indexOf("?") + 1);
    location.hash = next;
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
