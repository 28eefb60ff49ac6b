/** The operations of administration. Made by `scripts/operations.mjs`: do not edit. */

import type {
  BrokerNode,
  BrokerState,
  Cluster,
  Connected,
  Consumed,
  ConsumerGroup,
  Failure,
  Finding,
  Gathered,
  GroupSettings,
  Moved,
  PerBroker,
  Position,
  Progress,
  Queue,
  QueueEntries,
  Replication,
  ResetTo,
  RouteRow,
  Running,
  Scope,
  Statistic,
  Subscribed,
  TopicSettings,
  TopicStatus,
  Track,
  Traffic,
} from './answers.js'
import type { Instant } from './message.js'
import type { ReceivedMessage } from './received.js'
import type { SignalOptions } from './signal.js'

/**
 * What can be administered.
 *
 * What many brokers know is asked of all of them: the answer has what the others say (`value`) and who failed (`failures`).
 * What is changed is changed on masters, and may be changed again if some failed. Calls reject with `ADMIN`, or with what
 * went wrong with the servers; with `CONFIG` if an argument is no good.
 */
export interface Operations {
  /** The names of all topics, sorted: those of groups and of brokers included. */
  topics(options?: {
    /** Those of this cluster; all by default. */
    cluster?: string
  } & SignalOptions): Promise<string[]>

  /** Where a topic is: its brokers. */
  topicRoute(options: {
    /** The topic. */
    topic: string
  } & SignalOptions): Promise<RouteRow[]>

  /** What the queues of a topic hold. */
  topicStatus(options: {
    /** The topic. */
    topic: string
  } & SignalOptions): Promise<Gathered<TopicStatus>>

  /** How a topic is set on each master that has it. That no broker has it is an error. */
  topicSettings(options: {
    /** The topic. */
    topic: string
    /** On these brokers. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<PerBroker<TopicSettings>[]>>

  /** How all topics are set on each master, by name. */
  allTopicSettings(options?: {
    /** On these brokers. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<PerBroker<Record<string, TopicSettings>>[]>>

  /**
   * Creates a topic on masters, or changes it there: what is left out stays as it is, or is RocketMQ's default for a
   * new topic. Answers who failed.
   */
  changeTopic(options: {
    /** The topic. */
    topic: string
    /** Queues for reading and writing: 8 for a new topic. */
    queues?: number
    /** Queues that consumers read, if not as many. */
    readQueues?: number
    /** Queues that producers write, if not as many. */
    writeQueues?: number
    /** What clients may do, as RocketMQ counts it: 2 write, 4 read, 6 both, which is so for a new topic. */
    permission?: number
    /** Whether the number of queues is kept fixed for ordering: not for a new topic. */
    ordered?: boolean
    /** Bit 0: unit topic; bit 1: has unit subscribers. */
    sysFlag?: number
    /** Attributes to set, such as `message.type`. */
    set?: Readonly<Record<string, string>>
    /** Attributes to remove. */
    remove?: readonly string[]
    /** On these brokers. */
    scope?: Scope
  } & SignalOptions): Promise<Failure[]>

  /** Gives a topic these settings, all of them, on masters; makes it where it is not there. Answers who has. */
  putTopic(options: {
    /** As `topicSettings` answers them. */
    settings: TopicSettings
    /** On these brokers. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<BrokerNode[]>>

  /** Deletes a topic with its queues on masters and, unless that is one broker, at the NameServers. Answers who failed. */
  deleteTopic(options: {
    /** The topic. */
    topic: string
    /** On these brokers. */
    scope?: Scope
  } & SignalOptions): Promise<Failure[]>

  /** The groups that read a topic, or have read it. */
  groupsOfTopic(options: {
    /** The topic. */
    topic: string
  } & SignalOptions): Promise<Gathered<string[]>>

  /** What goes through a topic and through each group that reads it. */
  traffic(options?: {
    /** The topic; all that applications made by default. */
    topic?: string
  } & SignalOptions): Promise<Gathered<Traffic[]>>

  /** How many queues an ordered topic has on each broker, as NameServers tell clients: `broker-a:4;broker-b:4`. */
  orderOf(options: {
    /** The topic. */
    topic: string
  } & SignalOptions): Promise<string | null>

  /** Sets that. Answers which NameServers have. */
  setOrderOf(options: {
    /** The topic. */
    topic: string
    /** `broker-a:4;broker-b:4`; removes it by default. */
    order?: string
  } & SignalOptions): Promise<Gathered<BrokerNode[]>>

  /** The names of all consumer groups that brokers have settings of, sorted. */
  groups(options?: {
    /** Of these brokers. */
    scope?: Scope
  } & SignalOptions): Promise<string[]>

  /** How a group is set on each master that knows it. That no broker does is an error. */
  groupSettings(options: {
    /** The group. */
    group: string
    /** On these brokers. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<PerBroker<GroupSettings>[]>>

  /** How all groups are set on each master, by name. */
  allGroupSettings(options?: {
    /** On these brokers. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<PerBroker<Record<string, GroupSettings>>[]>>

  /**
   * Creates a consumer group on masters, or changes it there: what is left out stays as it is, or is RocketMQ's default
   * for a new group. Answers who failed.
   */
  changeGroup(options: {
    /** The group. */
    group: string
    /** Whether its members may consume at all: yes for a new group. */
    consume?: boolean
    /** Whether they may consume in broadcasting mode: yes for a new group. */
    broadcast?: boolean
    /** Whether a group without positions may start at the oldest message: yes for a new group. */
    fromMin?: boolean
    /** Whether it consumes orderly, for consumers that leave that to brokers: not for a new group. */
    orderly?: boolean
    /** Queues of its retry topic: 1 for a new group. */
    retryQueues?: number
    /** Redeliveries before a message becomes a dead letter: 16 for a new group. */
    retryMax?: number
    /** The broker that serves it: 0, the master, for a new group. */
    brokerId?: number
    /** The broker that slow readers are sent to: 1 for a new group. */
    slowBrokerId?: number
    /** Whether members are told of joins and leaves: yes for a new group. */
    notify?: boolean
    /** Attributes to set. */
    set?: Readonly<Record<string, string>>
    /** On these brokers. */
    scope?: Scope
  } & SignalOptions): Promise<Failure[]>

  /** Gives a group these settings, all of them, on masters; makes it where it is not there. Answers who has. */
  putGroup(options: {
    /** As `groupSettings` answers them. */
    settings: GroupSettings
    /** On these brokers. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<BrokerNode[]>>

  /** Deletes a group's settings on the masters that have them. Answers who has. */
  deleteGroup(options: {
    /** The group. */
    group: string
    /** Its positions, too: not by default. */
    offsets?: boolean
    /** Its retry topic and its dead letters, too: not by default. */
    messages?: boolean
    /** On these brokers. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<BrokerNode[]>>

  /** How far a group is, queue by queue, and its lag. */
  progress(options: {
    /** The group. */
    group: string
    /** In this topic; in all of its by default. */
    topic?: string
    /** On these brokers. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<Progress>>

  /** The topics that a group has positions in. */
  topicsOfGroup(options: {
    /** The group. */
    group: string
  } & SignalOptions): Promise<Gathered<string[]>>

  /** What a group that is there wants of a topic; nothing if it does not read it. */
  subscription(options: {
    /** The group. */
    group: string
    /** The topic. */
    topic: string
  } & SignalOptions): Promise<Gathered<Subscribed | null>>

  /** Sets whether a group pulls or pops a topic, for consumers that leave that to brokers. Answers who has. */
  setMode(options: {
    /** The group. */
    group: string
    /** The topic. */
    topic: string
    /** Whether it pops. */
    pop: boolean
    /** With how many further members each shares its queues while popping: 0, which is the default, for all. */
    shared?: number
    /** On these brokers. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<BrokerNode[]>>

  /** Whether a group may read a topic on each master of it, which is changed first if that is asked for. */
  readable(options: {
    /** The group. */
    group: string
    /** The topic. */
    topic: string
    /** What is to be; only asks by default. */
    change?: boolean
  } & SignalOptions): Promise<Gathered<PerBroker<boolean>[]>>

  /** The members of a consumer group and what they want; nothing if nobody is there. */
  consumers(options: {
    /** The group. */
    group: string
    /** As these brokers see them. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<ConsumerGroup | null>>

  /** The members of a producer group. */
  producers(options: {
    /** The group. */
    group: string
    /** As these brokers see them. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<Connected[]>>

  /** All producers, by group. */
  allProducers(options?: {
    /** As these brokers see them. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<Record<string, Connected[]>>>

  /** What a member of a consumer group is doing, by its own account. */
  runningInfo(options: {
    /** The group. */
    group: string
    /** The member's client id, as `consumers` has it. */
    client: string
    /** What its threads do, too, if it can tell: not by default. */
    stack?: boolean
  } & SignalOptions): Promise<Running>

  /** Moves a group in a topic. Answers the moves. */
  resetOffsets(options: {
    /** The group. */
    group: string
    /** The topic. */
    topic: string
    /** `first`, `last`, or milliseconds since 1970: the first message stored then or later. */
    to: ResetTo | Date
    /** Only says what would be moved: not by default. */
    dryRun?: boolean
  } & SignalOptions): Promise<Gathered<Moved[]>>

  /** Moves a group in one queue. Answers the move. */
  resetQueue(options: {
    /** The group. */
    group: string
    /** The queue. */
    queue: Queue
    /** The number of the message in the queue. */
    offset: number
    /** Only says what would be moved: not by default. */
    dryRun?: boolean
  } & SignalOptions): Promise<Gathered<Moved[]>>

  /**
   * Gives a group the positions of another one in a topic. Nobody of the group that gets them should be there, who
   * would write over them. Answers who has.
   */
  cloneOffsets(options: {
    /** The group whose positions are taken. */
    fromGroup: string
    /** The group that gets them. */
    toGroup: string
    /** The topic. */
    topic: string
  } & SignalOptions): Promise<Gathered<BrokerNode[]>>

  /** Where the members of a group are in a topic, by their own account: by client id. */
  memberPositions(options: {
    /** The group. */
    group: string
    /** The topic. */
    topic: string
  } & SignalOptions): Promise<Gathered<Record<string, Position[]>>>

  /** The message at a place. */
  messageAt(options: {
    /** The place: 32 or 56 hexadecimal digits, as receipts and messages have them. */
    place: string
  } & SignalOptions): Promise<ReceivedMessage>

  /** The messages with the id that their producer gave them: several if one was stored again. */
  messagesById(options: {
    /** The topic. */
    topic: string
    /** The id. */
    id: string
  } & SignalOptions): Promise<ReceivedMessage[]>

  /** The messages with a key, the newest first. */
  messagesByKey(options: {
    /** The topic. */
    topic: string
    /** The key. */
    key: string
    /** Stored then or later, in milliseconds since 1970; from the oldest message on by default. */
    begin?: Instant
    /** Stored then or earlier, in milliseconds since 1970; up to the newest message by default. */
    end?: Instant
    /** At most so many of each broker: 32 by default. */
    most?: number
  } & SignalOptions): Promise<ReceivedMessage[]>

  /**
   * Messages of a queue from an offset on, as many as the broker likes to hand out at once. Changes nobody's position.
   * None if the queue does not have that offset, any more or yet.
   */
  readQueue(options: {
    /** The queue. */
    queue: Queue
    /** The number of the first message. */
    offset: number
    /** At most so many: 1 to 32, which is the default. */
    most?: number
  } & SignalOptions): Promise<ReceivedMessage[]>

  /** Entries of a queue as its broker keeps them: where records lie, and what filters go by. */
  queueEntries(options: {
    /** The queue. */
    queue: Queue
    /** The number of the first message. */
    offset: number
    /** At most so many: 32 by default. */
    most?: number
  } & SignalOptions): Promise<QueueEntries>

  /**
   * Stores a copy of a message, with what its producer said of it, in a queue: of a dead letter in its topic, say.
   * Answers its number there.
   */
  storeCopy(options: {
    /** The place of the message. */
    place: string
    /** The queue that gets the copy. */
    queue: Queue
  } & SignalOptions): Promise<number>

  /** Has a member of a group consume the message at a place, now. Answers how it fared. */
  consumeDirectly(options: {
    /** The group. */
    group: string
    /** The member's client id, as `consumers` has it. */
    client: string
    /** The place of the message. */
    place: string
  } & SignalOptions): Promise<Consumed>

  /** What became of the message at a place in each group that reads its topic. */
  track(options: {
    /** The place of the message. */
    place: string
  } & SignalOptions): Promise<Track[]>

  /** The clusters, each with its brokers. */
  clusters(options?: SignalOptions): Promise<Cluster[]>

  /** The brokers, masters and replicas. */
  brokers(options?: {
    /** These. */
    scope?: Scope
  } & SignalOptions): Promise<BrokerNode[]>

  /** How brokers are, replicas included. */
  brokerStates(options?: {
    /** Of these. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<PerBroker<BrokerState>[]>>

  /** How brokers are set, replicas included: by key, without secrets. */
  brokerSettings(options?: {
    /** Of these. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<PerBroker<Record<string, string>>[]>>

  /** Changes settings of running brokers, replicas included; none that is a path. Answers who has. */
  changeBrokerSettings(options: {
    /** Values by key. */
    changes: Readonly<Record<string, string>>
    /** On these. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<BrokerNode[]>>

  /** Has brokers clear something away. Answers who has. */
  clean(options: {
    /**
     * `expiredQueues`: files of queues whose messages are all gone from the log. `unusedTopics`: queues of topics
     * that do not exist. `expiredLog`: files of the log that are past their time.
     */
    what: 'expired_queues' | 'unused_topics' | 'expired_log'
    /** On these. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<BrokerNode[]>>

  /** How replication goes, as masters see it. */
  replication(options?: {
    /** Of these. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<PerBroker<Replication>[]>>

  /** One statistic of each master that has it. */
  statistic(options: {
    /** What is counted, as RocketMQ calls it: `TOPIC_PUT_NUMS`. */
    name: string
    /** Of what: a topic, or `topic@group`. */
    key: string
    /** Of these. */
    scope?: Scope
  } & SignalOptions): Promise<Gathered<PerBroker<Statistic>[]>>

  /** How NameServers are set: by key, without secrets. */
  nameServerSettings(options?: SignalOptions): Promise<Gathered<PerBroker<Record<string, string>>[]>>

  /** Changes settings of running NameServers; none that is a path. Answers who has. */
  changeNameServerSettings(options: {
    /** Values by key. */
    changes: Readonly<Record<string, string>>
  } & SignalOptions): Promise<Gathered<BrokerNode[]>>

  /** A value of the NameServers' key-value table; nothing if it has none. */
  value(options: {
    /** The namespace. */
    namespace: string
    /** The key. */
    key: string
  } & SignalOptions): Promise<string | null>

  /** A namespace of the NameServers' key-value table. */
  values(options: {
    /** The namespace. */
    namespace: string
  } & SignalOptions): Promise<Record<string, string>>

  /** Stores a value in the NameServers' key-value table. Answers which of them have. */
  putValue(options: {
    /** The namespace. */
    namespace: string
    /** The key. */
    key: string
    /** The value. */
    value: string
  } & SignalOptions): Promise<Gathered<BrokerNode[]>>

  /** Removes a value from the NameServers' key-value table. Answers which of them have. */
  deleteValue(options: {
    /** The namespace. */
    namespace: string
    /** The key. */
    key: string
  } & SignalOptions): Promise<Gathered<BrokerNode[]>>

  /**
   * Keeps producers away from a broker before it is stopped, or lets them come again. Answers how many of its topics
   * each NameServer has changed.
   */
  allowWrites(options: {
    /** The broker's name. */
    broker: string
    /** Whether they may come. */
    allow: boolean
  } & SignalOptions): Promise<Gathered<PerBroker<number>[]>>

  /** What is wrong with the servers, and what to do about it; the worst first. */
  examine(options?: SignalOptions): Promise<Finding[]>
}

/** @internal Each operation with its arguments, as the native half names them. */
export const OPERATIONS: readonly (readonly [string, readonly string[]])[] = [
  ['topics', ['cluster']],
  ['topic_route', ['topic']],
  ['topic_status', ['topic']],
  ['topic_settings', ['topic', 'scope']],
  ['all_topic_settings', ['scope']],
  ['change_topic', ['topic', 'queues', 'read_queues', 'write_queues', 'permission', 'ordered', 'sys_flag', 'set', 'remove', 'scope']],
  ['put_topic', ['settings', 'scope']],
  ['delete_topic', ['topic', 'scope']],
  ['groups_of_topic', ['topic']],
  ['traffic', ['topic']],
  ['order_of', ['topic']],
  ['set_order_of', ['topic', 'order']],
  ['groups', ['scope']],
  ['group_settings', ['group', 'scope']],
  ['all_group_settings', ['scope']],
  ['change_group', ['group', 'consume', 'broadcast', 'from_min', 'orderly', 'retry_queues', 'retry_max', 'broker_id', 'slow_broker_id', 'notify', 'set', 'scope']],
  ['put_group', ['settings', 'scope']],
  ['delete_group', ['group', 'offsets', 'messages', 'scope']],
  ['progress', ['group', 'topic', 'scope']],
  ['topics_of_group', ['group']],
  ['subscription', ['group', 'topic']],
  ['set_mode', ['group', 'topic', 'pop', 'shared', 'scope']],
  ['readable', ['group', 'topic', 'change']],
  ['consumers', ['group', 'scope']],
  ['producers', ['group', 'scope']],
  ['all_producers', ['scope']],
  ['running_info', ['group', 'client', 'stack']],
  ['reset_offsets', ['group', 'topic', 'to', 'dry_run']],
  ['reset_queue', ['group', 'queue', 'offset', 'dry_run']],
  ['clone_offsets', ['from_group', 'to_group', 'topic']],
  ['member_positions', ['group', 'topic']],
  ['message_at', ['place']],
  ['messages_by_id', ['topic', 'id']],
  ['messages_by_key', ['topic', 'key', 'begin', 'end', 'most']],
  ['read_queue', ['queue', 'offset', 'most']],
  ['queue_entries', ['queue', 'offset', 'most']],
  ['store_copy', ['place', 'queue']],
  ['consume_directly', ['group', 'client', 'place']],
  ['track', ['place']],
  ['clusters', []],
  ['brokers', ['scope']],
  ['broker_states', ['scope']],
  ['broker_settings', ['scope']],
  ['change_broker_settings', ['changes', 'scope']],
  ['clean', ['what', 'scope']],
  ['replication', ['scope']],
  ['statistic', ['name', 'key', 'scope']],
  ['name_server_settings', []],
  ['change_name_server_settings', ['changes']],
  ['value', ['namespace', 'key']],
  ['values', ['namespace']],
  ['put_value', ['namespace', 'key', 'value']],
  ['delete_value', ['namespace', 'key']],
  ['allow_writes', ['broker', 'allow']],
  ['examine', []],
]
