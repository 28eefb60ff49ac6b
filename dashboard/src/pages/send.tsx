// A form that sends one message, to see whether the way through the system is free.

import { useState } from "preact/hooks";
import { call, path } from "../api.ts";
import { properties } from "../format.ts";
import { useAction, useLive } from "../live.ts";
import { link } from "../route.ts";
import type { Sent, Topic } from "../types.ts";
import { Dialog, Failure, Field } from "../ui.tsx";

export function Send(props: { topic: string; onClose: () => void }) {
  const [topic, setTopic] = useState(props.topic);
  const [kind, setKind] = useState<"text" | "json">("text");
  const [body, setBody] = useState("");
  const [more, setMore] = useState({ tag: "", keys: "", properties: "", delay: "", shardingKey: "" });
  const [sent, setSent] = useState<Sent & { topic: string }>();
  const topics = useLive<{ topics: Topic[] }>("/v1/topics", 0);
  const { busy, problem, run } = useAction();

  const submit = (event: Event): void => {
    event.preventDefault();
    setSent(undefined);
    void run(async () => {
      const message: Record<string, unknown> = { text: body };
      if (kind === "json") {
        // Only to see that it is: it is sent as it was typed.
        JSON.parse(body);
        message["contentType"] = "application/json";
      }
      if (more.tag) message["tag"] = more.tag;
      if (more.keys.trim()) message["keys"] = more.keys.trim().split(/\s+/);
      if (more.properties.trim()) message["properties"] = properties(more.properties);
      if (more.delay.trim()) message["delay"] = more.delay.trim();
      if (more.shardingKey) message["shardingKey"] = more.shardingKey;
      setSent({ ...(await call<Sent>("POST", path`/v1/topics/${topic}/messages`, { body: message })), topic });
    });
  };
  const field = (label: string, of: keyof typeof more, hint: string) => (
    <Field label={label} hint={hint}>
      {(id) => <input id={id} autocomplete="off" spellcheck={false} value={more[of]} onInput={(event) => setMore({ ...more, [of]: event.currentTarget.value })} />}
    </Field>
  );
  return (
    <Dialog title="Send a message" wide onClose={props.onClose}>
      <form class="stack" onSubmit={submit}>
        <div class="row">
          <Field label="Topic" class="grow">
            {(id) => (
              <>
                <input id={id} required list={`${id}-names`} autocomplete="off" spellcheck={false} value={topic} onInput={(event) => setTopic(event.currentTarget.value)} />
                <datalist id={`${id}-names`}>{topics.data?.topics.map((each) => <option key={each.name} value={each.name} />)}</datalist>
              </>
            )}
          </Field>
          <Field label="Body is">
            {(id) => (
              <select id={id} value={kind} onChange={(event) => setKind(event.currentTarget.value as typeof kind)}>
                <option value="text">text</option>
                <option value="json">JSON</option>
              </select>
            )}
          </Field>
        </div>
        <Field label="Body">
          {(id) => <textarea id={id} rows={6} required spellcheck={false} value={body} onInput={(event) => setBody(event.currentTarget.value)} />}
        </Field>
        <div class="row">
          {field("Tag", "tag", "What consumers filter by")}
          {field("Keys", "keys", "Separated by spaces")}
        </div>
        <div class="row">
          {field("Delay", "delay", "Such as 10s or 5m")}
          {field("Sharding key", "shardingKey", "Equal keys keep their order")}
        </div>
        <Field label="Properties" hint="One name=value a line">
          {(id) => <textarea id={id} rows={2} spellcheck={false} value={more.properties} onInput={(event) => setMore({ ...more, properties: event.currentTarget.value })} />}
        </Field>
        {problem && <Failure problem={problem} />}
        {sent && (
          <p class="note good" role="status">
            <span>
              Stored in queue {sent.queueId} at offset {sent.queueOffset}.{" "}
              <a href={link(["messages"], { topic: sent.topic, by: "id", id: sent.messageId })} onClick={props.onClose}>Show it</a>
            </span>
          </p>
        )}
        <div class="dialog-end">
          <button type="button" onClick={props.onClose}>Close</button>
          <button type="submit" class="primary" disabled={busy}>{busy ? "Sending…" : "Send"}</button>
        </div>
      </form>
    </Dialog>
  );
}
