// A server that is made up: it answers what the page asks in the API's shapes, from memory, so that the page can be worked
// on, and its unit tests run, without a broker. It is no model of how a broker behaves.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Message, Topic } from "../src/types.ts";

interface Reply {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}
type Handler = (match: Record<string, string>, query: URLSearchParams, body: any, request: IncomingMessage) => Reply;

const NOW = (): number => Date.now();
const at = (ms: number): string => new Date(ms).toISOString();
const ok = (body: unknown): Reply => ({ status: 200, body });
const problem = (status: number, code: string, title: string, detail: string, action: string): Reply => ({
  status,
  headers: { "Content-Type": "application/problem+json" },
  body: { type: `/errors#${code}`, title, status, code, detail, action, requestId: "made-up-1" },
});

/** A handler of requests with a state of its own. With `auth` only `ann` with password `s3cret`, or token `t0ken`, may. */
export function madeUp(options: { auth?: boolean; empty?: boolean } = {}): (request: IncomingMessage, response: ServerResponse) => void {
  const started = NOW() - 3 * 86_400_000;
  const topics = new Map<string, Topic & { stored: Message[] }>();
  const settings = [
    { key: "flushDiskType", value: "ASYNC_FLUSH", default: "ASYNC_FLUSH", room: "store", live: false, doc: "When a send is acknowledged: `ASYNC_FLUSH` after the page cache, `SYNC_FLUSH` after fsync." },
    { key: "fileReservedTime", value: "24", default: "72", room: "store", live: true, doc: "Hours for which messages are kept." },
    { key: "httpPort", value: "8080", default: "8080", room: "gateway", live: false, doc: "The port that HTTP is served at." },
    { key: "traceOn", value: "true", default: "true", room: "broker", live: true, doc: "Whether consumers' traces are kept." },
  ];
  const sessions = new Set<string>();
  const add = (name: string, kind: Topic["kind"], queues: number, messages: number): void => {
    const topic = { name, kind, readQueues: queues, writeQueues: queues, permission: "rw", order: false, messages, putRate: 0, groups: 0, stored: [] as Message[] };
    topics.set(name, topic);
    for (let n = 0; n < Math.min(messages, 60); n += 1) store(topic, { text: JSON.stringify({ order: 4_711 + n, state: "paid" }), tag: n % 3 ? "paid" : "new", keys: [`order-${4_711 + n}`], contentType: "application/json", properties: { region: "eu-1" } }, NOW() - n * 7_000);
  };
  const store = (topic: Topic & { stored: Message[] }, body: Partial<Message>, when = NOW()): Message => {
    const queueId = topic.stored.length % topic.writeQueues;
    const queueOffset = topic.stored.filter((each) => each.queueId === queueId).length;
    const message: Message = { ...body, messageId: `7F0000010001${(0xabc000 + topic.stored.length + topics.size * 4_096).toString(16).toUpperCase()}`, topic: topic.name, queueId, queueOffset, bornAt: at(when - 2), storedAt: at(when), bornHost: "10.0.4.17:51230", size: 212, properties: body.properties ?? {}, keys: body.keys ?? [] };
    topic.stored.unshift(message);
    return message;
  };
  const lagOf = (n: number): number => Math.max(0, Math.round(40 * n + 30 * Math.sin(NOW() / 9_000 + n)));

  if (!options.empty) {
    add("orders", "user", 8, 1_284_022);
    add("payments", "user", 8, 642_919);
    add("emails", "user", 4, 20_184);
    add("audit-log", "user", 16, 98_127_441);
    add("%RETRY%billing", "retry", 1, 12);
    add("%DLQ%billing", "dlq", 1, 7);
    add("SCHEDULE_TOPIC_XXXX", "system", 18, 0);
  }
  const groups = options.empty ? [] : ["billing", "mailer", "search-index", "archive"];
  const group = (name: string) => {
    const n = groups.indexOf(name);
    return { name, online: n !== 3, members: n === 3 ? 0 : 2 + n, consumeType: n === 1 ? "POP" : "PUSH", messageModel: "CLUSTERING", topics: n === 0 ? ["orders", "payments"] : [["emails"], ["orders"], ["audit-log"]][n - 1] ?? [], lag: n === 2 ? 0 : n === 3 ? 182_441 : lagOf(n + 1), ...(n === 2 ? {} : { lagSeconds: n === 3 ? 81_233 : 1.4 }), settings: { consumeEnable: true, broadcastEnable: true, orderly: false, retryQueues: 1, retryMax: 16, consumeTimeoutMinutes: 15 }, getRate: n === 3 ? 0 : 900 - 210 * n + 40 * Math.sin(NOW() / 4_000) };
  };
  const wave = (ms: number, size: number): number => Math.max(0, size * (1 + 0.25 * Math.sin(ms / 31_000) + 0.08 * Math.sin(ms / 3_700)));
  const need = (name: string | undefined): (Topic & { stored: Message[] }) | undefined => topics.get(name ?? "");
  const mqttClients = ["press-1", "press-2", "robot-7", "hall/door"].map((clientId, n) => ({ clientId, version: n % 2 ? "3.1.1" : "5.0", connected: n < 3, address: `10.0.5.${n + 3}:4912${n}`, user: "plant", since: at(started), expirySeconds: n === 2 ? null : 3_600 }));
  const noTopic = (name: string | undefined): Reply => problem(404, "no-topic", "There is no such topic", `topic ${name} does not exist on broker-a`, "Check the spelling, or create it by PUT /v1/topics/{topic}.");
  const shown = ({ stored: _, ...topic }: Topic & { stored: Message[] }): Topic => ({ ...topic, putRate: topic.kind === "user" ? wave(NOW(), topic.messages / 4_000) % 3_000 : 0, groups: groups.map(group).filter((each) => each.topics.includes(topic.name)).length });

  const routes: [string, Handler][] = [
    ["GET /v1/overview", () => {
      const now = NOW();
      const size = options.empty ? 0 : 4_200;
      const history = Array.from({ length: options.empty ? 1 : 150 }, (_, n) => {
        const ms = Math.floor(now / 2_000) * 2_000 - (149 - n) * 2_000;
        return { at: at(ms), put: wave(ms, size), get: wave(ms - 4_000, size * 0.92), putBytes: wave(ms, size * 740), getBytes: wave(ms - 4_000, size * 690), p50: 0.000_21 + wave(ms, 0.000_02), p99: 0.001_4 + wave(ms * 3, 0.000_6) };
      });
      const last = history[history.length - 1]!;
      return ok({ name: "broker-a", cluster: "DefaultCluster", version: "0.1.0", startedAt: at(started), now: at(now), flush: "async", disk: { used: 212e9, total: 512e9, log: 87e9 }, memory: 148e6, topics: 4, groups: groups.length, connections: { remoting: 23, http: 4 }, rates: { putPerSecond: last.put, getPerSecond: last.get, putBytesPerSecond: last.putBytes, getBytesPerSecond: last.getBytes }, latency: { put: { p50: last.p50, p99: last.p99 } }, lag: groups.map(group).reduce((sum, each) => sum + each.lag, 0), history });
    }],
    ["GET /v1/brokers", () => ok({ brokers: [{ name: "broker-a", id: 0, cluster: "DefaultCluster", address: "10.0.4.11:10911", version: "0.1.0", startedAt: at(started), self: true }, { name: "broker-b", id: 0, cluster: "DefaultCluster", address: "10.0.4.12:10911", version: "5.3.3" }] })],
    ["GET /v1/topics", (_, query) => ok({ topics: [...topics.values()].filter((topic) => query.get("system") === "true" || topic.kind === "user").map(shown) })],
    ["GET /v1/topics/:topic", ({ topic }) => { const known = need(topic); return known ? ok(shown(known)) : noTopic(topic); }],
    ["PUT /v1/topics/:topic", ({ topic = "" }, _, body) => {
      const known = topics.get(topic);
      if (!known) add(topic, "user", body.writeQueues ?? 8, 0);
      Object.assign(topics.get(topic)!, body);
      return { status: known ? 200 : 201, body: shown(topics.get(topic)!) };
    }],
    ["DELETE /v1/topics/:topic", ({ topic = "" }) => (topics.delete(topic) ? { status: 204 } : noTopic(topic))],
    ["GET /v1/topics/:topic/queues", ({ topic }) => { const known = need(topic); return known ? ok({ queues: Array.from({ length: known.readQueues }, (_, queueId) => ({ queueId, minOffset: 0, maxOffset: Math.floor(known.messages / known.readQueues), lastStoredAt: at(NOW() - queueId * 830) })) }) : noTopic(topic); }],
    ["GET /v1/topics/:topic/groups", ({ topic = "" }) => ok({ groups: groups.filter((name) => group(name).topics.includes(topic)) })],
    ["GET /v1/topics/:topic/queues/:queue/messages", ({ topic, queue }, query) => {
      const known = need(topic);
      if (!known) return noTopic(topic);
      const from = Number(query.get("offset") ?? 0);
      const max = Number(query.get("max") ?? 32);
      return ok({ messages: known.stored.filter((each) => each.queueId === Number(queue) && each.queueOffset >= from).sort((a, b) => a.queueOffset - b.queueOffset).slice(0, max), nextOffset: from + max, minOffset: 0, maxOffset: known.stored.length });
    }],
    ["GET /v1/topics/:topic/messages", ({ topic }, query) => {
      const known = need(topic);
      const key = query.get("key");
      return known ? ok({ messages: known.stored.filter((each) => !key || each.keys?.includes(key)).slice(0, Number(query.get("max") ?? 32)) }) : noTopic(topic);
    }],
    ["GET /v1/topics/:topic/messages/:id", ({ topic, id }) => { const found = need(topic)?.stored.find((each) => each.messageId === id); return found ? ok(found) : problem(404, "no-message", "There is no such message", `topic ${topic} has no message ${id}`, "It may have been deleted by its age."); }],
    ["POST /v1/topics/:topic/messages", ({ topic }, _, body) => {
      const known = need(topic);
      if (!known) return noTopic(topic);
      known.messages += 1;
      const { messageId, queueId, queueOffset } = store(known, body);
      return { status: 201, body: { messageId, queueId, queueOffset } };
    }],
    ["GET /v1/groups", () => ok({ groups: groups.map(group) })],
    ["GET /v1/groups/:group", ({ group: name = "" }) => (groups.includes(name) ? ok(group(name)) : problem(404, "no-group", "There is no such group", `group ${name} does not exist`, "Check the spelling."))],
    ["DELETE /v1/groups/:group", ({ group: name = "" }) => { groups.splice(groups.indexOf(name), 1); return { status: 204 }; }],
    ["GET /v1/groups/:group/members", ({ group: name = "" }) => ok({ members: Array.from({ length: group(name).members }, (_, n) => ({ clientId: `10.0.4.${17 + n}@${4_000 + n}#83712`, address: `10.0.4.${17 + n}:51230`, protocol: n === 1 ? "http" : "remoting", language: n === 1 ? "HTTP" : "JAVA", version: "V5_3_3", connectedAt: at(NOW() - 3_600_000 * (n + 1)), subscriptions: group(name).topics.map((topic) => ({ topic, expression: "paid || new", type: "TAG" })) })) })],
    ["GET /v1/groups/:group/lag", ({ group: name = "" }) => {
      const parts = group(name).topics.map((topic) => {
        const queues = Array.from({ length: need(topic)?.readQueues ?? 0 }, (_, queueId) => ({ queueId, committed: 160_000 + queueId * 11, end: 160_000 + queueId * 11 + lagOf(queueId % 3), lag: lagOf(queueId % 3), lagSeconds: 0.4 * (queueId % 3), ...(group(name).online ? { clientId: `10.0.4.${17 + (queueId % 2)}@${4_000 + (queueId % 2)}#83712` } : {}) }));
        return { topic, lag: queues.reduce((sum, each) => sum + each.lag, 0), lagSeconds: 0.8, queues };
      });
      return ok({ lag: parts.reduce((sum, each) => sum + each.lag, 0), lagSeconds: 0.8, topics: parts });
    }],
    ["GET /v1/groups/:group/rebalances", () => ok({ rebalances: [{ at: at(NOW() - 400_000), members: ["a", "b", "c"], joined: ["10.0.4.19@4002#83712"], left: [] }, { at: at(NOW() - 9_400_000), members: ["a", "b"], joined: [], left: ["10.0.4.30@77#1"] }] })],
    ["POST /v1/groups/:group/offsets/reset", (_, __, body) => ok({ queues: [0, 1, 2, 3].map((queueId) => ({ queueId, from: 160_000 + queueId, to: body.to === "first" ? 0 : 160_060 })) })],
    ["GET /v1/groups/:group/dead-letters", ({ group: name }) => ok({ topic: `%DLQ%${name}`, messages: need(`%DLQ%${name}`)?.stored ?? [] })],
    ["POST /v1/groups/:group/dead-letters/resend", (_, __, body) => ok({ results: body.messages.map((_: unknown, n: number) => (n === 3 ? { error: { title: "There is no such topic", detail: "topic orders-old does not exist" } } : { messageId: `7F00${n}`, queueId: 0, queueOffset: n })) })],
    ["GET /v1/connections", () => ok({ connections: options.empty ? [] : Array.from({ length: 9 }, (_, n) => ({ id: `c${n}`, address: `10.0.4.${17 + n}:512${n}0`, protocol: n % 4 === 3 ? "http" : "remoting", ...(n % 4 === 3 ? {} : { clientId: `10.0.4.${17 + n}@${4_000 + n}#83712`, language: "JAVA", version: "V5_3_3" }), since: at(NOW() - 1_000_000 * (n + 1)), groups: groups.slice(n % 3, (n % 3) + 1), kind: n % 2 ? "consumer" : "producer" })) })],
    ["GET /v1/mqtt", () => ok({ connected: 3, kept: 1, subscriptions: 6, filters: 5, sharedGroups: 1, received: 18_202, sent: 40_118, dropped: 12, retained: 2, retainedBytes: 310 })],
    ["GET /v1/mqtt/clients", (_, query) => ok({ clients: options.empty ? [] : mqttClients.filter((each) => each.clientId.startsWith(query.get("prefix") ?? "")) })],
    ["GET /v1/mqtt/clients/:client", ({ client }) => {
      const found = mqttClients.find((each) => each.clientId === client);
      if (!found) return problem(404, "no-client", "there is no such MQTT client", `the MQTT client "${client}" has no session`, "GET /v1/mqtt/clients lists those that there are.");
      const subscription = (filter: string, lag: number) => ({ filter, qos: 1, noLocal: false, retainAsPublished: false, shared: filter.startsWith("$share/"), lag });
      return ok({ ...found, session: { subscriptions: [subscription("$share/west/plant/#", 3), subscription("plant/+/state", found.connected ? 0 : 812)], inflightOut: 4, inflightIn: 0, queued: found.connected ? 0 : 812, retainedWaiting: 0, unwrittenBytes: 0, dropped: 12 } });
    }],
    ["DELETE /v1/mqtt/clients/:client", ({ client }) => { mqttClients.splice(mqttClients.findIndex((each) => each.clientId === client), 1); return { status: 204 }; }],
    ["DELETE /v1/mqtt/clients/:client/connection", ({ client }) => { for (const each of mqttClients) if (each.clientId === client) each.connected = false; return { status: 204 }; }],
    ["GET /v1/mqtt/shared", () => ok({ groups: options.empty ? [] : [{ group: "west", filter: "plant/#", members: ["press-1", "press-2"], membersAway: 1, lag: 3 }] })],
    ["GET /v1/mqtt/retained", () => ok({ retained: options.empty ? [] : [{ topic: "plant/1/state", qos: 1, size: 2, storedAt: at(started) }, { topic: "plant/2/state", qos: 1, size: 3, storedAt: at(started) }] })],
    ["DELETE /v1/mqtt/retained/:topic", () => ({ status: 204 })],
    ["GET /v1/config", () => ok({ settings })],
    ["PATCH /v1/config", (_, __, body) => {
      for (const [key, value] of Object.entries(body)) {
        const setting = settings.find((each) => each.key === key);
        if (!setting?.live) return problem(409, "not-live", "This setting changes at a start", `${key} cannot change while the server runs`, "Set it in the configuration file and restart.");
        setting.value = String(value);
      }
      return ok({ settings });
    }],
    ["GET /v1/definitions", () => ok({ topics: [...topics.values()].filter((topic) => topic.kind === "user").map(({ name, readQueues, writeQueues, permission }) => ({ name, readQueues, writeQueues, permission })), groups: groups.map((name) => ({ name, consumeEnable: true, retryMax: 16 })) })],
    ["POST /v1/definitions", (_, __, body) => ok({ created: body.topics.filter((topic: Topic) => !topics.has(topic.name)).map(({ name }: Topic) => ({ kind: "topic", name })), changed: [], unchanged: body.topics.filter((topic: Topic) => topics.has(topic.name)).map(({ name }: Topic) => ({ kind: "topic", name })) })],
    ["POST /v1/session", (_, __, ___, request) => {
      const given = request.headers.authorization ?? "";
      if (given !== "Bearer t0ken" && given !== `Basic ${Buffer.from("ann:s3cret").toString("base64")}`) return refused();
      sessions.add("s1");
      return { status: 204, headers: { "Set-Cookie": "ferromq-session=s1; HttpOnly; SameSite=Strict; Path=/" } };
    }],
    ["DELETE /v1/session", () => { sessions.clear(); return { status: 204 }; }],
    ["GET /openapi.json", () => ok(DOCUMENT)],
  ];
  const refused = (): Reply => problem(401, "unauthenticated", "Who are you?", "the request has no credentials that are known here", "Send an Authorization header, or log in by POST /v1/session.");

  return (request, response) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const text = Buffer.concat(parts).toString();
      const known = !options.auth || url.pathname === "/v1/session" || sessions.has(/ferromq-session=(\w+)/.exec(request.headers.cookie ?? "")?.[1] ?? "");
      const reply = known ? answer(routes, request, url, text) : refused();
      response.writeHead(reply.status, { "Content-Type": "application/json", ...reply.headers });
      response.end(reply.body === undefined ? undefined : JSON.stringify(reply.body));
    });
  };
}

function answer(routes: [string, Handler][], request: IncomingMessage, url: URL, text: string): Reply {
  for (const [pattern, handler] of routes) {
    const [method, path = ""] = pattern.split(" ");
    const found = method === request.method && new RegExp(`^${path.replace(/:(\w+)/g, "(?<$1>[^/]+)")}$`).exec(url.pathname);
    if (!found) continue;
    const match = Object.fromEntries(Object.entries(found.groups ?? {}).map(([name, value]) => [name, decodeURIComponent(value)]));
    return handler(match, url.searchParams, text ? JSON.parse(text) : undefined, request);
  }
  return problem(404, "no-route", "There is nothing here", `${request.method} ${url.pathname} is no operation`, "See /openapi.json.");
}

const DOCUMENT = {
  openapi: "3.1.0",
  info: { title: "FerroMQ (made up)", version: "0.1.0" },
  paths: {
    "/v1/topics": { get: { tags: ["topics"], summary: "All topics", parameters: [{ name: "system", in: "query", description: "Whether retry, dead-letter and system topics are listed too", schema: { type: "boolean", default: false } }], responses: { 200: { description: "The topics", content: { "application/json": {} } } } } },
    "/v1/topics/{topic}/messages": {
      post: {
        tags: ["messages"],
        summary: "Sends one message or many",
        description: "Sends one message or many.\nAnswered when the message is as safe as `flushDiskType` promises.",
        parameters: [{ name: "topic", in: "path", required: true, schema: { type: "string" } }, { name: "FerroMQ-Tag", in: "header", schema: { type: "string" } }],
        requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/NewMessage" } }, "text/plain": {} } },
        responses: { 201: { description: "Stored" }, 404: { description: "No such topic", content: { "application/problem+json": {} } } },
      },
    },
  },
  components: { schemas: { NewMessage: { type: "object", required: ["text"], properties: { text: { type: "string", example: "hello" }, tag: { type: "string" } } } } },
};
