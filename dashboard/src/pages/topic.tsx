// One topic: its queues, who reads it and how far behind they are, its latest messages.

import { useState } from "preact/hooks";
import { call, path } from "../api.ts";
import { count, short } from "../format.ts";
import { useAction, useLive } from "../live.ts";
import { link, type Route } from "../route.ts";
import type { GroupLag, Message, Queue, Topic } from "../types.ts";
import { Badge, Dialog, Empty, Failure, Field, Lag, Loaded, Page, Panel, Table, Tabs, Time } from "../ui.tsx";
import { MessageTable } from "./message.tsx";
import { Send } from "./send.tsx";
import { permission, TopicForm } from "./topics.tsx";

const TABS = ["Queues", "Groups", "Messages"] as const;

export function TopicPage({ name, route }: { name: string; route: Route }) {
  const topic = useLive<Topic>(path`/v1/topics/${name}`);
  const [dialog, setDialog] = useState<"send" | "change" | "delete">();
  const tab = route.query.get("tab") ?? TABS[0];
  const close = (): void => setDialog(undefined);
  const gone = topic.problem?.status === 404;
  return (
    <Page
      of="Topic"
      title={name}
      lead={
        topic.data && (
          <p>
            {topic.data.kind !== "user" && <><Badge>{topic.data.kind}</Badge> </>}
            <b>{count(topic.data.messages)}</b> messages, <b>{short(topic.data.putRate)}</b> in per second, clients may{" "}
            {permission(topic.data.permission)}
          </p>
        )
      }
      actions={
        <>
          <button type="button" class="primary" disabled={!topic.data} onClick={() => setDialog("send")}>Send a message</button>
          <button type="button" disabled={!topic.data} onClick={() => setDialog("change")}>Change</button>
          <button type="button" class="danger" disabled={topic.data?.kind !== "user"} onClick={() => setDialog("delete")}>Delete</button>
        </>
      }
    >
      {topic.problem && <Failure problem={topic.problem} retry={topic.refresh} />}
      {!gone && <Tabs label="Parts of the topic" tabs={TABS.map((each) => ({ name: each, href: link(["topics", name], { tab: each }), current: tab === each }))} />}
      {!gone && tab === "Queues" && <Queues name={name} />}
      {!gone && tab === "Groups" && <Readers name={name} />}
      {!gone && tab === "Messages" && <Latest name={name} />}
      {dialog === "send" && <Send topic={name} onClose={close} />}
      {dialog === "change" && topic.data && (
        <TopicForm topic={topic.data} onClose={close} onDone={() => {
          close();
          topic.refresh();
        }} />
      )}
      {dialog === "delete" && <Delete what="topic" name={name} at={path`/v1/topics/${name}`} back={["topics"]} onClose={close} />}
    </Page>
  );
}

function Queues({ name }: { name: string }) {
  const queues = useLive<{ queues: Queue[] }>(path`/v1/topics/${name}/queues`);
  return (
    <Panel>
      <Loaded live={queues}>
        {(data) => (
          <Table
            label="Queues"
            rows={data.queues}
            rowKey={(queue) => queue.queueId}
            start={{ column: 0 }}
            empty={<Empty title="This topic has no queues" />}
            columns={[
              { label: "Queue", sort: (queue) => queue.queueId, cell: (queue) => queue.queueId },
              { label: "First offset", numeric: true, wide: true, cell: (queue) => count(queue.minOffset) },
              { label: "Next offset", numeric: true, cell: (queue) => count(queue.maxOffset) },
              { label: "Messages", numeric: true, sort: (queue) => queue.maxOffset - queue.minOffset, cell: (queue) => count(queue.maxOffset - queue.minOffset) },
              { label: "Last stored", sort: (queue) => queue.lastStoredAt, cell: (queue) => <Time at={queue.lastStoredAt} /> },
              {
                label: "Read",
                cell: (queue) =>
                  queue.maxOffset > queue.minOffset && (
                    <a href={link(["messages"], { topic: name, by: "offset", queue: queue.queueId, offset: Math.max(queue.minOffset, queue.maxOffset - 32) })}>
                      latest<span class="hidden"> messages of queue {queue.queueId}</span>
                    </a>
                  ),
              },
            ]}
          />
        )}
      </Loaded>
    </Panel>
  );
}

function Readers({ name }: { name: string }) {
  const groups = useLive<{ groups: string[] }>(path`/v1/topics/${name}/groups`);
  return (
    <Panel>
      <Loaded live={groups}>
        {(data) =>
          data.groups.length === 0 ? (
            <Empty title="No group reads this topic">A group appears when its first consumer subscribes.</Empty>
          ) : (
            <div class="scroll" role="region" aria-label="Groups that read this topic" tabIndex={0}>
              <table>
                <thead>
                  <tr>
                    <th scope="col">Group</th>
                    <th scope="col" class="number">Lag</th>
                    <th scope="col">By queue</th>
                  </tr>
                </thead>
                <tbody>{[...data.groups].sort().map((group) => <Reader key={group} group={group} topic={name} />)}</tbody>
              </table>
            </div>
          )
        }
      </Loaded>
    </Panel>
  );
}

function Reader({ group, topic }: { group: string; topic: string }) {
  const lag = useLive<GroupLag>(path`/v1/groups/${group}/lag`);
  const here = lag.data?.topics.find((each) => each.topic === topic);
  return (
    <tr>
      <td><a href={link(["groups", group])}>{group}</a></td>
      <td class="number">{here ? <Lag lag={here.lag} seconds={here.lagSeconds} /> : lag.problem ? lag.problem.title : "–"}</td>
      <td>
        <span class="spread">
          {here?.queues.map((queue) => (
            <span key={queue.queueId} class={queue.lag > 0 ? "lag" : "quiet-text"} title={`queue ${queue.queueId}`}>{short(queue.lag)}</span>
          ))}
        </span>
      </td>
    </tr>
  );
}

function Latest({ name }: { name: string }) {
  const messages = useLive<{ messages: Message[] }>(`${path`/v1/topics/${name}/messages`}?max=32&body=none`);
  return (
    <Panel>
      <Loaded live={messages}>
        {(data) => (
          <MessageTable
            messages={data.messages}
            empty={<Empty title="Nothing was stored here yet">Send a message by the button above.</Empty>}
          />
        )}
      </Loaded>
    </Panel>
  );
}

/** Deletes a topic or group once its name was typed: there is no way back. */
export function Delete(props: { what: string; name: string; at: string; back: string[]; onClose: () => void }) {
  const [typed, setTyped] = useState("");
  const { busy, problem, run } = useAction();
  return (
    <Dialog title={`Delete ${props.what} ${props.name}?`} onClose={props.onClose}>
      <form class="stack" onSubmit={(event) => {
        event.preventDefault();
        void run(async () => {
          await call("DELETE", props.at);
          location.hash = link(props.back);
        });
      }}>
        <p>{props.what === "topic" ? "Its messages cannot be read any more, and groups lose their place in it." : "Its place in every topic is lost."} There is no way back.</p>
        <Field label={`Type ${props.name} to confirm`}>
          {(id) => <input id={id} autocomplete="off" spellcheck={false} value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />}
        </Field>
        {problem && <Failure problem={problem} />}
        <div class="dialog-end">
          <button type="button" onClick={props.onClose}>Cancel</button>
          <button type="submit" class="danger" disabled={busy || typed !== props.name}>Delete</button>
        </div>
      </form>
    </Dialog>
  );
}
