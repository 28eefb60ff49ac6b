import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, count, hexDump, many, properties, short, since, span } from "../src/format.ts";

test("counts are grouped, and a dash where nothing is known", () => {
  assert.deepEqual([count(0), count(1_234_567), count(undefined), count(Number.NaN)], ["0", "1,234,567", "–", "–"]);
  assert.deepEqual([many(1, "topic"), many(0, "topic"), many(2, "match", "matches")], ["1 topic", "0 topics", "2 matches"]);
});

test("short numbers keep three digits and change their unit where rounding does", () => {
  const told = [0, 0.314, 7.06, 99.4, 99.6, 9_999, 9_999.6, 12_345, 999_499, 999_600, 4_560_000].map(short);
  assert.deepEqual(told, ["0", "0.31", "7.06", "99.4", "100", "9,999", "10k", "12.3k", "999k", "1M", "4.56M"]);
});

test("bytes are counted in powers of two", () => {
  assert.deepEqual([0, 512, 1_023, 1_024, 1_536, 5 * 2 ** 30].map(bytes), ["0 B", "512 B", "1,023 B", "1 KiB", "1.5 KiB", "5 GiB"]);
});

test("spans go from microseconds to days", () => {
  const told = [0, 0.000_42, 0.003_1, 0.999_9, 1.24, 12, 243, 7_500, 86_400, 90_000].map(span);
  assert.deepEqual(told, ["0 s", "420 µs", "3.1 ms", "1 s", "1.24 s", "12 s", "4 min 3 s", "2 h 5 min", "1 d", "1 d 1 h"]);
});

test("a clock that is behind gives no negative age", () => {
  assert.equal(since("2026-01-01T00:00:10.000Z", Date.parse("2026-01-01T00:00:00.000Z")), 0);
  assert.equal(since("no time", 0), undefined);
});

test("a body that is no text is dumped with offsets, and cut", () => {
  const dump = hexDump(new Uint8Array([0, 65, 66, 255]));
  assert.equal(dump, `00000000  00 41 42 ff${" ".repeat(36)}  ·AB·`);
  assert.match(hexDump(new Uint8Array(5_000)), /… 904 bytes more$/);
});

test("properties are lines of name=value, of which the value may have further signs of equality", () => {
  assert.deepEqual(properties("a=1\n\n b = x=y \n"), { a: "1", b: "x=y" });
  assert.throws(() => properties("a=1\nnonsense"), /“nonsense” is no name=value/);
});
