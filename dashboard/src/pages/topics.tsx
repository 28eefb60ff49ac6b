// All topics, and a form for a new one.

import { useState } from "preact/hooks";
import { call, path } from "../api.ts";
import { count, short } from "../format.ts";
import { useAction, useLive } from "../live.ts";
import { link } from "../route.ts";
import type { Topic, TopicKind } from "../types.ts";
import { Badge, Dialog, Empty, Failure, Field, Filter, Found, Loaded, Page, Panel, Table, type Tone } from "../ui.tsx";

const TONES: Record<TopicKind, Tone> = { user: "plain", retry: "wait", dlq: "bad", system: "plain" };

export function Topics() {
  const [system, setSystem] = useState(false);
  const [filter, setFilter] = useState("");
  const [creating, setCreating] = useState(false);
  const topics = useLive<{ topics: Topic[] }>(`/v1/topics?max=10000&system=${system}`);
  const wanted = filter.toLowerCase();
  const found = topics.data?.topics.filter((topic) => topic.name.toLowerCase().includes(wanted)) ?? [];
  return (
    <Page title="Topics" actions={<button type="button" class="primary" onClick={() => setCreating(true)}>New topic</button>}>
      <div class="tools">
        <Filter label="Filter topics" value={filter} onInput={setFilter} />
        <label class="check">
          <input type="checkbox" checked={system} onChange={(event) => setSystem(event.currentTarget.checked)} />
          Show retry, dead-letter and system topics
        </label>
        {topics.data && <Found shown={found.length} all={topics.data.topics.length} one="topic" />}
      </div>
      <Panel>
        <Loaded live={topics}>
          {(data) => (
            <Table
              label="Topics"
              rows={found}
              rowKey={(topic) => topic.name}
              start={{ column: 0 }}
              empty={
                data.topics.length === 0 ? (
                  <Empty title="No topics yet">Create one, or let a producer create it by its first send.</Empty>
                ) : (
                  <Empty title={`No topic's name has “${filter}” in it`} />
                )
              }
              columns={[
                {
                  label: "Topic",
                  sort: (topic) => topic.name,
                  cell: (topic) => (
                    <>
                      <a href={link(["topics", topic.name])}>{topic.name}</a>{" "}
                      {topic.kind !== "user" && <Badge tone={TONES[topic.kind]}>{topic.kind === "dlq" ? "dead letters" : topic.kind}</Badge>}
                      {topic.order && <Badge>ordered</Badge>}
                    </>
                  ),
                },
                {
                  label: "Queues",
                  numeric: true,
                  sort: (topic) => topic.readQueues,
                  cell: (topic) => (topic.readQueues === topic.writeQueues ? topic.readQueues : `${topic.readQueues} r / ${topic.writeQueues} w`),
                },
                { label: "Clients may", wide: true, cell: (topic) => permission(topic.permission) },
                { label: "Groups", numeric: true, wide: true, sort: (topic) => topic.groups, cell: (topic) => count(topic.groups) },
                { label: "Messages", numeric: true, sort: (topic) => topic.messages, cell: (topic) => count(topic.messages) },
                { label: "In/s", numeric: true, sort: (topic) => topic.putRate, cell: (topic) => short(topic.putRate) },
              ]}
            />
          )}
        </Loaded>
      </Panel>
      {creating && <TopicForm onClose={() => setCreating(false)} onDone={(name) => { location.hash = link(["topics", name]); }} />}
    </Page>
  );
}

export function permission(of: string): string {
  return { rw: "read and write", r: "only read", w: "only write", none: "do nothing" }[of] ?? of;
}

/** Creates a topic, or changes the one that is given. */
export function TopicForm(props: { topic?: Topic; onClose: () => void; onDone: (name: string) => void }) {
  const { topic } = props;
  const [name, setName] = useState(topic?.name ?? "");
  const [queues, setQueues] = useState({ read: topic?.readQueues ?? 8, write: topic?.writeQueues ?? 8 });
  const [may, setMay] = useState(topic?.permission ?? "rw");
  const [order, setOrder] = useState(topic?.order ?? false);
  const { busy, problem, run } = useAction();
  const submit = (event: Event): void => {
    event.preventDefault();
    void run(async () => {
      await call("PUT", path`/v1/topics/${name}`, { body: { readQueues: queues.read, writeQueues: queues.write, permission: may, order } });
      props.onDone(name);
    });
  };
  const number = (label: string, of: "read" | "write") => (
    <Field label={label}>
      {(id) => (
        <input id={id} type="number" min={1} max={65536} required value={queues[of]} onInput={(event) => setQueues({ ...queues, [of]: event.currentTarget.valueAsNumber || 0 })} />
      )}
    </Field>
  );
  return (
    <Dialog title={topic ? `Change ${topic.name}` : "New topic"} onClose={props.onClose}>
      <form class="stack" onSubmit={submit}>
        {!topic && (
          <Field label="Name" hint="Letters, digits, and any of % | - _">
            {(id) => <input id={id} required maxLength={127} pattern="[%\|a-zA-Z0-9_\-]+" autocomplete="off" spellcheck={false} value={name} onInput={(event) => setName(event.currentTarget.value)} />}
          </Field>
        )}
        <div class="row">
          {number("Queues to read", "read")}
          {number("Queues to write", "write")}
          <Field label="Clients may">
            {(id) => (
              <select id={id} value={may} onChange={(event) => setMay(event.currentTarget.value)}>
                <option value="rw">read and write</option>
                <option value="r">only read</option>
                <option value="w">only write</option>
                <option value="none">do nothing</option>
              </select>
            )}
          </Field>
        </div>
        <label class="check">
          <input type="checkbox" checked={order} onChange={(event) => setOrder(event.currentTarget.checked)} />
          Keep order also while a broker is away
        </label>
        {problem && <Failure problem={problem} />}
        <div class="dialog-end">
          <button type="button" onClick={props.onClose}>Cancel</button>
          <button type="submit" class="primary" disabled={busy}>{topic ? "Change" : "Create"}</button>
        </div>
      </form>
    </Dialog>
  );
}
