// The documented operations, and a form to try each of them on this server.

import { useEffect, useRef, useState } from "preact/hooks";
import { OURS } from "../api.ts";
import { indented } from "../json.ts";
import { useLive } from "../live.ts";
import { address, type Document, type Operation, operations, type Parameter } from "../openapi.ts";
import { link, type Route } from "../route.ts";
import { Copy, Doc, Empty, Field, Filter, Found, Loaded, Page, Panel } from "../ui.tsx";

export function Api({ route }: { route: Route }) {
  const document = useLive<Document>("/openapi.json", 0);
  const [filter, setFilter] = useState("");
  const open = route.query.get("operation");
  return (
    <Page
      title="API"
      lead={<p>Everything that this page does goes through these operations. They are described for programs in <a href="/openapi.json">openapi.json</a>.</p>}
    >
      <Loaded live={document}>
        {(data) => {
          const all = operations(data);
          const wanted = filter.toLowerCase();
          const found = all.filter((each) => `${each.id} ${each.summary} ${each.tag}`.toLowerCase().includes(wanted));
          const tags = [...new Set(found.map((each) => each.tag))];
          return (
            <>
              <div class="tools">
                <Filter label="Filter operations" value={filter} onInput={setFilter} />
                <Found shown={found.length} all={all.length} one="operation" />
              </div>
              {found.length === 0 && <Panel><Empty title="No operation is like that" /></Panel>}
              {tags.map((tag) => (
                <Panel key={tag} title={tag}>
                  <ul class="operations">
                    {found.filter((each) => each.tag === tag).map((each) => (
                      <li key={each.id}>
                        <button
                          type="button"
                          class="operation"
                          aria-expanded={open === each.id}
                          onClick={() => { location.hash = link(["api"], { operation: open === each.id ? undefined : each.id }); }}
                        >
                          <span class={`method ${each.method.toLowerCase()}`}>{each.method}</span>
                          <code>{each.path}</code>
                          <span class="fine">{each.summary}</span>
                        </button>
                        {open === each.id && <Try operation={each} />}
                      </li>
                    ))}
                  </ul>
                </Panel>
              ))}
            </>
          );
        }}
      </Loaded>
    </Page>
  );
}

interface Answer {
  status: number;
  statusText: string;
  seconds: number;
  type: string;
  text: string;
}

/** A stream is shown as it comes, but not for ever. */
const MOST_SHOWN = 64 * 1024;

function Try({ operation }: { operation: Operation }) {
  const [values, setValues] = useState<Record<string, string>>(() =>
    Object.fromEntries(operation.parameters.filter((each) => each.example !== undefined || each.schema?.example !== undefined).map((each) => [each.name, String(each.example ?? each.schema?.example)])),
  );
  const [body, setBody] = useState(operation.bodies[0]);
  const [answer, setAnswer] = useState<Answer>();
  const [failed, setFailed] = useState("");
  const running = useRef<AbortController>(undefined);
  const [busy, setBusy] = useState(false);
  useEffect(() => () => running.current?.abort(), []);

  const at = address(operation, values);
  const headers = operation.parameters.filter((each) => each.in === "header" && values[each.name]);
  const socket = operation.responses.some((each) => each.status === "101");
  const curl = [
    `curl${operation.method === "GET" ? "" : ` -X ${operation.method}`} ${quoted(location.origin + at)}`,
    ...headers.map((each) => `-H ${quoted(`${each.name}: ${values[each.name]}`)}`),
    ...(body ? [`-H ${quoted(`Content-Type: ${body.type}`)}`, `-d ${quoted(body.example)}`] : []),
  ].join(" \\\n  ");

  const run = async (): Promise<void> => {
    const stop = new AbortController();
    running.current = stop;
    setBusy(true);
    setAnswer(undefined);
    setFailed("");
    const begun = performance.now();
    try {
      const init: RequestInit = { method: operation.method, credentials: "same-origin", signal: stop.signal, headers: { ...OURS } };
      const sent = init.headers as Record<string, string>;
      for (const each of headers) sent[each.name] = values[each.name] ?? "";
      if (body) {
        sent["Content-Type"] = body.type;
        init.body = body.example;
      }
      const response = await fetch(at, init);
      const type = response.headers.get("content-type") ?? "";
      let text = "";
      const show = (): void => setAnswer({ status: response.status, statusText: response.statusText, seconds: (performance.now() - begun) / 1_000, type, text: pretty(type, text) });
      show();
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
        text += part.value;
        if (text.length > MOST_SHOWN) {
          text = `${text.slice(0, MOST_SHOWN)}\n… cut here`;
          stop.abort();
          break;
        }
        if (type.startsWith("text/event-stream")) show();
      }
      show();
    } catch (error) {
      if (!stop.signal.aborted) setFailed(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <div class="try stack">
      {operation.description && operation.description !== operation.summary && <p class="doc"><Doc text={operation.description} /></p>}
      <form class="stack" onSubmit={(event) => {
        event.preventDefault();
        void run();
      }}>
        {operation.parameters.length > 0 && (
          <div class="parameters">
            {operation.parameters.filter((each) => each.in !== "cookie").map((each) => (
              <Field key={`${each.in} ${each.name}`} label={each.in === "header" ? `${each.name} (header)` : each.name} hint={each.description && <Doc text={each.description} />}>
                {(id) => <Value id={id} parameter={each} value={values[each.name] ?? ""} onValue={(value) => setValues({ ...values, [each.name]: value })} />}
              </Field>
            ))}
          </div>
        )}
        {body && (
          <>
            {operation.bodies.length > 1 && (
              <Field label="Body is">
                {(id) => (
                  <select id={id} value={body.type} onChange={(event) => setBody(operation.bodies.find((each) => each.type === event.currentTarget.value))}>
                    {operation.bodies.map((each) => <option key={each.type}>{each.type}</option>)}
                  </select>
                )}
              </Field>
            )}
            <Field label={`Body (${body.type})`}>
              {(id) => <textarea id={id} rows={Math.min(14, body.example.split("\n").length + 1)} spellcheck={false} value={body.example} onInput={(event) => setBody({ ...body, example: event.currentTarget.value })} />}
            </Field>
          </>
        )}
        <div class="tools">
          {socket ? (
            <span class="fine">This one upgrades to a WebSocket, which takes another client.</span>
          ) : busy ? (
            <button type="button" onClick={() => running.current?.abort()}>Stop</button>
          ) : (
            <button type="submit" class="primary">Try it</button>
          )}
          <Copy text={curl} label="Copy as curl" />
        </div>
      </form>
      {failed && <p class="note bad" role="alert"><span>{failed}</span></p>}
      {answer && (
        <section aria-label="Answer" aria-live="polite">
          <header class="section-head">
            <h3 class={answer.status < 400 ? "good-text" : "bad-text"}>{answer.status} {answer.statusText}</h3>
            <span class="fine">{Math.round(answer.seconds * 1_000)} ms{answer.type && `, ${answer.type}`}</span>
            <Copy text={answer.text} />
          </header>
          {answer.text && <pre class="body" tabIndex={0} aria-label="Answer's body">{answer.text}</pre>}
        </section>
      )}
      {operation.responses.length > 0 && (
        <details>
          <summary>Answers</summary>
          <dl class="facts">
            {operation.responses.map((each) => (
              <div key={each.status}><dt>{each.status}</dt><dd><Doc text={each.description} />{each.types.length > 0 && <span class="fine"> {each.types.join(", ")}</span>}</dd></div>
            ))}
          </dl>
        </details>
      )}
    </div>
  );
}

function Value(props: { id: string; parameter: Parameter; value: string; onValue: (value: string) => void }) {
  const { schema, required } = props.parameter;
  const choices = schema?.enum ?? ([schema?.type].flat().includes("boolean") ? [true, false] : undefined);
  if (choices) {
    return (
      <select id={props.id} required={!!required} value={props.value} onChange={(event) => props.onValue(event.currentTarget.value)}>
        <option value=""></option>
        {choices.map((choice) => <option key={String(choice)}>{String(choice)}</option>)}
      </select>
    );
  }
  return (
    <input
      id={props.id}
      required={!!required}
      autocomplete="off"
      spellcheck={false}
      placeholder={schema?.default === undefined ? (required ? "" : "optional") : String(schema.default)}
      value={props.value}
      onInput={(event) => props.onValue(event.currentTarget.value)}
    />
  );
}

function pretty(type: string, text: string): string {
  return (/[/+]json\b/.test(type) && indented(text)) || text;
}

/** As a POSIX shell takes it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
