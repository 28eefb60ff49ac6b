// Messages that a group gave up on: which groups have any, and sending them to their topic again.

import { useState } from "preact/hooks";
import { call, path } from "../api.ts";
import { count, many } from "../format.ts";
import { useAction, useLive } from "../live.ts";
import { link } from "../route.ts";
import type { Message, Topic } from "../types.ts";
import { Empty, Failure, Loaded, Page, Panel, Table } from "../ui.tsx";
import { MessageTable, place } from "./message.tsx";

const PREFIX = "%DLQ%";

export function DeadLetters() {
  const topics = useLive<{ topics: Topic[] }>("/v1/topics?max=10000&system=true");
  return (
    <Page title="Dead letters" lead={<p>A message whose consumers failed as often as their group allows is set aside here, and kept as long as any other.</p>}>
      <Panel>
        <Loaded live={topics}>
          {(data) => (
            <Table
              label="Groups with dead letters"
              rows={data.topics.filter((topic) => topic.kind === "dlq" && topic.messages > 0)}
              rowKey={(topic) => topic.name}
              start={{ column: 1, descending: true }}
              empty={<Empty title="No dead letters">No group has given up on a message.</Empty>}
              columns={[
                {
                  label: "Group",
                  sort: group,
                  cell: (topic) => <a href={link(["groups", group(topic)], { tab: "Dead letters" })}>{group(topic)}</a>,
                },
                { label: "Messages", numeric: true, sort: (topic) => topic.messages, cell: (topic) => count(topic.messages) },
                { label: "Kept in", wide: true, cell: (topic) => <a href={link(["topics", topic.name])}>{topic.name}</a> },
              ]}
            />
          )}
        </Loaded>
      </Panel>
    </Page>
  );
}

function group(topic: Topic): string {
  return topic.name.startsWith(PREFIX) ? topic.name.slice(PREFIX.length) : topic.name;
}

interface Resent {
  results: { messageId?: string; error?: { title: string; detail?: string } }[];
}

/** A group's dead letters, which can be chosen and sent again. */
export function GroupDeadLetters({ name }: { name: string }) {
  const letters = useLive<{ topic: string; messages: Message[] }>(`${path`/v1/groups/${name}/dead-letters`}?max=128`);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [done, setDone] = useState<Resent>();
  const { busy, problem, run } = useAction();

  const toggle = (key: string): void => {
    const next = new Set(chosen);
    if (!next.delete(key)) next.add(key);
    setChosen(next);
  };
  const resend = (messages: Message[]): void => {
    setDone(undefined);
    void run(async () => {
      const of = messages.map(({ queueId, queueOffset }) => ({ queueId, queueOffset }));
      setDone(await call<Resent>("POST", path`/v1/groups/${name}/dead-letters/resend`, { body: { messages: of } }));
      setChosen(new Set());
      letters.refresh();
    });
  };
  const failed = done?.results.filter((result) => result.error) ?? [];
  return (
    <Panel>
      <Loaded live={letters}>
        {(data) => {
          const of = data.messages.filter((message) => chosen.has(place(message)));
          return (
            <>
              {data.messages.length > 0 && (
                <div class="tools pad">
                  <button type="button" class="primary" disabled={busy || of.length === 0} onClick={() => resend(of)}>
                    {busy ? "Sending…" : of.length === 0 ? "Send again" : `Send ${many(of.length, "message")} again`}
                  </button>
                  <button type="button" onClick={() => setChosen(of.length === data.messages.length ? new Set() : new Set(data.messages.map(place)))}>
                    {of.length === data.messages.length ? "Choose none" : "Choose all"}
                  </button>
                  <span class="fine">To the topic that they came from, for this group and all others that read it. The dead letter stays.</span>
                </div>
              )}
              {problem && <Failure problem={problem} />}
              {done && (
                <div class={failed.length ? "note bad" : "note good"} role="status">
                  <div>
                    <strong>{many(done.results.length - failed.length, "message")} sent again{failed.length > 0 && `, ${count(failed.length)} not`}</strong>
                    {failed.slice(0, 3).map((result) => <p>{result.error?.detail ?? result.error?.title}</p>)}
                  </div>
                </div>
              )}
              <MessageTable
                messages={data.messages}
                empty={<Empty title="No dead letters">This group has not given up on a message.</Empty>}
                first={{
                  label: "Chosen",
                  unlabelled: true,
                  cell: (message) => (
                    <input
                      type="checkbox"
                      aria-label={`Choose message ${message.messageId}`}
                      checked={chosen.has(place(message))}
                      onChange={() => toggle(place(message))}
                    />
                  ),
                }}
              />
            </>
          );
        }}
      </Loaded>
    </Panel>
  );
}
