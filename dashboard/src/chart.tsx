// A line chart of the last minutes, and the values at one time in words above it.
//
// The canvas says nothing to who cannot see it: its label has the current values, and the legend is text.

import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useTheme } from "./theme.ts";
import { time } from "./format.ts";

export interface Series {
  label: string;
  /** A custom property of the style sheet. */
  color: string;
  values: (number | null)[];
}

const HEIGHT = 150;
/** Seconds that a chart shows, whether the server has run for as long or not: what it keeps. */
const SHOWN = 300;
/** Between two labels of the time axis, in seconds: uPlot's own go from one minute to five. */
const TIME_STEPS = [1, 2, 5, 10, 30, 60, 120, 300, 600];
/** Between two lines of an axis of bytes: powers of two, so that their labels are round. */
export const BYTE_STEPS = Array.from({ length: 50 }, (_, n) => 2 ** n);

export function Chart(props: { title: string; times: number[]; series: Series[]; format: (value: number | null | undefined) => string; steps?: number[] }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const shown = useRef(props);
  shown.current = props;
  const [cursor, setCursor] = useState<number | null>(null);
  const theme = useTheme();
  const shape = props.series.map((series) => `${series.label} ${series.color}`).join();

  useEffect(() => {
    const host = box.current;
    if (!host) return;
    const made = new uPlot(options(host, shown.current, setCursor), data(shown.current), host);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: host.clientWidth, height: HEIGHT }));
    resized.observe(host);
    return () => {
      resized.disconnect();
      made.destroy();
    };
  }, [theme, shape]);

  useEffect(() => plot.current?.setData(data(props)), [props.times, props.series]);

  const at = cursor !== null && cursor < props.times.length ? cursor : props.times.length - 1;
  const words = props.series.map((series) => `${series.label} ${props.format(series.values[at])}`);
  return (
    <figure class="chart">
      <figcaption>
        <h2>{props.title}</h2>
        <ul class="legend">
          {props.series.map((series) => (
            <li key={series.label}>
              <span class="swatch" style={{ background: `var(${series.color})` }} aria-hidden="true" />
              {series.label} <b>{props.format(series.values[at])}</b>
            </li>
          ))}
          {cursor !== null && <li class="fine">{time(iso(props.times[at])).slice(11)}</li>}
        </ul>
      </figcaption>
      <div ref={box} role="img" aria-label={`${props.title}: ${words.join(", ")}`} />
    </figure>
  );
}

type Drawn = Parameters<typeof Chart>[0];

function data(of: Drawn): uPlot.AlignedData {
  return [of.times, ...of.series.map((series) => series.values)];
}

function options(host: HTMLElement, of: Drawn, setCursor: (index: number | null) => void): uPlot.Options {
  const faint = resolve(host, "--line");
  const text = resolve(host, "--dim");
  const font = `11px ${getComputedStyle(host).fontFamily}`;
  const axis = { stroke: text, font, grid: { stroke: faint, width: 1 }, ticks: { show: false } };
  return {
    width: host.clientWidth,
    height: HEIGHT,
    padding: [6, 10, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false }, sync: { key: "overview" } },
    scales: { x: { range: (_, __, last) => [last - SHOWN, last] }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.15 : 1] } },
    axes: [
      { ...axis, size: 26, space: 70, incrs: TIME_STEPS, values: (_, ticks) => ticks.map((tick) => time(iso(tick)).slice(11, 16)) },
      { ...axis, size: 58, space: 34, ...(of.steps ? { incrs: of.steps } : {}), values: (_, ticks) => ticks.map((tick) => of.format(tick)) },
    ],
    series: [
      {},
      ...of.series.map((series): uPlot.Series => {
        const stroke = resolve(host, series.color);
        return { label: series.label, stroke, width: 1.5, points: { show: true, size: 4, filter: alone }, spanGaps: false };
      }),
    ],
    hooks: { setCursor: [(plot) => setCursor(plot.cursor.idx ?? null)] },
  };
}

/** The values that have none beside them: no line shows them. */
function alone(plot: uPlot, series: number): number[] {
  const values = plot.data[series] ?? [];
  return [...values.keys()].filter((n) => values[n] != null && values[n - 1] == null && values[n + 1] == null);
}

/** The colour that a custom property stands for now: the canvas knows no `var()`, nor which theme it is. */
function resolve(host: HTMLElement, property: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${property})`;
  host.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

function iso(seconds: number | undefined): string | undefined {
  return seconds === undefined ? undefined : new Date(seconds * 1_000).toISOString();
}
