// Topics and groups as a JSON document: to keep, and to make another server alike. Nothing is imported unseen.

import { useState } from "preact/hooks";
import { call } from "../api.ts";
import { many } from "../format.ts";
import { useAction, useLive } from "../live.ts";
import type { Definitions, Imported } from "../types.ts";
import { Badge, Copy, Empty, Failure, Field, Loaded, Page, Panel, type Tone } from "../ui.tsx";

export function DefinitionsPage() {
  const definitions = useLive<Definitions>("/v1/definitions", 0);
  return (
    <Page title="Definitions" lead={<p>All topics and groups with their settings. Messages and groups' places are not part of it.</p>}>
      <div class="two">
        <Panel title="Export">
          <Loaded live={definitions}>{(data) => <Export definitions={data} />}</Loaded>
        </Panel>
        <Panel title="Import">
          <Import onDone={definitions.refresh} />
        </Panel>
      </div>
    </Page>
  );
}

function Export({ definitions }: { definitions: Definitions }) {
  const text = JSON.stringify(definitions, null, 2);
  const download = (): void => {
    const address = URL.createObjectURL(new Blob([`${text}\n`], { type: "application/json" }));
    const link = document.createElement("a");
    link.href = address;
    link.download = `ferromq-definitions-${new Date().toISOString().slice(0, 10)}.json`;
    link.click();
    URL.revokeObjectURL(address);
  };
  return (
    <div class="stack pad">
      <div class="tools">
        <button type="button" class="primary" onClick={download}>Download</button>
        <Copy text={text} />
        <span class="fine">{many(definitions.topics.length, "topic")}, {many(definitions.groups.length, "group")}</span>
      </div>
      <pre class="body" tabIndex={0} aria-label="Definitions">{text}</pre>
    </div>
  );
}

const PARTS: [part: keyof Imported, name: string, tone: Tone][] = [
  ["created", "new", "good"],
  ["changed", "changed", "wait"],
  ["unchanged", "as it is", "plain"],
];

function Import({ onDone }: { onDone: () => void }) {
  const [text, setText] = useState("");
  const [plan, setPlan] = useState<Imported>();
  const [done, setDone] = useState<Imported>();
  const { busy, problem, run, forget } = useAction();
  const change = (next: string): void => {
    setText(next);
    setPlan(undefined);
    setDone(undefined);
    forget();
  };
  const ask = (dryRun: boolean): Promise<Imported> => call("POST", "/v1/definitions", { query: { dryRun }, body: JSON.parse(text) });
  return (
    <form class="stack pad" onSubmit={(event) => {
      event.preventDefault();
      void run(async () => {
        if (!plan) return setPlan(await ask(true));
        setDone(await ask(false));
        setPlan(undefined);
        onDone();
      });
    }}>
      <Field label="File">
        {(id) => <input id={id} type="file" accept="application/json,.json" onChange={(event) => void event.currentTarget.files?.[0]?.text().then(change)} />}
      </Field>
      <Field label="Or its content">
        {(id) => <textarea id={id} rows={8} required spellcheck={false} value={text} onInput={(event) => change(event.currentTarget.value)} />}
      </Field>
      {problem && <Failure problem={problem} />}
      {plan && <Changes of={plan} />}
      {done && (
        <p class="note good" role="status"><span>{many(done.created.length, "definition")} made, {many(done.changed.length, "definition")} changed.</span></p>
      )}
      <div class="tools">
        <button type="submit" class="primary" disabled={busy || !text.trim()}>{plan ? "Import now" : "Show what would change"}</button>
      </div>
    </form>
  );
}

function Changes({ of }: { of: Imported }) {
  if (PARTS.every(([part]) => of[part].length === 0)) return <Empty title="The document names nothing" />;
  return (
    <ul class="changes" aria-label="What would change">
      {PARTS.flatMap(([part, name, tone]) =>
        of[part].map((each) => (
          <li key={`${each.kind} ${each.name}`}>
            <Badge tone={tone}>{name}</Badge> {each.name} <span class="fine">{each.kind}</span>
          </li>
        )),
      )}
    </ul>
  );
}
