// The page's parts: headings, tables, notes, dialogs. They know nothing of the API but what a `Problem` is.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import { type Problem } from "./api.ts";
import { count, many, sentence, since, span, time } from "./format.ts";
import type { Live } from "./live.ts";

export function Page(props: { title: string; of?: string; lead?: ComponentChildren; actions?: ComponentChildren; children: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${props.title} · FerroMQ`;
  }, [props.title]);
  return (
    <>
      <header class="page-head">
        <div class="page-title">
          {props.of && <p class="of">{props.of}</p>}
          <h1 ref={heading} tabIndex={-1}>{props.title}</h1>
          {props.lead && <div class="lead">{props.lead}</div>}
        </div>
        {props.actions && <div class="actions">{props.actions}</div>}
      </header>
      {props.children}
    </>
  );
}

export function Panel(props: { title?: string; aside?: ComponentChildren; children: ComponentChildren; class?: string }) {
  const id = useId();
  return (
    <section class={`panel ${props.class ?? ""}`} aria-labelledby={props.title ? id : undefined}>
      {props.title && (
        <header class="panel-head">
          <h2 id={id}>{props.title}</h2>
          {props.aside}
        </header>
      )}
      {props.children}
    </section>
  );
}

/** What the server said went wrong, and what it says to do about it. */
export function Failure(props: { problem: Problem; retry?: () => void }) {
  const { problem } = props;
  return (
    <div class="note bad" role="alert">
      <div>
        <strong>{sentence(problem.title)}</strong>
        {problem.detail && problem.detail !== problem.title && <p>{sentence(problem.detail)}</p>}
        {problem.action && <p>{problem.action}</p>}
        <p class="fine">
          {problem.status > 0 && <>{problem.status} · </>}
          <code>{problem.code}</code>
          {problem.requestId && <> · request <code>{problem.requestId}</code></>}
        </p>
      </div>
      {props.retry && <button type="button" onClick={props.retry}>Try again</button>}
    </div>
  );
}

/** What is there once it is there: until then, that it is coming, or why it is not. */
export function Loaded<T>(props: { live: Live<T>; children: (data: T) => ComponentChildren }) {
  const { data, problem, refresh } = props.live;
  return (
    <>
      {problem && <Failure problem={problem} retry={refresh} />}
      {data !== undefined ? props.children(data) : !problem && <p class="loading" role="status">Loading…</p>}
    </>
  );
}

export function Empty(props: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <strong>{props.title}</strong>
      {props.children && <p>{props.children}</p>}
    </div>
  );
}

export type Tone = "plain" | "good" | "bad" | "accent" | "wait";

export function Badge(props: { tone?: Tone; children: ComponentChildren }) {
  return <span class={`badge ${props.tone ?? "plain"}`}>{props.children}</span>;
}

export interface Column<T> {
  label: string;
  /** The label is for screen readers only. */
  unlabelled?: boolean;
  /** Numbers stand right, in digits of one width. */
  numeric?: boolean;
  /** Left out on narrow screens. */
  wide?: boolean;
  /** The value to sort by; without it the column cannot be sorted by. */
  sort?: (row: T) => string | number | undefined;
  cell: (row: T) => ComponentChildren;
}

/** More would be slow, and nobody reads on: the filter finds the rest. */
const MOST_ROWS = 500;

/** A table with headings that sort it. `start` is the column sorted by at first: its index, `-` before it for descending. */
export function Table<T>(props: {
  label: string;
  columns: Column<T>[];
  rows: T[];
  rowKey: (row: T) => string | number;
  empty: ComponentChildren;
  start?: { column: number; descending?: boolean };
}) {
  const [order, setOrder] = useState(props.start);
  const sort = order && props.columns[order.column]?.sort;
  const rows = useMemo(() => {
    if (!sort) return props.rows;
    const direction = order.descending ? -1 : 1;
    return [...props.rows].sort((a, b) => direction * compare(sort(a), sort(b)));
  }, [props.rows, order]);
  if (props.rows.length === 0) return <>{props.empty}</>;
  return (
    <div class="scroll" role="region" aria-label={props.label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {props.columns.map((column, n) => {
              const sorted = order?.column === n ? (order.descending ? "descending" : "ascending") : undefined;
              return (
                <th scope="col" class={classes(column)} aria-sort={column.sort ? (sorted ?? "none") : undefined}>
                  {column.sort ? (
                    <button
                      type="button"
                      class="sort"
                      onClick={() => setOrder({ column: n, descending: sorted ? sorted === "ascending" : !!column.numeric })}
                    >
                      {column.label}
                      <span aria-hidden="true">{sorted === "descending" ? " ↓" : sorted ? " ↑" : ""}</span>
                    </button>
                  ) : (
                    <span class={column.unlabelled ? "hidden" : undefined}>{column.label}</span>
                  )}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, MOST_ROWS).map((row) => (
            <tr key={props.rowKey(row)}>
              {props.columns.map((column) => (
                <td class={classes(column)}>{column.cell(row)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > MOST_ROWS && <p class="fine pad">The first {count(MOST_ROWS)} of {count(rows.length)}: filter to see others.</p>}
    </div>
  );
}

function classes<T>(column: Column<T>): string | undefined {
  return [column.numeric && "number", column.wide && "wide"].filter(Boolean).join(" ") || undefined;
}

function compare(a: string | number | undefined, b: string | number | undefined): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? -1 : 1;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

/** Whether there is likely a keyboard to press `/` on. */
const KEYBOARD = matchMedia("(pointer: fine)");

/** A search field that `/` moves to. */
export function Filter(props: { label: string; value: string; onInput: (value: string) => void }) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select, dialog *");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      field.current?.focus();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
  return (
    <input
      ref={field}
      type="search"
      class="filter"
      aria-label={props.label}
      aria-keyshortcuts="/"
      placeholder={KEYBOARD.matches ? `${props.label}  ( / )` : props.label}
      value={props.value}
      onInput={(event) => props.onInput(event.currentTarget.value)}
    />
  );
}

/** Places within a page, each with an address of its own. */
export function Tabs(props: { label: string; tabs: { name: string; href: string; current: boolean }[] }) {
  return (
    <nav class="tabs" aria-label={props.label}>
      {props.tabs.map((tab) => (
        <a key={tab.name} href={tab.href} aria-current={tab.current ? "page" : undefined}>{tab.name}</a>
      ))}
    </nav>
  );
}

/** A dialog of the browser's own: it keeps the focus inside, Escape closes it, and the focus returns to where it was. */
export function Dialog(props: { title: string; onClose: () => void; wide?: boolean; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    const shown = dialog.current;
    shown?.showModal();
    return () => {
      shown?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={props.wide ? "wide-dialog" : undefined}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        props.onClose();
      }}
      onClick={(event) => event.target === event.currentTarget && props.onClose()}
    >
      <div class="dialog-body">
        <header class="dialog-head">
          <h2 id={id}>{props.title}</h2>
          <button type="button" class="quiet" aria-label="Close" onClick={props.onClose}>✕</button>
        </header>
        {props.children}
      </div>
    </dialog>
  );
}

export function Field(props: { label: string; hint?: ComponentChildren; class?: string; children: (id: string) => JSX.Element }) {
  const id = useId();
  return (
    <div class={`field ${props.class ?? ""}`}>
      <label for={id}>{props.label}</label>
      {props.children(id)}
      {props.hint && <p class="fine">{props.hint}</p>}
    </div>
  );
}

/** Text that a click copies. */
export function Copy(props: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  // Only pages of a secure origin may: others are read by hand.
  if (!navigator.clipboard) return null;
  return (
    <button
      type="button"
      class="quiet small"
      onClick={() => void navigator.clipboard.writeText(props.text).then(() => setDone(true))}
      onBlur={() => setDone(false)}
    >
      {done ? "Copied" : (props.label ?? "Copy")}
    </button>
  );
}

export function Time(props: { at: string | undefined; millis?: boolean }) {
  if (!props.at) return <>–</>;
  return <time dateTime={props.at} title={props.at}>{time(props.at, props.millis)}</time>;
}

/** How long ago, to the time at which the page drew it. */
export function Ago(props: { at: string | undefined; now?: string }) {
  const seconds = since(props.at, props.now ? Date.parse(props.now) : Date.now());
  if (seconds === undefined) return <>–</>;
  return <time dateTime={props.at} title={props.at}>{seconds < 1 ? "now" : `${span(Math.round(seconds))} ago`}</time>;
}

/** How far behind: messages, and in time where that is known. */
export function Lag(props: { lag: number; seconds?: number | null | undefined }) {
  return (
    <span class={props.lag > 0 ? "lag" : "quiet-text"}>
      {count(props.lag)}
      {props.lag > 0 && props.seconds != null && <span class="fine"> · {span(props.seconds)}</span>}
    </span>
  );
}

/** Doc comments, of which only `code` is marked up. */
export function Doc(props: { text: string }) {
  return <>{props.text.split("`").map((piece, n) => (n % 2 ? <code>{piece}</code> : piece))}</>;
}

export function Found(props: { shown: number; all: number; one: string }) {
  return (
    <span class="fine" role="status">
      {props.shown === props.all ? many(props.all, props.one) : `${count(props.shown)} of ${many(props.all, props.one)}`}
    </span>
  );
}
