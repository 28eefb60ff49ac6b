// Who is connected, by protocol.

import { useState } from "preact/hooks";
import { count } from "../format.ts";
import { useLive } from "../live.ts";
import { link } from "../route.ts";
import type { Connection } from "../types.ts";
import { Badge, Empty, Filter, Found, Loaded, Page, Panel, Table, Time } from "../ui.tsx";

export function Clients() {
  const [filter, setFilter] = useState("");
  const [protocol, setProtocol] = useState("");
  const connections = useLive<{ connections: Connection[] }>("/v1/connections?max=10000", 3_000);
  const all = connections.data?.connections ?? [];
  const protocols = [...new Set(all.map((each) => each.protocol))].sort();
  const wanted = filter.toLowerCase();
  const found = all.filter(
    (each) =>
      (!protocol || each.protocol === protocol) &&
      [each.clientId, each.address, each.language, ...each.groups].some((word) => word?.toLowerCase().includes(wanted)),
  );
  return (
    <Page title="Clients">
      <div class="tools">
        <Filter label="Filter by client, address or group" value={filter} onInput={setFilter} />
        <div class="chips" role="group" aria-label="Protocol">
          {["", ...protocols].map((each) => (
            <button type="button" key={each} aria-pressed={protocol === each} onClick={() => setProtocol(each)}>
              {each || "all"} <span class="fine">{count(each ? all.filter((one) => one.protocol === each).length : all.length)}</span>
            </button>
          ))}
        </div>
        {connections.data && <Found shown={found.length} all={all.length} one="connection" />}
      </div>
      <Panel>
        <Loaded live={connections}>
          {() => (
            <Table
              label="Clients"
              rows={found}
              rowKey={(each) => each.id}
              empty={<Empty title={all.length === 0 ? "Nobody is connected" : "No client is like that"} />}
              columns={[
                { label: "Client", sort: (each) => each.clientId, cell: (each) => (each.clientId ? <code>{each.clientId}</code> : <span class="quiet-text">unnamed</span>) },
                { label: "Protocol", sort: (each) => each.protocol, cell: (each) => <Badge tone={each.protocol === "http" ? "accent" : "plain"}>{each.protocol}</Badge> },
                { label: "Address", wide: true, sort: (each) => each.address, cell: (each) => <code>{each.address}</code> },
                { label: "Is", wide: true, sort: (each) => each.kind, cell: (each) => each.kind ?? "–" },
                { label: "Software", wide: true, sort: (each) => each.language, cell: (each) => [each.language, each.version].filter(Boolean).join(" ") || "–" },
                { label: "Groups", cell: (each) => each.groups.map((group) => <div key={group} class="nowrap">{each.kind === "producer" ? group : <a href={link(["groups", group])}>{group}</a>}</div>) },
                { label: "Since", wide: true, sort: (each) => each.since, cell: (each) => <Time at={each.since} /> },
              ]}
            />
          )}
        </Loaded>
      </Panel>
    </Page>
  );
}
