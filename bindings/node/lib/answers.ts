/** What administration answers and takes: as `ferromq admin --output json` prints it. Times are milliseconds since 1970. */

/** Which brokers are meant; without one, all that there are. */
export type Scope = { cluster: string } | { broker: string }

/** Where a group is moved to: the beginning, the end, or the first message stored at a time or later. */
export type ResetTo = 'first' | 'last' | number

/** What many servers were asked for: what the others said, and who could not. */
export interface Gathered<T> {
  value: T
  failures: Failure[]
}

/** A server that could not do what it was asked for. */
export interface Failure {
  server: string
  addr: string
  /** What it refused with. */
  code: number | null
  error: string
}

/** A broker; the master has the id 0. */
export interface BrokerNode {
  cluster: string
  name: string
  id: number
  addr: string
}

/** What one broker said. */
export interface PerBroker<T> {
  broker: BrokerNode
  value: T
}

/** A queue as administration names it. */
export interface Queue {
  topic: string
  /** The broker's name; its address too, where it is asked for. */
  broker: string
  queue: number
}

/** Where a topic is. */
export interface RouteRow {
  cluster: string
  broker: string
  addrs: Record<string, string>
  readQueues: number
  writeQueues: number
}

/** What the queues of a topic hold. */
export interface TopicStatus {
  putsPerSecond: number
  queues: (Queue & { min: number; max: number; lastStored: number | null })[]
}

/** How a topic is set. */
export interface TopicSettings {
  topicName: string
  readQueueNums: number
  writeQueueNums: number
  perm: number
  order: boolean
  topicFilterType: string
  topicSysFlag: number
  attributes: Record<string, string>
}

/** What goes through a topic, and a group that reads it. */
export interface Traffic {
  topic: string
  group: string | null
  putsPerSecond: number
  putsInDay: number
  getsPerSecond: number
  getsInDay: number
  lag: number
}

/** How a group is set; all that RocketMQ has. */
export interface GroupSettings {
  groupName: string
  consumeEnable: boolean
  retryMaxTimes: number
  [setting: string]: unknown
}

/** How far a group is. */
export interface Progress {
  getsPerSecond: number
  lag: number
  queues: (Queue & { end: number; position: number; lag: number; lastConsumed: number | null })[]
}

/** What a member of a group runs. */
export interface Running {
  client: string
  properties: Record<string, string>
  stack: string | null
  rates: Record<string, object>
  queues: (Queue & {
    position: number
    waiting: number
    waitingMib: number
    locked: boolean
    lastPulled: number
    lastConsumed: number
  })[]
}

/** What is subscribed to. */
export interface Subscribed {
  expression: string
  kind: string
}

/** A group whose members are connected. */
export interface ConsumerGroup {
  group: string
  members: Connected[]
  consumeType: string
  messageModel: string
  consumeFromWhere: string
  subscriptions: Record<string, Subscribed>
}

/** A client that is connected. */
export interface Connected {
  clientId: string
  addr: string
  language: string
  version: number
  heard?: number
}

/** A position that was changed. */
export type Moved = Queue & { before: number | null; after: number }

/** A position. */
export type Position = Queue & { position: number }

/** What came of handing a message to a member. */
export interface Consumed {
  consumeResult: string | number
  order: boolean
  remark: string | null
  spentTimeMills: number
}

/** Whether a group has consumed a message. */
export interface Track {
  group: string
  consumed: boolean | null
  online: boolean
}

/** Entries of a queue's index. */
export interface QueueEntries {
  queueData: { eval: boolean; physicOffset: number; physicSize: number; tagsCode: number }[] | null
  [more: string]: unknown
}

/** A cluster. */
export interface Cluster {
  name: string
  brokers: BrokerNode[]
}

/** How a broker is. */
export interface BrokerState {
  version: string
  started: number | null
  putsPerSecond: number
  getsPerSecond: number
  putsToday: number
  getsToday: number
  diskUsed: number | null
  logBytes: number
  oldestMessage: number | null
  table: Record<string, string>
}

/** How replicas follow. */
export interface Replication {
  master: boolean
  masterCommitLogMaxOffset: number
  inSyncSlaveNums: number
  haConnectionInfo: object[]
  haClientRuntimeInfo: object
}

/** A figure of a broker, over three spans. */
export interface Statistic {
  statsMinute: Counted
  statsHour: Counted
  statsDay: Counted
}

/** A figure over one span. */
export interface Counted {
  sum: number
  tps: number
  avgpt: number
}

/** What an examination found. */
export interface Finding {
  severity: 'ok' | 'warning' | 'error'
  check: string
  subject: string
  found: string
  advice: string
}
