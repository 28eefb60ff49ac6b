// What the API answers, as far as the page shows it. Names are the API's own.

export interface Overview {
  name: string;
  cluster: string;
  version: string;
  startedAt: string;
  now: string;
  flush: string;
  disk: { used: number; total: number; log: number };
  memory?: number | null;
  topics: number;
  groups: number;
  connections: Record<string, number>;
  rates: { putPerSecond: number; getPerSecond: number; putBytesPerSecond: number; getBytesPerSecond: number };
  latency: { put: { p50?: number | null; p99?: number | null } };
  lag: number;
  history: Sample[];
}

export interface Sample {
  at: string;
  put: number;
  get: number;
  putBytes: number;
  getBytes: number;
  p50?: number | null;
  p99?: number | null;
}

export interface Broker {
  name: string;
  id: number;
  cluster: string;
  address: string;
  version?: string;
  startedAt?: string;
  self?: boolean;
}

export type TopicKind = "user" | "retry" | "dlq" | "system";

export interface Topic {
  name: string;
  readQueues: number;
  writeQueues: number;
  permission: string;
  order: boolean;
  attributes?: Record<string, string>;
  kind: TopicKind;
  messages: number;
  putRate: number;
  groups: number;
}

export interface Queue {
  queueId: number;
  minOffset: number;
  maxOffset: number;
  lastStoredAt?: string;
}

export interface Group {
  name: string;
  online: boolean;
  members: number;
  consumeType?: string;
  messageModel?: string;
  topics: string[];
  lag: number;
  lagSeconds?: number | null;
  getRate: number;
  settings: GroupSettings;
}

export interface GroupSettings {
  consumeEnable: boolean;
  broadcastEnable: boolean;
  orderly: boolean;
  retryQueues: number;
  retryMax: number;
  consumeTimeoutMinutes: number;
}

export interface Member {
  clientId: string;
  address: string;
  protocol: string;
  language?: string;
  version?: string;
  connectedAt?: string;
  subscriptions: { topic: string; expression: string; type: string }[];
}

export interface QueueLag {
  queueId: number;
  committed: number;
  end: number;
  lag: number;
  lagSeconds?: number | null;
  clientId?: string;
}

export interface GroupLag {
  lag: number;
  lagSeconds?: number | null;
  topics: { topic: string; lag: number; lagSeconds?: number | null; queues: QueueLag[] }[];
}

export interface Rebalance {
  at: string;
  members: string[];
  joined: string[];
  left: string[];
}

export interface Connection {
  id: string;
  address: string;
  protocol: string;
  clientId?: string;
  language?: string;
  version?: string;
  since?: string;
  groups: string[];
  kind?: string;
}

export interface Message {
  messageId: string;
  offsetMessageId?: string;
  topic: string;
  queueId: number;
  queueOffset: number;
  bornAt?: string;
  storedAt: string;
  bornHost?: string;
  size?: number;
  tag?: string;
  keys?: string[];
  properties?: Record<string, string>;
  contentType?: string;
  text?: string;
  base64?: string;
  deliveries?: number;
}

export interface Sent {
  messageId: string;
  offsetMessageId?: string;
  queueId: number;
  queueOffset: number;
}

export interface Setting {
  key: string;
  /** None of a secret. */
  value: string | null;
  default: string;
  room?: string;
  live: boolean;
  doc: string;
  /** Which values are, in words. */
  allowed?: string;
}

export interface Definitions {
  topics: Record<string, unknown>[];
  groups: Record<string, unknown>[];
}

export interface Named {
  kind: "topic" | "group";
  name: string;
}

export interface Imported {
  created: Named[];
  changed: Named[];
  unchanged: Named[];
}

export interface MqttOverview {
  connected: number;
  kept: number;
  subscriptions: number;
  filters: number;
  sharedGroups: number;
  received: number;
  sent: number;
  dropped: number;
  retained: number;
  retainedBytes: number;
}

export interface MqttClient {
  clientId: string;
  version: string;
  connected: boolean;
  address?: string;
  user?: string;
  since?: string;
  /** Null is for ever. */
  expirySeconds: number | null;
  endsAt?: string;
}

export interface MqttSubscription {
  filter: string;
  qos: number;
  noLocal: boolean;
  retainAsPublished: boolean;
  identifier?: number;
  shared: boolean;
  position?: number;
  lag: number;
}

export interface MqttClientDetail extends MqttClient {
  /** None of a connection that is too busy to say. */
  session?: {
    subscriptions: MqttSubscription[];
    inflightOut: number;
    inflightIn: number;
    queued: number;
    retainedWaiting: number;
    unwrittenBytes: number;
    dropped: number;
  };
}

export interface MqttSharedGroup {
  group: string;
  filter: string;
  members: string[];
  membersAway: number;
  lag: number;
}

export interface RetainedTopic {
  topic: string;
  qos: number;
  size: number;
  storedAt: string;
  expiresAt?: string;
}
