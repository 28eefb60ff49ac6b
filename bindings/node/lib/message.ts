/** Messages to send, what is got for them, where they go, and which of them are wanted. */

import { inspect } from 'node:util'

import { json } from './checked.js'
import { FerroMQError } from './errors.js'
import type { Packer, Unpacker } from './packed.js'

/** A point in time: a `Date`, or milliseconds since 1970. */
export type Instant = Date | number

/** A message to be sent. It is read when it is sent; what becomes of it afterwards changes nothing. */
export interface Message {
  /** The topic that it is sent to. */
  topic: string
  /** What is sent: bytes, or a text, which travels as UTF-8. Must not be empty. */
  body: string | Uint8Array
  /** By which consumers filter. */
  tag?: string | undefined
  /** By which the message can be found: one key, or several. */
  keys?: string | readonly string[] | undefined
  /** Further properties of the application's own. */
  properties?: Readonly<Record<string, string>> | undefined
  /** Messages with the same key go to the same queue, where they are in the order of their sending. */
  shardingKey?: string | undefined
  /** Delivers it after the time of a level that brokers have: 1 to 18, one second to two hours by default. */
  delayLevel?: number | undefined
  /** Delivers it no earlier than this; brokers allow three days by default. Needs a broker of 5.0 or later. */
  deliverAt?: Instant | undefined
  /** Delivers it so many milliseconds after the broker got it, as `deliverAt` otherwise. */
  deliverAfter?: number | undefined
  /** A number that travels with the message and means what the application wants it to; 0 by default. */
  flag?: number | undefined
  /** Whether the broker answers only when the message is as safe as it makes messages; so it does by default. */
  waitForStore?: boolean | undefined
}

/** Names one queue of a topic on a broker. */
export interface QueueName {
  topic: string
  broker: string
  id: number
}

/** One queue of a topic on a broker. */
export class MessageQueue implements QueueName {
  /** The topic. */
  readonly topic: string
  /** The name that a master and its replicas share. */
  readonly broker: string
  /** Which of the broker's queues of this topic. */
  readonly id: number

  constructor(topic: string, broker: string, id: number) {
    this.topic = topic
    this.broker = broker
    this.id = id
  }

  /** Whether it is this one. */
  equals(other: QueueName): boolean {
    return this.topic === other.topic && this.broker === other.broker && this.id === other.id
  }

  /** `topic@broker:id`: a key for a `Map`. */
  toString(): string {
    return `${this.topic}@${this.broker}:${this.id}`
  }
}

/**
 * How safe a stored message is. In each case consumers get it.
 *
 * - `stored`: as safe as the broker is configured to make messages;
 * - `flush_disk_timeout`: not known to be on disk, the flush took longer than the broker waits;
 * - `flush_slave_timeout`: not known to be on a replica, it took longer than the broker waits;
 * - `slave_not_available`: on no replica, none is near enough.
 */
export type SendStatus = 'stored' | 'flush_disk_timeout' | 'flush_slave_timeout' | 'slave_not_available'

const STATUSES: readonly SendStatus[] = ['stored', 'flush_disk_timeout', 'flush_slave_timeout', 'slave_not_available']

interface ReceiptFields {
  status: SendStatus
  messageId: string
  queue: MessageQueue
  offset: number
  place: string | undefined
  recallHandle: string | undefined
}

/** A message is stored. */
export class SendReceipt {
  #packed: Unpacker | undefined
  #at: number
  #fields: ReceiptFields | undefined

  /** @internal Read when something of it is asked for: most receipts are never looked at. */
  constructor(packed: Unpacker, at: number) {
    this.#packed = packed
    this.#at = at
  }

  #read(): ReceiptFields {
    const packed = this.#packed as Unpacker
    const before = packed.at
    packed.at = this.#at
    const status = STATUSES[packed.u8()] as SendStatus
    const offset = packed.number()
    const messageId = packed.text()
    const queue = readQueue(packed)
    this.#fields = { status, messageId, queue, offset, place: packed.textIfAny(), recallHandle: packed.textIfAny() }
    packed.at = before
    // It lives on without those that it came with.
    this.#packed = undefined
    return this.#fields
  }

  /** How safe it is. */
  get status(): SendStatus {
    return (this.#fields ?? this.#read()).status
  }

  /** The id that the client gave it: the same however often it is stored again, and what consumers see. */
  get messageId(): string {
    return (this.#fields ?? this.#read()).messageId
  }

  /** The queue that it is in. */
  get queue(): MessageQueue {
    return (this.#fields ?? this.#read()).queue
  }

  /**
   * Its number in the queue. That of a message which is to be delivered later, or whose transaction is open, counts in a
   * queue of the broker's own. Offsets are numbers: a queue would have to be written to a million times a second for 285
   * years before they are not exact any more (2^53).
   */
  get offset(): number {
    return (this.#fields ?? this.#read()).offset
  }

  /** Where the record lies, as administration names it; none if the broker did not say. */
  get place(): string | undefined {
    return (this.#fields ?? this.#read()).place
  }

  /** What takes a timed message back (`recall`); none for other messages, and from brokers before 5.3.2. */
  get recallHandle(): string | undefined {
    return (this.#fields ?? this.#read()).recallHandle
  }

  /** For `JSON.stringify`. */
  toJSON(): object {
    return { ...(this.#fields ?? this.#read()), queue: this.queue.toString() }
  }

  /** For `console.log`. */
  [inspect.custom](): string {
    return `SendReceipt ${inspect(this.toJSON())}`
  }
}

/** @internal */
export function readReceipt(packed: Unpacker): SendReceipt {
  const length = packed.u32()
  const receipt = new SendReceipt(packed, packed.at)
  packed.at += length
  return receipt
}

/** @internal */
export function readReceipts(packed: Unpacker): SendReceipt[] {
  const count = packed.u32()
  const receipts = new Array<SendReceipt>(count)
  for (let n = 0; n < count; n++) {
    receipts[n] = readReceipt(packed)
  }
  return receipts
}

/** @internal */
export function readQueue(packed: Unpacker): MessageQueue {
  return new MessageQueue(packed.text(), packed.text(), packed.u32())
}

/** @internal */
export function readQueues(packed: Unpacker): MessageQueue[] {
  return Array.from({ length: packed.u32() }, () => readQueue(packed))
}

/** @internal Queues as the native half tells them at once. */
export function queuesOf(json: string): MessageQueue[] {
  const queues = JSON.parse(json) as [string, string, number][]
  return queues.map(([topic, broker, id]) => new MessageQueue(topic, broker, id))
}

/** @internal A time as the native half takes it. */
export function milliseconds(instant: Instant): number {
  return typeof instant === 'number' ? instant : instant.getTime()
}

/** Which messages of a topic are wanted. */
export class Filter {
  /** @internal */
  readonly wanted: 'all' | { tags: string } | { sql: string }

  private constructor(wanted: Filter['wanted']) {
    this.wanted = wanted
  }

  /** All of them. */
  static all(): Filter {
    return new Filter('all')
  }

  /** Those with one of these tags: `a || b`; `*` for all. */
  static tags(expression: string): Filter {
    return new Filter({ tags: expression })
  }

  /** Those whose properties this is true of, in SQL-92's words: `price > 10 AND region = 'eu'`. */
  static sql(expression: string): Filter {
    return new Filter({ sql: expression })
  }

  /** For `console.log`. */
  toString(): string {
    return `Filter ${JSON.stringify(this.wanted)}`
  }
}

/** Topics to subscribe to: one, several, or each with a filter. A filter that is a text is one of tags: `a || b`. */
export type Topics = string | readonly string[] | Readonly<Record<string, string | Filter>>

/** @internal Each topic with its filter, as the native half takes them. */
export function subscribed(topics: Topics): string {
  if (typeof topics === 'string') {
    return json({ [topics]: 'all' })
  }
  if (Array.isArray(topics)) {
    return json(Object.fromEntries((topics as readonly string[]).map((topic) => [topic, 'all'])))
  }
  const wanted = Object.entries(topics as Readonly<Record<string, string | Filter>>)
  return json(
    Object.fromEntries(wanted.map(([topic, of]) => [topic, typeof of === 'string' ? { tags: of } : of.wanted])),
  )
}

/** What a packed message has: as `has` of `src/message.rs`. */
const TOPIC = 1
const TAG = 1 << 1
const KEYS = 1 << 2
const SHARDING_KEY = 1 << 3
const DELAY_LEVEL = 1 << 4
const DELIVER_AT = 1 << 5
const DELIVER_AFTER = 1 << 6
const FLAG = 1 << 7
const NO_WAIT = 1 << 8
const PROPERTIES = 1 << 9
const QUEUE = 1 << 10

/**
 * @internal Packs a message; `before` is the topic of the one before, which is not packed again, and undefined for the first
 * one. Throws if it is none, and leaves then nothing of it.
 */
export function packMessage(
  to: Packer,
  message: Message,
  before: string | undefined,
  properties: Readonly<Record<string, string>> | undefined,
  queue?: QueueName,
): void {
  const { topic, body, tag, keys, shardingKey, delayLevel, deliverAt, deliverAfter, flag } = message
  if (typeof topic !== 'string') throw invalid(`a topic is a string, not ${topic === null ? 'null' : typeof topic}`)
  const start = to.length
  let has = 0
  if (topic !== before) has |= TOPIC
  if (tag !== undefined) has |= TAG
  if (keys !== undefined && keys.length !== 0) has |= KEYS
  if (shardingKey !== undefined) has |= SHARDING_KEY
  if (delayLevel !== undefined) has |= DELAY_LEVEL
  if (deliverAt !== undefined) has |= DELIVER_AT
  if (deliverAfter !== undefined) has |= DELIVER_AFTER
  if (flag !== undefined) has |= FLAG
  if (message.waitForStore === false) has |= NO_WAIT
  if (properties !== undefined) has |= PROPERTIES
  if (queue !== undefined) has |= QUEUE
  try {
    to.u32(has)
    if (has & TOPIC) to.text(topic)
    if (typeof body === 'string') {
      to.text(body)
    } else if (body instanceof Uint8Array) {
      to.bytes(body)
    } else {
      throw invalid(`a body is a string or a Uint8Array, not ${body === null ? 'null' : typeof body}`)
    }
    // Most messages have no more.
    if ((has & ~TOPIC) === 0) return
    if (tag !== undefined) to.text(tag)
    if (has & KEYS) to.text(typeof keys === 'string' ? keys : (keys as readonly string[]).join(' '))
    if (shardingKey !== undefined) to.text(shardingKey)
    if (delayLevel !== undefined) to.u8(whole(delayLevel, 255, 'a delay level'))
    if (deliverAt !== undefined) to.number(whole(milliseconds(deliverAt), 2 ** 53, 'a time'))
    if (deliverAfter !== undefined) to.number(whole(Math.ceil(deliverAfter), 2 ** 53, 'a delay'))
    if (flag !== undefined) to.i32(whole(flag, 2 ** 31 - 1, 'a flag', -(2 ** 31)))
    if (properties !== undefined) packProperties(to, properties)
    if (queue !== undefined) {
      to.text(queue.topic)
      to.text(queue.broker)
      to.u32(whole(queue.id, 2 ** 31 - 1, 'the id of a queue'))
    }
  } catch (error) {
    to.cut(start)
    throw error instanceof FerroMQError ? error : invalid(`the message cannot be read: ${String(error)}`)
  }
}

function packProperties(to: Packer, properties: Readonly<Record<string, string>>): void {
  const entries = Object.entries(properties)
  to.u32(entries.length)
  for (const [name, value] of entries) {
    to.text(name)
    to.text(value)
  }
}

function whole(value: number, most: number, what: string, least = 0): number {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw invalid(`${what} of ${String(value)}`)
  }
  return value
}

function invalid(text: string): FerroMQError {
  return new FerroMQError('INVALID_MESSAGE', text)
}
