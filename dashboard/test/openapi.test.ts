import assert from "node:assert/strict";
import { test } from "node:test";
import { address, type Document, example, operations } from "../src/openapi.ts";

const document: Document = {
  paths: {
    "/v1/topics/{topic}/messages": {
      parameters: [{ name: "topic", in: "path", required: true }],
      get: { tags: ["messages"], parameters: [{ name: "key", in: "query" }, { name: "max", in: "query" }] },
      post: {
        summary: "Sends",
        requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/New" } } } },
        responses: { "201": { description: "Stored" } },
      },
    },
  },
  components: {
    schemas: {
      New: { type: "object", required: ["text", "keys"], properties: { text: { type: "string", example: "hello" }, keys: { type: ["array", "null"], items: { type: "string" } }, tag: { type: "string" } } },
      Loop: { type: "object", properties: { next: { $ref: "#/components/schemas/Loop" } } },
    },
  },
};

test("operations have the parameters of their path, and an example of their body with what it must have", () => {
  const [get, post] = operations(document);
  assert.deepEqual(get?.parameters.map((each) => each.name), ["topic", "key", "max"]);
  assert.equal(post?.id, "POST /v1/topics/{topic}/messages");
  assert.deepEqual(JSON.parse(post?.bodies[0]?.example ?? ""), { text: "hello", keys: [""] });
});

test("an address has what was filled in, encoded", () => {
  const get = operations(document)[0]!;
  assert.equal(address(get, { topic: "%DLQ%a b", key: "x&y", max: "" }), "/v1/topics/%25DLQ%25a%20b/messages?key=x%26y");
});

test("what may be chosen from is known where it is named elsewhere, or may be null", () => {
  const named: Document = {
    tags: [{ name: "b" }, { name: "a" }],
    paths: {
      "/a": { get: { tags: ["a"], description: "One\nsentence.\n\nAnother.", parameters: [{ name: "how", in: "query", schema: { oneOf: [{ type: "null" }, { $ref: "#/components/schemas/How" }] } }] } },
      "/b": { get: { tags: ["b"] } },
    },
    components: { schemas: { How: { type: "string", enum: ["fast", "safe"] } } },
  };
  const [first, second] = operations(named);
  assert.deepEqual([first?.path, second?.path], ["/b", "/a"]);
  assert.deepEqual(second?.parameters[0]?.schema?.enum, ["fast", "safe"]);
  assert.equal(second?.description, "One sentence.\n\nAnother.");
});

test("a schema that holds itself ends", () => {
  assert.ok(JSON.stringify(example(document, { $ref: "#/components/schemas/Loop" })).length < 200);
});
