// One group: how far behind each queue is and who reads it, its members, how they came and went, its dead letters.

import { useState } from "preact/hooks";
import { call, path } from "../api.ts";
import { count, short, span } from "../format.ts";
import { useAction, useLive } from "../live.ts";
import { link, type Route } from "../route.ts";
import type { Group, GroupLag, GroupSettings, Member, QueueLag, Rebalance } from "../types.ts";
import { Badge, Dialog, Empty, Failure, Field, Lag, Loaded, Page, Panel, Table, Tabs, Time } from "../ui.tsx";
import { GroupDeadLetters } from "./dead-letters.tsx";
import { kind, State } from "./groups.tsx";
import { Delete } from "./topic.tsx";

const TABS = ["Lag", "Members", "Rebalances", "Dead letters"] as const;

export function GroupPage({ name, route }: { name: string; route: Route }) {
  const group = useLive<Group>(path`/v1/groups/${name}`);
  const [dialog, setDialog] = useState<"change" | "delete">();
  const tab = route.query.get("tab") ?? TABS[0];
  const gone = group.problem?.status === 404 && tab !== "Dead letters";
  return (
    <Page
      of="Group"
      title={name}
      lead={
        group.data && (
          <p>
            <State group={group.data} /> {kind(group.data)}, <b>{short(group.data.getRate)}</b> out per second, lag{" "}
            <Lag lag={group.data.lag} seconds={group.data.lagSeconds} />
          </p>
        )
      }
      actions={
        <>
          <button type="button" disabled={!group.data} onClick={() => setDialog("change")}>Change</button>
          <button type="button" class="danger" disabled={!group.data} onClick={() => setDialog("delete")}>Delete</button>
        </>
      }
    >
      {group.problem && <Failure problem={group.problem} retry={group.refresh} />}
      {!gone && <Tabs label="Parts of the group" tabs={TABS.map((each) => ({ name: each, href: link(["groups", name], { tab: each }), current: tab === each }))} />}
      {!gone && tab === "Lag" && <Queues name={name} />}
      {!gone && tab === "Members" && <Members name={name} />}
      {!gone && tab === "Rebalances" && <Rebalances name={name} />}
      {!gone && tab === "Dead letters" && <GroupDeadLetters name={name} />}
      {dialog === "change" && group.data && <Change name={name} settings={group.data.settings} onClose={() => setDialog(undefined)} onDone={group.refresh} />}
      {dialog === "delete" && <Delete what="group" name={name} at={path`/v1/groups/${name}`} back={["groups"]} onClose={() => setDialog(undefined)} />}
    </Page>
  );
}

function Change(props: { name: string; settings: GroupSettings; onClose: () => void; onDone: () => void }) {
  const [settings, setSettings] = useState(props.settings);
  const { busy, problem, run } = useAction();
  const number = (label: string, of: "retryMax" | "retryQueues" | "consumeTimeoutMinutes", hint: string) => (
    <Field label={label} hint={hint}>
      {(id) => (
        <input id={id} type="number" required value={settings[of]} onInput={(event) => setSettings({ ...settings, [of]: event.currentTarget.valueAsNumber || 0 })} />
      )}
    </Field>
  );
  const check = (label: string, of: "consumeEnable" | "broadcastEnable" | "orderly") => (
    <label class="check">
      <input type="checkbox" checked={settings[of]} onChange={(event) => setSettings({ ...settings, [of]: event.currentTarget.checked })} />
      {label}
    </label>
  );
  return (
    <Dialog title={`Change ${props.name}`} onClose={props.onClose}>
      <form class="stack" onSubmit={(event) => {
        event.preventDefault();
        void run(async () => {
          await call("PUT", path`/v1/groups/${props.name}`, { body: settings });
          props.onDone();
          props.onClose();
        });
      }}>
        <div class="row">
          {number("Tries", "retryMax", "How often a message comes again before it is a dead letter; -1 for no end")}
          {number("Retry queues", "retryQueues", "0: messages never come again")}
          {number("Handlers' minutes", "consumeTimeoutMinutes", "After which clients give up on one")}
        </div>
        {check("Members may consume", "consumeEnable")}
        {check("Members may each get every message", "broadcastEnable")}
        {check("Leases are handed out in order", "orderly")}
        {problem && <Failure problem={problem} />}
        <div class="dialog-end">
          <button type="button" onClick={props.onClose}>Cancel</button>
          <button type="submit" class="primary" disabled={busy}>Change</button>
        </div>
      </form>
    </Dialog>
  );
}

function Queues({ name }: { name: string }) {
  const lag = useLive<GroupLag>(path`/v1/groups/${name}/lag`, 3_000);
  const [reset, setReset] = useState<string>();
  return (
    <Loaded live={lag}>
      {(data) =>
        data.topics.length === 0 ? (
          <Panel><Empty title="This group has committed nothing yet">Its place in a topic is known from its first commit.</Empty></Panel>
        ) : (
          <>
            {data.topics.map((topic) => (
              <Panel
                key={topic.topic}
                title={topic.topic}
                aside={
                  <span class="panel-end">
                    <Lag lag={topic.lag} seconds={topic.lagSeconds} />
                    <button type="button" onClick={() => setReset(topic.topic)}>Reset<span class="hidden"> offsets of {topic.topic}</span></button>
                  </span>
                }
              >
                <Table
                  label={`Queues of ${topic.topic}`}
                  rows={topic.queues}
                  rowKey={(queue) => queue.queueId}
                  start={{ column: 0 }}
                  empty={<Empty title="No queues" />}
                  columns={[
                    { label: "Queue", sort: (queue) => queue.queueId, cell: (queue) => queue.queueId },
                    // Only of some groups does the broker know who reads which queue.
                    ...(topic.queues.some((queue) => queue.clientId)
                      ? [{ label: "Read by", wide: true, sort: (queue: QueueLag) => queue.clientId, cell: (queue: QueueLag) => <code>{queue.clientId ?? "–"}</code> }]
                      : []),
                    { label: "Committed", numeric: true, cell: (queue) => count(queue.committed) },
                    { label: "End", numeric: true, wide: true, cell: (queue) => count(queue.end) },
                    { label: "Lag", numeric: true, sort: (queue) => queue.lag, cell: (queue) => <Lag lag={queue.lag} /> },
                    { label: "Behind by", numeric: true, sort: (queue) => queue.lagSeconds ?? 0, cell: (queue) => (queue.lag > 0 ? span(queue.lagSeconds) : "–") },
                  ]}
                />
              </Panel>
            ))}
            {reset !== undefined && <Reset group={name} topic={reset} onClose={() => setReset(undefined)} onDone={lag.refresh} />}
          </>
        )
      }
    </Loaded>
  );
}

interface Moved {
  queues: { queueId: number; from: number; to: number }[];
}

/** Moves a group's place in a topic, having shown first where that leads. */
function Reset(props: { group: string; topic: string; onClose: () => void; onDone: () => void }) {
  const [to, setTo] = useState<"first" | "last" | "time">("last");
  const [at, setAt] = useState("");
  const [plan, setPlan] = useState<Moved>();
  const { busy, problem, run } = useAction();
  const target = to === "time" ? new Date(at || Date.now()).toISOString() : to;
  const ask = (dryRun: boolean): Promise<Moved> =>
    call("POST", path`/v1/groups/${props.group}/offsets/reset`, { body: { topic: props.topic, to: target, dryRun } });
  return (
    <Dialog title={`Reset ${props.group} in ${props.topic}`} onClose={props.onClose}>
      <form class="stack" onSubmit={(event) => {
        event.preventDefault();
        void run(async () => {
          if (!plan) return setPlan(await ask(true));
          await ask(false);
          props.onDone();
          props.onClose();
        });
      }}>
        <Field label="Continue at">
          {(id) => (
            <select id={id} value={to} onChange={(event) => {
              setTo(event.currentTarget.value as typeof to);
              setPlan(undefined);
            }}>
              <option value="last">the end: skip all that was not read</option>
              <option value="first">the first message that is there</option>
              <option value="time">the first message stored after a time</option>
            </select>
          )}
        </Field>
        {to === "time" && (
          <Field label="Time">
            {(id) => <input id={id} type="datetime-local" step="1" required value={at} onInput={(event) => {
              setAt(event.currentTarget.value);
              setPlan(undefined);
            }} />}
          </Field>
        )}
        {problem && <Failure problem={problem} />}
        {plan && (
          <Table
            label="What will change"
            rows={plan.queues}
            rowKey={(queue) => queue.queueId}
            empty={<Empty title="Nothing would change" />}
            columns={[
              { label: "Queue", cell: (queue) => queue.queueId },
              { label: "From", numeric: true, cell: (queue) => count(queue.from) },
              { label: "To", numeric: true, cell: (queue) => count(queue.to) },
              { label: "Moves", numeric: true, cell: (queue) => `${queue.to > queue.from ? "+" : ""}${count(queue.to - queue.from)}` },
            ]}
          />
        )}
        <div class="dialog-end">
          <button type="button" onClick={props.onClose}>Cancel</button>
          <button type="submit" class={plan ? "danger" : "primary"} disabled={busy}>{plan ? "Reset now" : "Show what would change"}</button>
        </div>
      </form>
    </Dialog>
  );
}

function Members({ name }: { name: string }) {
  const members = useLive<{ members: Member[] }>(path`/v1/groups/${name}/members`, 3_000);
  return (
    <Panel>
      <Loaded live={members}>
        {(data) => (
          <Table
            label="Members"
            rows={data.members}
            rowKey={(member) => `${member.clientId} ${member.address}`}
            start={{ column: 0 }}
            empty={<Empty title="Nobody is online">The group keeps its place until a consumer returns.</Empty>}
            columns={[
              { label: "Client", sort: (member) => member.clientId, cell: (member) => <code>{member.clientId}</code> },
              { label: "Protocol", sort: (member) => member.protocol, cell: (member) => <Badge>{member.protocol}</Badge> },
              { label: "Address", wide: true, cell: (member) => <code>{member.address}</code> },
              { label: "Software", wide: true, cell: (member) => [member.language, member.version].filter(Boolean).join(" ") || "–" },
              {
                label: "Subscriptions",
                cell: (member) => member.subscriptions.map((each) => <div class="nowrap"><a href={link(["topics", each.topic])}>{each.topic}</a> <code>{each.expression}</code></div>),
              },
              { label: "Since", wide: true, sort: (member) => member.connectedAt, cell: (member) => <Time at={member.connectedAt} /> },
            ]}
          />
        )}
      </Loaded>
    </Panel>
  );
}

function Rebalances({ name }: { name: string }) {
  const rebalances = useLive<{ rebalances: Rebalance[] }>(path`/v1/groups/${name}/rebalances`);
  return (
    <Panel>
      <Loaded live={rebalances}>
        {(data) =>
          data.rebalances.length === 0 ? (
            <Empty title="No member came or went since the server started" />
          ) : (
            <ol class="history">
              {data.rebalances.map((each) => (
                <li key={each.at}>
                  <Time at={each.at} />
                  <div>
                    {each.joined.map((client) => <div><Badge tone="good">joined</Badge> <code>{client}</code></div>)}
                    {each.left.map((client) => <div><Badge tone="bad">left</Badge> <code>{client}</code></div>)}
                    <p class="fine">{count(each.members.length)} in the group then</p>
                  </div>
                </li>
              ))}
            </ol>
          )
        }
      </Loaded>
    </Panel>
  );
}
