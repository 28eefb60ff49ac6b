// Every setting with its value, and a form for those that can change while the server runs.

import { useState } from "preact/hooks";
import { call } from "../api.ts";
import { useAction, useLive } from "../live.ts";
import type { Setting } from "../types.ts";
import { Badge, Dialog, Doc, Empty, Failure, Field, Filter, Found, Loaded, Page, Panel, Table } from "../ui.tsx";

export function Config() {
  const [filter, setFilter] = useState("");
  const [changed, setChanged] = useState(false);
  const [live, setLive] = useState(false);
  const [editing, setEditing] = useState<Setting>();
  const config = useLive<{ settings: Setting[] }>("/v1/config", 0);
  const all = config.data?.settings ?? [];
  const wanted = filter.toLowerCase();
  const found = all.filter(
    (setting) =>
      (!changed || differs(setting)) &&
      (!live || setting.live) &&
      [setting.key, setting.doc, shown(setting.value)].some((word) => word.toLowerCase().includes(wanted)),
  );
  return (
    <Page title="Config">
      <div class="tools">
        <Filter label="Filter settings" value={filter} onInput={setFilter} />
        <label class="check"><input type="checkbox" checked={changed} onChange={(event) => setChanged(event.currentTarget.checked)} />Only not as by default</label>
        <label class="check"><input type="checkbox" checked={live} onChange={(event) => setLive(event.currentTarget.checked)} />Only what may change now</label>
        {config.data && <Found shown={found.length} all={all.length} one="setting" />}
      </div>
      <Panel>
        <Loaded live={config}>
          {() => (
            <Table
              label="Settings"
              rows={found}
              rowKey={(setting) => setting.key}
              start={{ column: 0 }}
              empty={<Empty title="No setting is like that" />}
              columns={[
                {
                  label: "Setting",
                  sort: (setting) => setting.key,
                  cell: (setting) => (
                    <div class="setting">
                      <code>{setting.key}</code>
                      <p class="fine"><Doc text={setting.doc} /></p>
                    </div>
                  ),
                },
                { label: "Value", cell: (setting) => <span class={differs(setting) ? "break changed" : "break"}>{shown(setting.value)}</span> },
                { label: "Default", wide: true, cell: (setting) => <span class="break quiet-text">{shown(setting.default)}</span> },
                {
                  label: "Changes",
                  sort: (setting) => (setting.live ? 0 : 1),
                  cell: (setting) =>
                    setting.live ? (
                      <button type="button" class="small" onClick={() => setEditing(setting)}>Change<span class="hidden"> {setting.key}</span></button>
                    ) : (
                      <Badge>at a start</Badge>
                    ),
                },
              ]}
            />
          )}
        </Loaded>
      </Panel>
      {editing && <Change setting={editing} onClose={() => setEditing(undefined)} onDone={config.refresh} />}
    </Page>
  );
}

function shown(value: string | null): string {
  return value?.replaceAll("`", "") || "–";
}

function differs(setting: Setting): boolean {
  return setting.value !== null && shown(setting.value) !== shown(setting.default);
}

function Change(props: { setting: Setting; onClose: () => void; onDone: () => void }) {
  const { setting } = props;
  const [value, setValue] = useState(setting.value ?? "");
  const { busy, problem, run } = useAction();
  return (
    <Dialog title={`Change ${setting.key}`} onClose={props.onClose}>
      <form class="stack" onSubmit={(event) => {
        event.preventDefault();
        void run(async () => {
          await call("PATCH", "/v1/config", { body: { [setting.key]: value } });
          props.onDone();
          props.onClose();
        });
      }}>
        <p><Doc text={setting.doc} /></p>
        <Field label="Value" hint={<>{setting.allowed && <>Allowed: <Doc text={setting.allowed} />. </>}By default <code>{shown(setting.default)}</code>. It takes effect at once.</>}>
          {(id) =>
            setting.value === "true" || setting.value === "false" ? (
              <select id={id} value={value} onChange={(event) => setValue(event.currentTarget.value)}>
                <option value="true">true</option>
                <option value="false">false</option>
              </select>
            ) : (
              <input id={id} autocomplete="off" spellcheck={false} value={value} onInput={(event) => setValue(event.currentTarget.value)} />
            )
          }
        </Field>
        {problem && <Failure problem={problem} />}
        <div class="dialog-end">
          <button type="button" onClick={props.onClose}>Cancel</button>
          <button type="submit" class="primary" disabled={busy}>Change</button>
        </div>
      </form>
    </Dialog>
  );
}
