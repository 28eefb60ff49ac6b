import assert from "node:assert/strict";
import { test } from "node:test";
import { indented } from "../src/json.ts";

test("JSON is laid out as JSON.stringify does", () => {
  const values = [{ a: [1, 2, { b: null }], c: {}, d: [], 'e"{,': "x: [y], \\ \n" }, [], {}, "text", 1.5, [[[]]], true];
  for (const value of values) {
    const wanted = JSON.stringify(value, null, 2);
    for (const text of [JSON.stringify(value), wanted, ` ${JSON.stringify(value, null, 7)}\n`]) assert.equal(indented(text), wanted);
  }
});

test("numbers beyond what the browser counts stay as they are", () => {
  assert.equal(indented('{"id":9007199254740993,"n":1.10}'), '{\n  "id": 9007199254740993,\n  "n": 1.10\n}');
});

test("what only begins like JSON is none", () => {
  for (const text of ["", "{", "{]", "[1,]", "hello"]) assert.equal(indented(text), undefined);
});
