// Numbers, spans and times as people read them. Pure functions.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** 1,234,567; a dash where nothing is known. */
export function count(n: number | null | undefined): string {
  return known(n) ? whole.format(n) : "–";
}

/** Three digits that matter: 0.42, 7.1, 123, 12.3k, 4.56M. */
export function short(n: number | null | undefined): string {
  if (!known(n)) return "–";
  const size = Math.abs(n);
  if (size >= 999_500_000) return `${digits(n / 1e9)}G`;
  if (size >= 999_500) return `${digits(n / 1e6)}M`;
  if (size >= 9_999.5) return `${digits(n / 1e3)}k`;
  if (size >= 99.5) return whole.format(n);
  return digits(n);
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** 512 B, 1.5 MiB. */
export function bytes(n: number | null | undefined): string {
  if (!known(n)) return "–";
  let unit = 0;
  let size = n;
  while (Math.abs(size) >= 1023.5 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? whole.format(size) : digits(size)} ${UNITS[unit]}`;
}

/** A span given in seconds: 420 µs, 3.1 ms, 12 s, 4 min 3 s, 2 h 5 min, 3 d 4 h. */
export function span(seconds: number | null | undefined): string {
  if (!known(seconds)) return "–";
  if (seconds === 0) return "0 s";
  if (seconds < 0.000_999_5) return `${digits(seconds * 1e6)} µs`;
  if (seconds < 0.999_5) return `${digits(seconds * 1e3)} ms`;
  if (seconds < 9.95) return `${digits(seconds)} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3_600) return pair(Math.floor(s / 60), "min", s % 60, "s");
  if (s < 86_400) return pair(Math.floor(s / 3_600), "h", Math.floor((s % 3_600) / 60), "min");
  return pair(Math.floor(s / 86_400), "d", Math.floor((s % 86_400) / 3_600), "h");
}

/** Local time to the second, or to the millisecond: 2026-11-21 21:00:00.000. */
export function time(at: string | undefined, millis = false): string {
  const date = at === undefined ? undefined : new Date(at);
  if (!date || Number.isNaN(date.getTime())) return "–";
  const two = (n: number): string => String(n).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${clock}${millis ? `.${String(date.getMilliseconds()).padStart(3, "0")}` : ""}`;
}

/** Seconds from `at` to `now`, never below 0. */
export function since(at: string | undefined, now: number): number | undefined {
  const then = at === undefined ? Number.NaN : Date.parse(at);
  return Number.isNaN(then) ? undefined : Math.max(0, (now - then) / 1_000);
}

/** `1 message`, `2 messages`. */
export function many(n: number, one: string, more = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : more}`;
}

/** The server's messages begin small, as they may stand within others. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Offsets, hexadecimal and as text, 16 bytes a line: what a body is that is neither text nor JSON. */
export function hexDump(data: Uint8Array, limit = 4_096): string {
  const lines: string[] = [];
  const end = Math.min(data.length, limit);
  for (let at = 0; at < end; at += 16) {
    const row = [...data.subarray(at, Math.min(at + 16, end))];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(8, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  if (end < data.length) lines.push(`… ${count(data.length - end)} bytes more`);
  return lines.join("\n");
}

/** Lines of `name=value`, as the form for sending takes properties. Throws with the line that is none. */
export function properties(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const line of text.split("\n").map((line) => line.trim()).filter(Boolean)) {
    const at = line.indexOf("=");
    if (at < 1) throw new SyntaxError(`“${line}” is no name=value`);
    found[line.slice(0, at).trim()] = line.slice(at + 1).trim();
  }
  return found;
}

function known(n: number | null | undefined): n is number {
  return n !== null && n !== undefined && Number.isFinite(n);
}

function digits(n: number): string {
  const size = Math.abs(n);
  if (size === 0) return "0";
  return String(Number(n.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2)));
}

function pair(a: number, unit: string, b: number, smaller: string): string {
  return b === 0 ? `${a} ${unit}` : `${a} ${unit} ${b} ${smaller}`;
}
