// What the package declares, without its comments: written by `npm run types`, and not to be edited.

// admin.d.ts

import { Owner, type Client } from './client.js';
import { type Operations } from './operations.js';
export interface Admin extends Operations {
}
export declare class Admin extends Owner {
    constructor(client: Client | string);
    close(): Promise<void>;
}

// answers.d.ts

export type Scope = {
    cluster: string;
} | {
    broker: string;
};
export type ResetTo = 'first' | 'last' | number;
export interface Gathered<T> {
    value: T;
    failures: Failure[];
}
export interface Failure {
    server: string;
    addr: string;
    code: number | null;
    error: string;
}
export interface BrokerNode {
    cluster: string;
    name: string;
    id: number;
    addr: string;
}
export interface PerBroker<T> {
    broker: BrokerNode;
    value: T;
}
export interface Queue {
    topic: string;
    broker: string;
    queue: number;
}
export interface RouteRow {
    cluster: string;
    broker: string;
    addrs: Record<string, string>;
    readQueues: number;
    writeQueues: number;
}
export interface TopicStatus {
    putsPerSecond: number;
    queues: (Queue & {
        min: number;
        max: number;
        lastStored: number | null;
    })[];
}
export interface TopicSettings {
    topicName: string;
    readQueueNums: number;
    writeQueueNums: number;
    perm: number;
    order: boolean;
    topicFilterType: string;
    topicSysFlag: number;
    attributes: Record<string, string>;
}
export interface Traffic {
    topic: string;
    group: string | null;
    putsPerSecond: number;
    putsInDay: number;
    getsPerSecond: number;
    getsInDay: number;
    lag: number;
}
export interface GroupSettings {
    groupName: string;
    consumeEnable: boolean;
    retryMaxTimes: number;
    [setting: string]: unknown;
}
export interface Progress {
    getsPerSecond: number;
    lag: number;
    queues: (Queue & {
        end: number;
        position: number;
        lag: number;
        lastConsumed: number | null;
    })[];
}
export interface Running {
    client: string;
    properties: Record<string, string>;
    stack: string | null;
    rates: Record<string, object>;
    queues: (Queue & {
        position: number;
        waiting: number;
        waitingMib: number;
        locked: boolean;
        lastPulled: number;
        lastConsumed: number;
    })[];
}
export interface Subscribed {
    expression: string;
    kind: string;
}
export interface ConsumerGroup {
    group: string;
    members: Connected[];
    consumeType: string;
    messageModel: string;
    consumeFromWhere: string;
    subscriptions: Record<string, Subscribed>;
}
export interface Connected {
    clientId: string;
    addr: string;
    language: string;
    version: number;
    heard?: number;
}
export type Moved = Queue & {
    before: number | null;
    after: number;
};
export type Position = Queue & {
    position: number;
};
export interface Consumed {
    consumeResult: string | number;
    order: boolean;
    remark: string | null;
    spentTimeMills: number;
}
export interface Track {
    group: string;
    consumed: boolean | null;
    online: boolean;
}
export interface QueueEntries {
    queueData: {
        eval: boolean;
        physicOffset: number;
        physicSize: number;
        tagsCode: number;
    }[] | null;
    [more: string]: unknown;
}
export interface Cluster {
    name: string;
    brokers: BrokerNode[];
}
export interface BrokerState {
    version: string;
    started: number | null;
    putsPerSecond: number;
    getsPerSecond: number;
    putsToday: number;
    getsToday: number;
    diskUsed: number | null;
    logBytes: number;
    oldestMessage: number | null;
    table: Record<string, string>;
}
export interface Replication {
    master: boolean;
    masterCommitLogMaxOffset: number;
    inSyncSlaveNums: number;
    haConnectionInfo: object[];
    haClientRuntimeInfo: object;
}
export interface Statistic {
    statsMinute: Counted;
    statsHour: Counted;
    statsDay: Counted;
}
export interface Counted {
    sum: number;
    tps: number;
    avgpt: number;
}
export interface Finding {
    severity: 'ok' | 'warning' | 'error';
    check: string;
    subject: string;
    found: string;
    advice: string;
}

// app.d.ts

import { Client, Closing } from './client.js';
import { type ConsumerOptions, type Handler } from './consumer.js';
export interface HandlerOptions extends ConsumerOptions {
    concurrency?: number;
}
export declare class App extends Closing {
    #private;
    constructor(client: Client | string);
    consumer(options: HandlerOptions, handler: Handler): this;
    start(): Promise<void>;
    close(): Promise<void>;
    serve(options?: {
        signal?: AbortSignal;
    }): Promise<void>;
}

// client.d.ts

export interface TlsOptions {
    authorities?: string;
    certificate?: string;
    key?: string;
    serverName?: string;
    trustAnyone?: boolean;
}
export interface Credentials {
    accessKey: string;
    secretKey: string;
    securityToken?: string;
}
export interface ClientOptions {
    instanceName?: string;
    unitName?: string;
    sticky?: boolean;
    tls?: TlsOptions;
    credentials?: Credentials;
    traceTopic?: string;
    callTimeout?: number;
    connectTimeout?: number;
    routeRefresh?: number;
    heartbeat?: number;
}
export declare abstract class Closing {
    abstract close(): Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
}
export declare class Client extends Closing {
    constructor(nameServers: string, options?: ClientOptions);
    get id(): string;
    close(): Promise<void>;
}
export declare abstract class Owner extends Closing {
    #private;
    readonly client: Client;
}

// consumer.d.ts

import type { Readable } from 'node:stream';
import { Owner, type Client } from './client.js';
import { type Instant, type MessageQueue, type Topics } from './message.js';
import { Delivery } from './received.js';
import type { SignalOptions } from './signal.js';
import { type ReadableOptions } from './streams.js';
export interface ConsumerOptions {
    group: string;
    topics: Topics;
    inOrder?: boolean;
    broadcasting?: string;
    consumeFrom?: 'first' | 'last' | Instant;
    strategy?: string;
    fetchBatch?: number;
    maxBuffered?: number;
    maxBufferedBytes?: number;
    maxSpan?: number;
    maxReconsumeTimes?: number;
    pauseAfterFailure?: number;
}
export interface ReceiveOptions extends SignalOptions {
    timeout?: number;
}
export type Outcome = 'done' | 'later' | 'dead_letter';
export type Handler = (message: Delivery) => Outcome | void | PromiseLike<Outcome | void>;
export interface RunOptions extends SignalOptions {
    concurrency?: number;
}
export declare class Consumer extends Owner implements AsyncIterable<Delivery> {
    #private;
    constructor(client: Client | string, options: ConsumerOptions);
    start(options?: SignalOptions): Promise<void>;
    get queues(): MessageQueue[];
    receiveMany(most?: number, options?: ReceiveOptions): Promise<Delivery[]>;
    receive(options?: ReceiveOptions): Promise<Delivery | undefined>;
    [Symbol.asyncIterator](): AsyncIterator<Delivery, void>;
    readable(options?: ReadableOptions): Readable;
    run(handler: Handler, options?: RunOptions): Promise<void>;
    stop(): void;
    close(): Promise<void>;
}

// errors.d.ts

import type { SendReceipt } from './message.js';
export type ErrorCode = 'CONFIG' | 'INVALID_MESSAGE' | 'CLOSED' | 'SETTLED' | 'ROUTE' | 'TOPIC_NOT_FOUND' | 'SERVER' | 'UNREACHABLE' | 'CALL_TIMEOUT' | 'REFUSED' | 'BATCH' | 'TRANSACTION' | 'NO_REPLY' | 'NOT_ASSIGNED' | 'ADMIN';
export type Remedy = 'retry' | 'fix_call' | 'ask_operator';
export interface FerroMQErrorOptions extends ErrorOptions {
    remedy?: Remedy;
    serverCode?: number;
    receipts?: readonly SendReceipt[];
}
export declare class FerroMQError extends Error {
    readonly code: ErrorCode;
    readonly remedy: Remedy;
    readonly serverCode?: number;
    readonly receipts?: readonly SendReceipt[];
    constructor(code: ErrorCode, message: string, options?: FerroMQErrorOptions);
    get retryable(): boolean;
}

// index.d.ts

export { Admin } from './admin.js';
export type * from './answers.js';
export { App, type HandlerOptions } from './app.js';
export { Client, type ClientOptions, type Closing, type Credentials, type Owner, type TlsOptions } from './client.js';
export { Consumer, type ConsumerOptions, type Handler, type Outcome, type ReceiveOptions, type RunOptions, } from './consumer.js';
export { FerroMQError, type ErrorCode, type FerroMQErrorOptions, type Remedy } from './errors.js';
export { setLogger, type Logger, type LogLevel, type LogRecord } from './logging.js';
export { Filter, MessageQueue, SendReceipt, type Instant, type Message, type QueueName, type SendStatus, type Topics, } from './message.js';
export type { Operations } from './operations.js';
export { PopConsumer, type PopOptions } from './pop.js';
export { Producer, Reply, type ProducerOptions, type Sending, type SendOptions, } from './producer.js';
export * as propagation from './propagation.js';
export { PullConsumer, type Pulled, type PullOptions, type PullRequest, type Target } from './pull.js';
export { Delivery, Lease, ReceivedMessage, type Deserializer, type NackOptions } from './received.js';
export type { SignalOptions } from './signal.js';
export type { ReadableOptions, WritableOptions } from './streams.js';
export { Transaction, TransactionProducer, type Checker, type TransactionState } from './transaction.js';

// logging.d.ts

export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'trace';
export interface LogRecord {
    level: LogLevel;
    logger: string;
    message: string;
    error?: unknown;
}
export type Logger = (record: LogRecord) => void;
export declare function setLogger(told: Logger | undefined, level?: LogLevel): void;

// message.d.ts

import { inspect } from 'node:util';
export type Instant = Date | number;
export interface Message {
    topic: string;
    body: string | Uint8Array;
    tag?: string | undefined;
    keys?: string | readonly string[] | undefined;
    properties?: Readonly<Record<string, string>> | undefined;
    shardingKey?: string | undefined;
    delayLevel?: number | undefined;
    deliverAt?: Instant | undefined;
    deliverAfter?: number | undefined;
    flag?: number | undefined;
    waitForStore?: boolean | undefined;
}
export interface QueueName {
    topic: string;
    broker: string;
    id: number;
}
export declare class MessageQueue implements QueueName {
    readonly topic: string;
    readonly broker: string;
    readonly id: number;
    constructor(topic: string, broker: string, id: number);
    equals(other: QueueName): boolean;
    toString(): string;
}
export type SendStatus = 'stored' | 'flush_disk_timeout' | 'flush_slave_timeout' | 'slave_not_available';
export declare class SendReceipt {
    #private;
    get status(): SendStatus;
    get messageId(): string;
    get queue(): MessageQueue;
    get offset(): number;
    get place(): string | undefined;
    get recallHandle(): string | undefined;
    toJSON(): object;
    [inspect.custom](): string;
}
export declare class Filter {
    private constructor();
    static all(): Filter;
    static tags(expression: string): Filter;
    static sql(expression: string): Filter;
    toString(): string;
}
export type Topics = string | readonly string[] | Readonly<Record<string, string | Filter>>;

// operations.d.ts

import type { BrokerNode, BrokerState, Cluster, Connected, Consumed, ConsumerGroup, Failure, Finding, Gathered, GroupSettings, Moved, PerBroker, Position, Progress, Queue, QueueEntries, Replication, ResetTo, RouteRow, Running, Scope, Statistic, Subscribed, TopicSettings, TopicStatus, Track, Traffic } from './answers.js';
import type { Instant } from './message.js';
import type { ReceivedMessage } from './received.js';
import type { SignalOptions } from './signal.js';
export interface Operations {
    topics(options?: {
        cluster?: string;
    } & SignalOptions): Promise<string[]>;
    topicRoute(options: {
        topic: string;
    } & SignalOptions): Promise<RouteRow[]>;
    topicStatus(options: {
        topic: string;
    } & SignalOptions): Promise<Gathered<TopicStatus>>;
    topicSettings(options: {
        topic: string;
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<PerBroker<TopicSettings>[]>>;
    allTopicSettings(options?: {
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<PerBroker<Record<string, TopicSettings>>[]>>;
    changeTopic(options: {
        topic: string;
        queues?: number;
        readQueues?: number;
        writeQueues?: number;
        permission?: number;
        ordered?: boolean;
        sysFlag?: number;
        set?: Readonly<Record<string, string>>;
        remove?: readonly string[];
        scope?: Scope;
    } & SignalOptions): Promise<Failure[]>;
    putTopic(options: {
        settings: TopicSettings;
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<BrokerNode[]>>;
    deleteTopic(options: {
        topic: string;
        scope?: Scope;
    } & SignalOptions): Promise<Failure[]>;
    groupsOfTopic(options: {
        topic: string;
    } & SignalOptions): Promise<Gathered<string[]>>;
    traffic(options?: {
        topic?: string;
    } & SignalOptions): Promise<Gathered<Traffic[]>>;
    orderOf(options: {
        topic: string;
    } & SignalOptions): Promise<string | null>;
    setOrderOf(options: {
        topic: string;
        order?: string;
    } & SignalOptions): Promise<Gathered<BrokerNode[]>>;
    groups(options?: {
        scope?: Scope;
    } & SignalOptions): Promise<string[]>;
    groupSettings(options: {
        group: string;
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<PerBroker<GroupSettings>[]>>;
    allGroupSettings(options?: {
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<PerBroker<Record<string, GroupSettings>>[]>>;
    changeGroup(options: {
        group: string;
        consume?: boolean;
        broadcast?: boolean;
        fromMin?: boolean;
        orderly?: boolean;
        retryQueues?: number;
        retryMax?: number;
        brokerId?: number;
        slowBrokerId?: number;
        notify?: boolean;
        set?: Readonly<Record<string, string>>;
        scope?: Scope;
    } & SignalOptions): Promise<Failure[]>;
    putGroup(options: {
        settings: GroupSettings;
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<BrokerNode[]>>;
    deleteGroup(options: {
        group: string;
        offsets?: boolean;
        messages?: boolean;
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<BrokerNode[]>>;
    progress(options: {
        group: string;
        topic?: string;
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<Progress>>;
    topicsOfGroup(options: {
        group: string;
    } & SignalOptions): Promise<Gathered<string[]>>;
    subscription(options: {
        group: string;
        topic: string;
    } & SignalOptions): Promise<Gathered<Subscribed | null>>;
    setMode(options: {
        group: string;
        topic: string;
        pop: boolean;
        shared?: number;
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<BrokerNode[]>>;
    readable(options: {
        group: string;
        topic: string;
        change?: boolean;
    } & SignalOptions): Promise<Gathered<PerBroker<boolean>[]>>;
    consumers(options: {
        group: string;
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<ConsumerGroup | null>>;
    producers(options: {
        group: string;
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<Connected[]>>;
    allProducers(options?: {
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<Record<string, Connected[]>>>;
    runningInfo(options: {
        group: string;
        client: string;
        stack?: boolean;
    } & SignalOptions): Promise<Running>;
    resetOffsets(options: {
        group: string;
        topic: string;
        to: ResetTo | Date;
        dryRun?: boolean;
    } & SignalOptions): Promise<Gathered<Moved[]>>;
    resetQueue(options: {
        group: string;
        queue: Queue;
        offset: number;
        dryRun?: boolean;
    } & SignalOptions): Promise<Gathered<Moved[]>>;
    cloneOffsets(options: {
        fromGroup: string;
        toGroup: string;
        topic: string;
    } & SignalOptions): Promise<Gathered<BrokerNode[]>>;
    memberPositions(options: {
        group: string;
        topic: string;
    } & SignalOptions): Promise<Gathered<Record<string, Position[]>>>;
    messageAt(options: {
        place: string;
    } & SignalOptions): Promise<ReceivedMessage>;
    messagesById(options: {
        topic: string;
        id: string;
    } & SignalOptions): Promise<ReceivedMessage[]>;
    messagesByKey(options: {
        topic: string;
        key: string;
        begin?: Instant;
        end?: Instant;
        most?: number;
    } & SignalOptions): Promise<ReceivedMessage[]>;
    readQueue(options: {
        queue: Queue;
        offset: number;
        most?: number;
    } & SignalOptions): Promise<ReceivedMessage[]>;
    queueEntries(options: {
        queue: Queue;
        offset: number;
        most?: number;
    } & SignalOptions): Promise<QueueEntries>;
    storeCopy(options: {
        place: string;
        queue: Queue;
    } & SignalOptions): Promise<number>;
    consumeDirectly(options: {
        group: string;
        client: string;
        place: string;
    } & SignalOptions): Promise<Consumed>;
    track(options: {
        place: string;
    } & SignalOptions): Promise<Track[]>;
    clusters(options?: SignalOptions): Promise<Cluster[]>;
    brokers(options?: {
        scope?: Scope;
    } & SignalOptions): Promise<BrokerNode[]>;
    brokerStates(options?: {
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<PerBroker<BrokerState>[]>>;
    brokerSettings(options?: {
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<PerBroker<Record<string, string>>[]>>;
    changeBrokerSettings(options: {
        changes: Readonly<Record<string, string>>;
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<BrokerNode[]>>;
    clean(options: {
        what: 'expired_queues' | 'unused_topics' | 'expired_log';
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<BrokerNode[]>>;
    replication(options?: {
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<PerBroker<Replication>[]>>;
    statistic(options: {
        name: string;
        key: string;
        scope?: Scope;
    } & SignalOptions): Promise<Gathered<PerBroker<Statistic>[]>>;
    nameServerSettings(options?: SignalOptions): Promise<Gathered<PerBroker<Record<string, string>>[]>>;
    changeNameServerSettings(options: {
        changes: Readonly<Record<string, string>>;
    } & SignalOptions): Promise<Gathered<BrokerNode[]>>;
    value(options: {
        namespace: string;
        key: string;
    } & SignalOptions): Promise<string | null>;
    values(options: {
        namespace: string;
    } & SignalOptions): Promise<Record<string, string>>;
    putValue(options: {
        namespace: string;
        key: string;
        value: string;
    } & SignalOptions): Promise<Gathered<BrokerNode[]>>;
    deleteValue(options: {
        namespace: string;
        key: string;
    } & SignalOptions): Promise<Gathered<BrokerNode[]>>;
    allowWrites(options: {
        broker: string;
        allow: boolean;
    } & SignalOptions): Promise<Gathered<PerBroker<number>[]>>;
    examine(options?: SignalOptions): Promise<Finding[]>;
}

// pop.d.ts

import { Owner, type Client } from './client.js';
import { type Topics } from './message.js';
import { Lease } from './received.js';
import type { SignalOptions } from './signal.js';
export interface PopOptions {
    group: string;
    topics: Topics;
    invisibleTime?: number;
    fromOldest?: boolean;
    inOrder?: boolean;
}
export declare class PopConsumer extends Owner {
    #private;
    constructor(client: Client | string, options: PopOptions);
    start(options?: SignalOptions): Promise<void>;
    receiveMany(most?: number, options?: SignalOptions & {
        wait?: number;
    }): Promise<Lease[]>;
    ackMany(leases: readonly Lease[], options?: SignalOptions): Promise<void>;
    close(): Promise<void>;
}

// producer.d.ts

import type { Writable } from 'node:stream';
import { Owner, type Client } from './client.js';
import type { Message, QueueName, SendReceipt } from './message.js';
import type { ReceivedMessage } from './received.js';
import type { SignalOptions } from './signal.js';
import { type WritableOptions } from './streams.js';
export interface ProducerOptions {
    sendTimeout?: number;
    tryTimeout?: number;
    retries?: number;
    retryAnotherBrokerWhenNotStored?: boolean;
    maxMessageSize?: number;
    compression?: 'none' | 'zlib' | 'lz4' | 'zstd';
    compressOver?: number;
    compressionLevel?: number;
    avoidSlowBrokers?: boolean;
    topicQueues?: number;
    linger?: number;
    lingerBytes?: number;
    maxInFlight?: number;
    maxInFlightBytes?: number;
}
export interface SendOptions extends SignalOptions {
    queue?: QueueName;
}
export declare class Reply {
    readonly body: Buffer;
    readonly properties: Readonly<Record<string, string>>;
    readonly bornAt: Date;
    text(): string;
    json<T = unknown>(): T;
}
export declare abstract class Sending extends Owner {
    #private;
    send(message: Message, options?: SendOptions): Promise<SendReceipt>;
    sendMany(messages: Iterable<Message>, options?: SignalOptions): Promise<SendReceipt[]>;
    sendOneway(message: Message, options?: SignalOptions): Promise<void>;
    recall(topic: string, handle: string, options?: SignalOptions): Promise<string>;
    request(question: Message, options?: SignalOptions & {
        timeout?: number;
    }): Promise<Reply>;
    reply(question: ReceivedMessage, body: string | Uint8Array, options?: SignalOptions): Promise<SendReceipt>;
    writable(options?: WritableOptions): Writable;
    close(): Promise<void>;
}
export declare class Producer extends Sending {
    constructor(client: Client | string, options?: ProducerOptions & {
        group?: string;
    });
}

// propagation.d.ts

import type { ReceivedMessage } from './received.js';
export interface TraceApi<Context = unknown> {
    context: {
        active(): Context;
    };
    propagation: {
        inject(context: Context, carrier: Record<string, string>): void;
        extract(context: Context, carrier: Readonly<Record<string, string>>): Context;
    };
}
export declare function use<Context>(api: TraceApi<Context> | undefined): void;
export declare function extract(message: ReceivedMessage): unknown;

// pull.d.ts

import { Owner, type Client } from './client.js';
import type { ReceiveOptions } from './consumer.js';
import { Filter } from './message.js';
import type { Instant, MessageQueue, QueueName, Topics } from './message.js';
import { type ReceivedMessage } from './received.js';
import type { SignalOptions } from './signal.js';
export interface PullOptions {
    group: string;
    topics?: Topics;
    offsetsIn?: string;
    consumeFrom?: 'first' | 'last' | Instant;
    strategy?: string;
    autoCommit?: boolean | number;
    fetchBatch?: number;
    maxBuffered?: number;
    maxBufferedBytes?: number;
    maxPolled?: number;
}
export type Target = number | 'first' | 'last' | Date;
export interface Pulled {
    messages: ReceivedMessage[];
    nextOffset: number;
    minOffset: number;
    maxOffset: number;
}
export interface PullRequest extends SignalOptions {
    most?: number;
    filter?: Filter;
    wait?: number;
}
export declare class PullConsumer extends Owner {
    #private;
    constructor(client: Client | string, options: PullOptions);
    start(options?: SignalOptions): Promise<void>;
    get assigned(): MessageQueue[];
    pause(queues: readonly QueueName[]): void;
    resume(queues: readonly QueueName[]): void;
    position(queue: QueueName): number | undefined;
    queues(topic: string, options?: SignalOptions): Promise<MessageQueue[]>;
    assign(queues: readonly QueueName[], filter?: Filter, options?: SignalOptions): Promise<void>;
    poll(options?: ReceiveOptions): Promise<ReceivedMessage[]>;
    pull(queue: QueueName, offset: number, options?: PullRequest): Promise<Pulled>;
    seek(queue: QueueName, to: Target, options?: SignalOptions): Promise<void>;
    committed(queue: QueueName, options?: SignalOptions): Promise<number | undefined>;
    commit(queue?: QueueName, offset?: number, options?: SignalOptions): Promise<void>;
    offsetOf(queue: QueueName, place: 'first' | 'last' | Instant, options?: SignalOptions): Promise<number>;
    close(): Promise<void>;
}

// received.d.ts

import { inspect } from 'node:util';
import { type MessageQueue } from './message.js';
import type { SignalOptions } from './signal.js';
export interface Deserializer<T> {
    deserialize(body: Buffer): T;
}
export declare class ReceivedMessage {
    #private;
    get topic(): string;
    get body(): Buffer;
    text(): string;
    json<T = unknown>(): T;
    value<T>(by: Deserializer<T>): T;
    get properties(): Readonly<Record<string, string>>;
    get tag(): string | undefined;
    get keys(): string[];
    get shardingKey(): string | undefined;
    get messageId(): string;
    get place(): string;
    get queue(): MessageQueue;
    get queueOffset(): number;
    get reconsumeTimes(): number;
    get bornAt(): Date;
    get storedAt(): Date;
    get bornHost(): string;
    get flag(): number;
    toJSON(): object;
    [inspect.custom](): string;
}
export interface NackOptions extends SignalOptions {
    delayLevel?: number;
    deadLetter?: boolean;
}
export declare class Delivery extends ReceivedMessage {
    #private;
    ack(): Promise<void>;
    nack(options?: NackOptions): Promise<void>;
}
export declare class Lease extends ReceivedMessage {
    ack(options?: SignalOptions): Promise<void>;
    nack(options?: SignalOptions): Promise<void>;
    extend(time: number, options?: SignalOptions): Promise<void>;
}

// signal.d.ts

export interface SignalOptions {
    signal?: AbortSignal | undefined;
}
export declare function shared<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T>;

// streams.d.ts

export interface WritableOptions {
    highWaterMark?: number;
    signal?: AbortSignal;
}
export interface ReadableOptions {
    highWaterMark?: number;
    signal?: AbortSignal;
}

// testing.d.ts

import { Closing } from './client.js';
export interface LocalBrokerOptions {
    settings?: Readonly<Record<string, string>>;
    program?: string;
}
export declare class LocalBroker extends Closing {
    #private;
    constructor(options?: LocalBrokerOptions);
    static start(options?: LocalBrokerOptions): Promise<LocalBroker>;
    get address(): string;
    get http(): string;
    start(): Promise<void>;
    log(): string;
    kill(): Promise<void>;
    stop(): Promise<void>;
    close(): Promise<void>;
}

// transaction.d.ts

import { Closing, type Client } from './client.js';
import { type Message, type SendReceipt } from './message.js';
import { Sending, type ProducerOptions } from './producer.js';
import { type ReceivedMessage } from './received.js';
import type { SignalOptions } from './signal.js';
export type TransactionState = 'commit' | 'rollback' | 'unknown';
export type Checker = (message: ReceivedMessage) => TransactionState | PromiseLike<TransactionState>;
export declare class Transaction extends Closing {
    #private;
    readonly receipt: SendReceipt;
    get isOpen(): boolean;
    commit(options?: SignalOptions): Promise<void>;
    rollback(options?: SignalOptions): Promise<void>;
    close(): Promise<void>;
}
export declare class TransactionProducer extends Sending {
    #private;
    constructor(client: Client | string, options: ProducerOptions & {
        group: string;
        check: Checker;
    });
    begin(message: Message, options?: SignalOptions): Promise<Transaction>;
}
