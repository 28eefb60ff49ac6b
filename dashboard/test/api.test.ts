import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { madeUp } from "../mock/server.ts";
import { basic, call, onAnswer, path, Problem, problemOf, withQuery } from "../src/api.ts";
import { request } from "../src/question.ts";

const server = createServer(madeUp({ auth: false }));
const closed = createServer(madeUp({ auth: true }));
let base = "";
let closedBase = "";

before(async () => {
  for (const each of [server, closed]) await new Promise<void>((ready) => each.listen(0, "127.0.0.1", ready));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  closedBase = `http://127.0.0.1:${(closed.address() as AddressInfo).port}`;
});
after(() => {
  server.close();
  closed.close();
});

test("a message that is sent is found by its id", async () => {
  const sent = await call<{ messageId: string }>("POST", base + path`/v1/topics/${"orders"}/messages`, { body: { text: "hello" } });
  const found = await call<{ text: string }>("GET", base + path`/v1/topics/${"orders"}/messages/${sent.messageId}`);
  assert.equal(found.text, "hello");
});

test("what the server says is wrong reaches the page in its own words", async () => {
  await assert.rejects(call("GET", `${base}/v1/topics/nope`), (error) => {
    assert.ok(error instanceof Problem);
    assert.deepEqual([error.status, error.code, error.requestId], [404, "no-topic", "made-up-1"]);
    assert.match(error.action, /create it/);
    return true;
  });
});

test("who is not known is told to the page, and so is a server that does not answer", async () => {
  const heard: string[] = [];
  const stop = onAnswer((state) => heard.push(state));
  await assert.rejects(call("GET", `${closedBase}/v1/topics`));
  await call("POST", `${closedBase}/v1/session`, { headers: { Authorization: basic("ann", "s3cret") } });
  await assert.rejects(call("GET", "http://127.0.0.1:1/v1/topics"), { code: "no-answer" });
  stop();
  assert.deepEqual(heard, ["unauthenticated", "reached", "unreachable"]);
});

test("an answer of something between, which is no problem document, is one all the same", () => {
  const problem = problemOf(502, "Bad Gateway", "<html>nginx</html>");
  assert.deepEqual([problem.code, problem.title], ["http-502", "Bad Gateway"]);
});

test("paths take any name, and questions without a value are not asked", () => {
  assert.equal(path`/v1/topics/${"a/b %"}/queues/${3}/messages`, "/v1/topics/a%2Fb%20%25/queues/3/messages");
  assert.equal(withQuery("/v1/x", { a: "", b: undefined, c: false }), "/v1/x?c=false");
});

test("a search is one request, or none while it is not complete", () => {
  const q = { topic: "orders", by: "time", key: "", id: "", queue: "2", offset: "7", past: "-1h", from: "", to: "", max: "32" } as const;
  assert.equal(request(q), "/v1/topics/orders/messages?from=-1h&max=32&body=none");
  assert.equal(request({ ...q, by: "key", key: "k 1", past: "" }), "/v1/topics/orders/messages?key=k+1&max=32&body=none");
  assert.equal(request({ ...q, by: "key" }), undefined);
  assert.equal(request({ ...q, by: "id", topic: "", id: "7F" }), "/v1/messages/7F?body=text");
  assert.equal(request({ ...q, by: "offset" }), "/v1/topics/orders/queues/2/messages?offset=7&max=32&body=none");
  assert.equal(request({ ...q, topic: "" }), undefined);
});
