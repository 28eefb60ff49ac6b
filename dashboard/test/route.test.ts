import assert from "node:assert/strict";
import { test } from "node:test";
import { link, parse } from "../src/route.ts";

test("names of topics survive being an address, whatever is in them", () => {
  for (const name of ["orders", "%RETRY%billing", "a/b", "a b?c#d", "100%"]) {
    const { parts, query } = parse(link(["topics", name], { tab: name }));
    assert.deepEqual(parts, ["topics", name]);
    assert.equal(query.get("tab"), name);
  }
});

test("an address typed by hand is taken as it is where it is no encoding", () => {
  assert.deepEqual(parse("#/topics/%RETRY%x").parts, ["topics", "%RETRY%x"]);
});

test("what has no value is left out of an address", () => {
  assert.equal(link(["messages"], { topic: "", by: undefined, max: 0 }), "#/messages?max=0");
});
