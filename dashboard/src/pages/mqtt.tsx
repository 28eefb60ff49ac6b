// MQTT: its clients and their sessions, groups of shared subscriptions, retained messages.

import { useState } from "preact/hooks";
import { call, path, withQuery } from "../api.ts";
import { bytes, count, span } from "../format.ts";
import { useAction, useLive } from "../live.ts";
import { link, type Route } from "../route.ts";
import type { MqttClient, MqttClientDetail, MqttOverview, MqttSharedGroup, MqttSubscription, RetainedTopic } from "../types.ts";
import { Badge, Dialog, Empty, Failure, Filter, Lag, Loaded, Page, Panel, Table, Tabs, Time } from "../ui.tsx";

const TABS = ["Clients", "Shared", "Retained"] as const;
/** As many of a list as a page shows: who looks for others says how they begin. */
const MOST = 500;

export function Mqtt({ route }: { route: Route }) {
  const tab = route.query.get("tab") ?? TABS[0];
  const overview = useLive<MqttOverview>("/v1/mqtt", 3_000);
  const of = overview.data;
  const off = overview.problem?.code === "not-enabled";
  return (
    <Page
      title="MQTT"
      lead={
        of && (
          <p>
            <b>{count(of.connected)}</b> connected, <b>{count(of.kept)}</b> kept, <b>{count(of.subscriptions)}</b> subscriptions to{" "}
            {count(of.filters)} filters, <b>{count(of.dropped)}</b> messages dropped
          </p>
        )
      }
    >
      {off ? (
        <Panel><Empty title="This server speaks no MQTT">Set mqttPort, and start it again.</Empty></Panel>
      ) : (
        <>
          <Tabs label="Parts of MQTT" tabs={TABS.map((each) => ({ name: each, href: link(["mqtt"], { tab: each }), current: tab === each }))} />
          {tab === "Clients" && <MqttClients />}
          {tab === "Shared" && <Shared />}
          {tab === "Retained" && <RetainedMessages />}
        </>
      )}
    </Page>
  );
}

function MqttClients() {
  const [prefix, setPrefix] = useState("");
  const clients = useLive<{ clients: MqttClient[]; next?: string }>(withQuery("/v1/mqtt/clients", { prefix, max: MOST }), 3_000);
  return (
    <>
      <div class="tools">
        <Filter label="Clients that begin with" value={prefix} onInput={setPrefix} />
        {clients.data?.next !== undefined && <span class="fine" role="status">the first {count(MOST)}</span>}
      </div>
      <Panel>
        <Loaded live={clients}>
          {(data) => (
            <Table
              label="MQTT clients"
              rows={data.clients}
              rowKey={(client) => client.clientId}
              empty={<Empty title={prefix ? `No client's name begins with “${prefix}”` : "No client has a session"} />}
              columns={[
                { label: "Client", sort: (client) => client.clientId, cell: (client) => <a href={link(["mqtt", client.clientId])}>{client.clientId}</a> },
                { label: "State", sort: (client) => Number(client.connected), cell: (client) => <Presence client={client} /> },
                { label: "Version", wide: true, sort: (client) => client.version, cell: (client) => client.version },
                { label: "User", wide: true, sort: (client) => client.user, cell: (client) => client.user ?? "–" },
                { label: "Address", wide: true, sort: (client) => client.address, cell: (client) => (client.address ? <code>{client.address}</code> : "–") },
                { label: "Since", wide: true, sort: (client) => client.since, cell: (client) => <Time at={client.since} /> },
                { label: "Session", cell: (client) => lasts(client) },
              ]}
            />
          )}
        </Loaded>
      </Panel>
    </>
  );
}

function Presence({ client }: { client: MqttClient }) {
  return client.connected ? <Badge tone="good">connected</Badge> : <Badge tone="wait">away</Badge>;
}

/** How long a client's session stays without it. */
function lasts(client: MqttClient): string {
  if (client.expirySeconds == null) return "for ever";
  return client.expirySeconds === 0 ? "ends with its connection" : span(client.expirySeconds);
}

export function MqttClientPage({ name }: { name: string }) {
  const client = useLive<MqttClientDetail>(path`/v1/mqtt/clients/${name}`, 3_000);
  const [dialog, setDialog] = useState<"kick" | "purge">();
  const of = client.data;
  return (
    <Page
      of="MQTT client"
      title={name}
      lead={
        of && (
          <p>
            <Presence client={of} /> {of.version}
            {of.user !== undefined && <>, user <b>{of.user}</b></>}
            {of.address !== undefined && <>, from <code>{of.address}</code></>}, since <Time at={of.since} />; session: {lasts(of)}
            {of.endsAt !== undefined && <>, until <Time at={of.endsAt} /></>}
          </p>
        )
      }
      actions={
        <>
          <button type="button" disabled={!of?.connected} onClick={() => setDialog("kick")}>Disconnect</button>
          <button type="button" class="danger" disabled={!of} onClick={() => setDialog("purge")}>Purge</button>
        </>
      }
    >
      <Loaded live={client}>{(data) => <Session of={data} />}</Loaded>
      {dialog === "kick" && (
        <Confirm title={`Disconnect ${name}`} does="Disconnect" at={path`/v1/mqtt/clients/${name}/connection`} onClose={() => setDialog(undefined)} onDone={client.refresh}>
          Its session stays as long as it would if the network failed, and its will is published. It may connect again.
        </Confirm>
      )}
      {dialog === "purge" && (
        <Confirm title={`Purge ${name}`} does="Purge" danger at={path`/v1/mqtt/clients/${name}`} onClose={() => setDialog(undefined)} onDone={() => { location.hash = link(["mqtt"]); }}>
          Its connection and its session end: its subscriptions, and all that waits for it, are gone for good. Its will is published.
        </Confirm>
      )}
    </Page>
  );
}

function Session({ of }: { of: MqttClientDetail }) {
  const session = of.session;
  if (!session) return <Panel><Empty title="Its connection is too busy to say how it stands" /></Panel>;
  return (
    <>
      <Panel title="On its way">
        <Table
          label="On its way"
          rows={[
            ["Messages that wait for it", count(session.queued)],
            ["Sent, and not acknowledged by it", count(session.inflightOut)],
            ["Received, and not acknowledged to it", count(session.inflightIn)],
            ["Retained messages still to be sent", count(session.retainedWaiting)],
            ["Bytes that wait for its connection", bytes(session.unwrittenBytes)],
            ["Dropped on this connection", count(session.dropped)],
          ]}
          rowKey={([what = ""]) => what}
          empty={null}
          columns={[
            { label: "What", cell: ([what]) => what },
            { label: "Now", numeric: true, cell: ([, now]) => now },
          ]}
        />
      </Panel>
      <Panel title="Subscriptions">
        <Table
          label="Subscriptions"
          rows={session.subscriptions}
          rowKey={(one) => one.filter}
          start={{ column: 0 }}
          empty={<Empty title="It has no subscriptions" />}
          columns={[
            { label: "Filter", sort: (one) => one.filter, cell: (one) => <code>{one.filter}</code> },
            { label: "QoS", numeric: true, sort: (one) => one.qos, cell: (one) => one.qos },
            { label: "Options", wide: true, cell: (one) => options(one) },
            { label: "Lag", numeric: true, sort: (one) => one.lag, cell: (one) => <Lag lag={one.lag} /> },
          ]}
        />
      </Panel>
    </>
  );
}

function options(one: MqttSubscription): string {
  const said = [one.shared && "shared", one.noLocal && "no local", one.retainAsPublished && "retain as published", one.identifier !== undefined && `identifier ${one.identifier}`];
  return said.filter(Boolean).join(", ") || "–";
}

function Shared() {
  const groups = useLive<{ groups: MqttSharedGroup[] }>(`/v1/mqtt/shared?max=${MOST}`, 3_000);
  return (
    <Panel>
      <Loaded live={groups}>
        {(data) => (
          <Table
            label="Shared subscriptions"
            rows={data.groups}
            rowKey={(group) => `${group.group}/${group.filter}`}
            empty={<Empty title="No subscription is shared">Clients share one by subscribing to $share/GROUP/FILTER.</Empty>}
            columns={[
              { label: "Group", sort: (group) => group.group, cell: (group) => group.group },
              { label: "Filter", sort: (group) => group.filter, cell: (group) => <code>{group.filter}</code> },
              { label: "Members", cell: (group) => group.members.map((member) => <div key={member}><a href={link(["mqtt", member])}>{member}</a></div>) },
              { label: "Away", numeric: true, sort: (group) => group.membersAway, cell: (group) => count(group.membersAway) },
              { label: "Lag", numeric: true, sort: (group) => group.lag, cell: (group) => <Lag lag={group.lag} /> },
            ]}
          />
        )}
      </Loaded>
    </Panel>
  );
}

function RetainedMessages() {
  const [prefix, setPrefix] = useState("");
  const [forgetting, setForgetting] = useState<string>();
  const retained = useLive<{ retained: RetainedTopic[]; next?: string }>(withQuery("/v1/mqtt/retained", { prefix, max: MOST }));
  return (
    <>
      <div class="tools">
        <Filter label="Topics that begin with" value={prefix} onInput={setPrefix} />
        {retained.data?.next !== undefined && <span class="fine" role="status">the first {count(MOST)}</span>}
      </div>
      <Panel>
        <Loaded live={retained}>
          {(data) => (
            <Table
              label="Retained messages"
              rows={data.retained}
              rowKey={(one) => one.topic}
              empty={<Empty title={prefix ? `No topic with a retained message begins with “${prefix}”` : "No message is retained"} />}
              columns={[
                { label: "Topic", sort: (one) => one.topic, cell: (one) => <code>{one.topic}</code> },
                { label: "QoS", numeric: true, wide: true, sort: (one) => one.qos, cell: (one) => one.qos },
                { label: "Size", numeric: true, sort: (one) => one.size, cell: (one) => bytes(one.size) },
                { label: "Published", wide: true, sort: (one) => one.storedAt, cell: (one) => <Time at={one.storedAt} /> },
                { label: "Expires", wide: true, sort: (one) => one.expiresAt, cell: (one) => <Time at={one.expiresAt} /> },
                { label: "Actions", unlabelled: true, cell: (one) => <button type="button" class="small" onClick={() => setForgetting(one.topic)}>Forget<span class="hidden"> the message of {one.topic}</span></button> },
              ]}
            />
          )}
        </Loaded>
      </Panel>
      {forgetting !== undefined && (
        <Confirm title={`Forget the retained message of ${forgetting}`} does="Forget" danger at={path`/v1/mqtt/retained/${forgetting}`} onClose={() => setForgetting(undefined)} onDone={retained.refresh}>
          Who subscribes from now on does not get it. The message stays in the topic that it was published to.
        </Confirm>
      )}
    </>
  );
}

/** Asks once more before something ends. */
function Confirm(props: { title: string; does: string; danger?: boolean; at: string; onClose: () => void; onDone: () => void; children: string }) {
  const { busy, problem, run } = useAction();
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      <form class="stack" onSubmit={(event) => {
        event.preventDefault();
        void run(async () => {
          await call("DELETE", props.at);
          props.onDone();
          props.onClose();
        });
      }}>
        <p>{props.children}</p>
        {problem && <Failure problem={problem} />}
        <div class="dialog-end">
          <button type="button" onClick={props.onClose}>Cancel</button>
          <button type="submit" class={props.danger ? "danger" : "primary"} disabled={busy}>{props.does}</button>
        </div>
      </form>
    </Dialog>
  );
}
