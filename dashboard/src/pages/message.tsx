// Messages: as a table, and one of them in full.

import { type ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { path } from "../api.ts";
import { bytes, count, hexDump } from "../format.ts";
import { indented } from "../json.ts";
import { useLive } from "../live.ts";
import { link } from "../route.ts";
import type { Message } from "../types.ts";
import { Badge, type Column, Copy, Dialog, Loaded, Table, Time } from "../ui.tsx";

/** Messages, each of which opens in full. `first` is a column before the others. */
export function MessageTable(props: { messages: Message[]; empty: ComponentChildren; topics?: boolean; first?: Column<Message> }) {
  const [open, setOpen] = useState<Message>();
  const columns: Column<Message>[] = [
    {
      label: "Message",
      cell: (message) => (
        <button type="button" class="as-link" onClick={() => setOpen(message)}>
          <code>{message.messageId}</code>
        </button>
      ),
    },
    { label: "Stored", sort: (message) => message.storedAt, cell: (message) => <Time at={message.storedAt} millis /> },
    { label: "Tag", sort: (message) => message.tag, cell: (message) => message.tag && <Badge>{message.tag}</Badge> },
    { label: "Keys", cell: (message) => <span class="nowrap">{(message.keys ?? []).join(" ")}</span> },
    { label: "Queue", numeric: true, sort: (message) => message.queueId, cell: (message) => message.queueId },
    { label: "Offset", numeric: true, sort: (message) => message.queueOffset, cell: (message) => count(message.queueOffset) },
    { label: "Size", numeric: true, wide: true, sort: (message) => message.size, cell: (message) => bytes(message.size) },
  ];
  if (props.topics) columns.splice(1, 0, { label: "Topic", cell: (message) => <a href={link(["topics", message.topic])}>{message.topic}</a> });
  if (props.first) columns.unshift(props.first);
  return (
    <>
      <Table label="Messages" rows={props.messages} rowKey={place} empty={props.empty} columns={columns} />
      {open && <MessageDialog message={open} onClose={() => setOpen(undefined)} />}
    </>
  );
}

export function place(message: Message): string {
  return `${message.topic}/${message.queueId}/${message.queueOffset}`;
}

/** A message in full. What a list gave lacks the body, so it is asked for again, by the place where it lies. */
export function MessageDialog({ message, onClose }: { message: Message; onClose: () => void }) {
  const full = useLive<{ messages: Message[] }>(
    `${path`/v1/topics/${message.topic}/queues/${message.queueId}/messages`}?offset=${message.queueOffset}&max=1&body=text`,
    0,
  );
  return (
    <Dialog title="Message" wide onClose={onClose}>
      <Loaded live={full}>{(data) => <FullMessage message={data.messages[0] ?? message} />}</Loaded>
    </Dialog>
  );
}

export function FullMessage({ message }: { message: Message }) {
  const properties = Object.entries(message.properties ?? {}).sort(([a], [b]) => a.localeCompare(b));
  const facts: [string, ComponentChildren][] = [
    ["Id", <><code>{message.messageId}</code> <Copy text={message.messageId} /></>],
    ["Topic", <a href={link(["topics", message.topic])}>{message.topic}</a>],
    ["Place", <>queue {message.queueId}, offset {count(message.queueOffset)}</>],
    ["Stored", <Time at={message.storedAt} millis />],
    ["Born", <><Time at={message.bornAt} millis />{message.bornHost && <> at <code>{message.bornHost}</code></>}</>],
  ];
  if (message.tag) facts.push(["Tag", <Badge>{message.tag}</Badge>]);
  if (message.keys?.length) facts.push(["Keys", message.keys.join(" ")]);
  if (message.offsetMessageId && message.offsetMessageId !== message.messageId) facts.push(["Offset id", <code>{message.offsetMessageId}</code>]);
  if (message.deliveries) facts.push(["Deliveries", count(message.deliveries)]);
  return (
    <div class="stack">
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}><dt>{name}</dt><dd>{value}</dd></div>
        ))}
      </dl>
      <Body message={message} />
      <section>
        <h3>Properties</h3>
        {properties.length === 0 ? (
          <p class="fine">None</p>
        ) : (
          <div class="scroll" role="region" aria-label="Properties" tabIndex={0}>
            <table class="tight">
              <thead><tr><th scope="col">Name</th><th scope="col">Value</th></tr></thead>
              <tbody>{properties.map(([name, value]) => <tr key={name}><td><code>{name}</code></td><td class="break">{value}</td></tr>)}</tbody>
            </table>
          </div>
        )}
      </section>
    </div>
  );
}

function Body({ message }: { message: Message }) {
  const { text, kind } = body(message);
  return (
    <section>
      <header class="section-head">
        <h3>Body</h3>
        <span class="fine">{[kind, message.contentType, message.size !== undefined && bytes(message.size)].filter(Boolean).join(", ")}</span>
        <Copy text={text} />
      </header>
      {text ? <pre class="body" tabIndex={0} aria-label="Body">{text}</pre> : <p class="fine">Empty</p>}
    </section>
  );
}

/** The body as it is best read: JSON with indentation, text as it is, anything else in hexadecimal. */
export function body(message: Message): { text: string; kind: string } {
  if (message.text !== undefined) {
    const json = indented(message.text);
    return json === undefined ? { text: message.text, kind: "text" } : { text: json, kind: "JSON" };
  }
  if (message.base64 !== undefined) {
    const data = Uint8Array.from(atob(message.base64), (char) => char.charCodeAt(0));
    return { text: hexDump(data), kind: "bytes" };
  }
  return { text: "", kind: "" };
}
