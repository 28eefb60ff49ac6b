// All consumer groups and how far behind they are.

import { useState } from "preact/hooks";
import { count, short } from "../format.ts";
import { useLive } from "../live.ts";
import { link } from "../route.ts";
import type { Group } from "../types.ts";
import { Badge, Empty, Filter, Found, Lag, Loaded, Page, Panel, Table } from "../ui.tsx";

export function Groups() {
  const [system, setSystem] = useState(false);
  const [filter, setFilter] = useState("");
  const groups = useLive<{ groups: Group[] }>(`/v1/groups?max=10000&system=${system}`);
  const wanted = filter.toLowerCase();
  const found = groups.data?.groups.filter((group) => [group.name, ...group.topics].some((name) => name.toLowerCase().includes(wanted))) ?? [];
  return (
    <Page title="Groups">
      <div class="tools">
        <Filter label="Filter by group or topic" value={filter} onInput={setFilter} />
        <label class="check">
          <input type="checkbox" checked={system} onChange={(event) => setSystem(event.currentTarget.checked)} />
          Show system groups
        </label>
        {groups.data && <Found shown={found.length} all={groups.data.groups.length} one="group" />}
      </div>
      <Panel>
        <Loaded live={groups}>
          {(data) => (
            <Table
              label="Groups"
              rows={found}
              rowKey={(group) => group.name}
              start={{ column: 0 }}
              empty={
                data.groups.length === 0 ? (
                  <Empty title="No groups yet">A group exists from when its first consumer starts.</Empty>
                ) : (
                  <Empty title={`No group has “${filter}” in its name or topics`} />
                )
              }
              columns={[
                { label: "Group", sort: (group) => group.name, cell: (group) => <a href={link(["groups", group.name])}>{group.name}</a> },
                { label: "State", sort: (group) => group.members, cell: (group) => <State group={group} /> },
                { label: "Topics", wide: true, cell: (group) => <TopicList names={group.topics} /> },
                { label: "Reads by", wide: true, sort: (group) => group.consumeType, cell: (group) => kind(group) },
                { label: "Out/s", numeric: true, sort: (group) => group.getRate, cell: (group) => short(group.getRate) },
                { label: "Lag", numeric: true, sort: (group) => group.lag, cell: (group) => <Lag lag={group.lag} seconds={group.lagSeconds} /> },
              ]}
            />
          )}
        </Loaded>
      </Panel>
    </Page>
  );
}

export function State({ group }: { group: Group }) {
  return group.online ? <Badge tone="good">{count(group.members)} online</Badge> : <Badge tone="wait">offline</Badge>;
}

export function kind(group: Group): string {
  const said = [group.consumeType, group.messageModel].filter(Boolean).map((word) => String(word).toLowerCase());
  return said.join(", ") || "–";
}

function TopicList({ names }: { names: string[] }) {
  const shown = names.slice(0, 3);
  return (
    <>
      {shown.map((name, n) => (
        <>
          {n > 0 && ", "}
          <a href={link(["topics", name])}>{name}</a>
        </>
      ))}
      {names.length > shown.length && <span class="fine"> and {names.length - shown.length} more</span>}
    </>
  );
}
