// The cluster at a glance: what flows now and flowed in the last minutes, how fast, who is behind.

import { useMemo } from "preact/hooks";
import { BYTE_STEPS, Chart } from "../chart.tsx";
import { bytes, count, many, short, since, span } from "../format.ts";
import { useLive } from "../live.ts";
import { link } from "../route.ts";
import type { Broker, Group, Overview, Topic } from "../types.ts";
import { Badge, Empty, Failure, Lag, Loaded, Page, Panel, Table } from "../ui.tsx";

const LIVE = 2_000;
const TOP = 8;

export function OverviewPage() {
  const overview = useLive<Overview>("/v1/overview", LIVE);
  const now = overview.data;
  return (
    <Page
      title={now?.cluster ?? "Overview"}
      lead={
        now && (
          <p>
            Broker <b>{now.name}</b>, FerroMQ {now.version}, up {span(since(now.startedAt, Date.parse(now.now)))}, flush{" "}
            <b>{now.flush}</b>, {bytes(now.memory)} of memory
          </p>
        )
      }
    >
      <Loaded live={overview}>{(data) => <Figures of={data} />}</Loaded>
      <div class="two">
        <Behind />
        <Busiest />
      </div>
      <Brokers />
    </Page>
  );
}

function Figures({ of }: { of: Overview }) {
  const history = of.history;
  const times = useMemo(() => history.map((sample) => Date.parse(sample.at) / 1_000), [history]);
  const rates = useMemo(
    () => [
      { label: "in", color: "--in", values: history.map((sample) => sample.put) },
      { label: "out", color: "--out", values: history.map((sample) => sample.get) },
    ],
    [history],
  );
  const volume = useMemo(
    () => [
      { label: "in", color: "--in", values: history.map((sample) => sample.putBytes) },
      { label: "out", color: "--out", values: history.map((sample) => sample.getBytes) },
    ],
    [history],
  );
  const latency = useMemo(
    () => [
      { label: "p50", color: "--out", values: history.map((sample) => sample.p50 ?? null) },
      { label: "p99", color: "--in", values: history.map((sample) => sample.p99 ?? null) },
    ],
    [history],
  );
  const connections = Object.entries(of.connections);
  const all = connections.reduce((sum, [, n]) => sum + n, 0);
  const used = of.disk.total > 0 ? (100 * of.disk.used) / of.disk.total : 0;
  return (
    <>
      <dl class="figures">
        <Figure label="Messages in" value={short(of.rates.putPerSecond)} unit="/s" more={`${bytes(of.rates.putBytesPerSecond)}/s`} id="put" />
        <Figure label="Messages out" value={short(of.rates.getPerSecond)} unit="/s" more={`${bytes(of.rates.getBytesPerSecond)}/s`} id="get" />
        <Figure label="Send latency" value={span(of.latency.put.p99)} unit="p99" more={`${span(of.latency.put.p50)} p50`} id="latency" />
        <Figure label="Lag" value={short(of.lag)} unit="messages" more={`${many(of.groups, "group")}, ${many(of.topics, "topic")}`} id="lag" />
        <Figure label="Connections" value={short(all)} unit="" more={connections.map(([protocol, n]) => `${count(n)} ${protocol}`).join(", ")} id="connections" />
        <Figure
          label="Disk"
          value={`${used.toFixed(used < 10 ? 1 : 0)} %`}
          unit={`of ${bytes(of.disk.total)}`}
          more={`log ${bytes(of.disk.log)}`}
          id="disk"
          alarm={used >= 85}
        />
      </dl>
      {history.length < 2 ? (
        <Empty title="The charts start when the server has run for a few seconds" />
      ) : (
        <div class="charts">
          <Chart title="Messages per second" times={times} series={rates} format={short} />
          <Chart title="Bytes per second" times={times} series={volume} format={bytes} steps={BYTE_STEPS} />
          <Chart title="Send latency" times={times} series={latency} format={span} />
        </div>
      )}
    </>
  );
}

function Figure(props: { label: string; value: string; unit: string; more: string; id: string; alarm?: boolean }) {
  return (
    <div class={props.alarm ? "figure alarm" : "figure"} data-figure={props.id}>
      <dt>{props.label}</dt>
      <dd>
        <b>{props.value}</b> <span class="unit">{props.unit}</span>
        <span class="more">{props.more}</span>
      </dd>
    </div>
  );
}

function Behind() {
  const groups = useLive<{ groups: Group[] }>("/v1/groups?max=10000");
  return (
    <Panel title="Furthest behind" aside={<a href={link(["groups"])}>All groups</a>}>
      <Loaded live={groups}>
        {(data) => {
          const behind = data.groups.filter((group) => group.lag > 0).sort((a, b) => b.lag - a.lag).slice(0, TOP);
          return (
            <Table
              label="Groups furthest behind"
              rows={behind}
              rowKey={(group) => group.name}
              empty={
                data.groups.length === 0 ? (
                  <Empty title="No groups yet">A group exists from when its first consumer starts.</Empty>
                ) : (
                  <Empty title="Nobody is behind">Every group has read all there is for it.</Empty>
                )
              }
              columns={[
                { label: "Group", cell: (group) => <a href={link(["groups", group.name])}>{group.name}</a> },
                { label: "State", cell: (group) => (group.online ? <Badge tone="good">{many(group.members, "member")}</Badge> : <Badge tone="wait">offline</Badge>) },
                { label: "Lag", numeric: true, cell: (group) => <Lag lag={group.lag} seconds={group.lagSeconds} /> },
                { label: "Out/s", numeric: true, cell: (group) => short(group.getRate) },
              ]}
            />
          );
        }}
      </Loaded>
    </Panel>
  );
}

function Busiest() {
  const topics = useLive<{ topics: Topic[] }>("/v1/topics?max=10000");
  return (
    <Panel title="Busiest topics" aside={<a href={link(["topics"])}>All topics</a>}>
      <Loaded live={topics}>
        {(data) => (
          <Table
            label="Busiest topics"
            rows={[...data.topics].sort((a, b) => b.putRate - a.putRate || b.messages - a.messages).slice(0, TOP)}
            rowKey={(topic) => topic.name}
            empty={<Empty title="No topics yet">Create one under <a href={link(["topics"])}>Topics</a>.</Empty>}
            columns={[
              { label: "Topic", cell: (topic) => <a href={link(["topics", topic.name])}>{topic.name}</a> },
              { label: "Messages", numeric: true, cell: (topic) => count(topic.messages) },
              { label: "Groups", numeric: true, wide: true, cell: (topic) => count(topic.groups) },
              { label: "In/s", numeric: true, cell: (topic) => short(topic.putRate) },
            ]}
          />
        )}
      </Loaded>
    </Panel>
  );
}

function Brokers() {
  const brokers = useLive<{ brokers: Broker[]; missing?: string }>("/v1/brokers", 10_000);
  if (brokers.problem && !brokers.data) return <Failure problem={brokers.problem} retry={brokers.refresh} />;
  if (!brokers.data) return null;
  return (
    <Panel title="Brokers">
      {brokers.data.missing && <p class="note bad" role="status"><span>Others are not shown: {brokers.data.missing}</span></p>}
      <Table
        label="Brokers"
        rows={brokers.data.brokers}
        rowKey={(broker) => `${broker.name} ${broker.id}`}
        empty={<Empty title="No NameServer names a broker" />}
        columns={[
          { label: "Broker", cell: (broker) => <>{broker.name} {broker.self && <Badge tone="accent">this one</Badge>}</> },
          { label: "Role", cell: (broker) => (broker.id === 0 ? "master" : `replica ${broker.id}`) },
          { label: "Cluster", wide: true, cell: (broker) => broker.cluster },
          { label: "Address", cell: (broker) => <code>{broker.address}</code> },
          { label: "Version", wide: true, cell: (broker) => broker.version ?? "–" },
        ]}
      />
    </Panel>
  );
}
