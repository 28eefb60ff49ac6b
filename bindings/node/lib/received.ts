/**
 * Messages that came, and what may be said of them.
 *
 * ```text
 * ReceivedMessage       of a pull: only read
 * ├─ Delivery           of a stream: ack or nack
 * └─ Lease              of a pop: ack, nack or extend
 * ```
 * Messages that came together share one piece of memory, of which each reads what it is asked for. It lives as long as any
 * of them, or of their bodies, is kept: `Buffer.from(message.body)` keeps a body alone.
 */

import { inspect } from 'node:util'
import { markAsUntransferable } from 'node:worker_threads'

import { bridge, call, nothing } from './bridge.js'
import { whole } from './checked.js'
import { FerroMQError } from './errors.js'
import { readQueue, type MessageQueue } from './message.js'
import { Unpacker } from './packed.js'
import type { Native } from './native.js'
import type { SignalOptions } from './signal.js'

/** Where a message's parts lie, from its beginning on: as `Writing::message` of `src/batch.rs`. */
const BORN = 8
const STORED = 16
const TIMES = 24
const FLAG = 28
const QUEUE = 32
const TOPIC = 36
const BODY = 40

const done = Promise.resolve()

/** @internal Messages that came together. */
export class Arrival {
  readonly native: Native.Batch
  readonly packed: Unpacker
  readonly length: number
  /** Places of deliveries that are done, of which the native half is to be told. */
  #done: number[] = []
  #last: { topicAt: number; topic: string; queueAt: number; queue: MessageQueue | undefined } = {
    topicAt: -1,
    topic: '',
    queueAt: -1,
    queue: undefined,
  }

  constructor(batch: Native.Batch) {
    this.native = batch
    const buffer = batch.packed()
    markAsUntransferable(buffer.buffer)
    this.packed = new Unpacker(buffer)
    this.length = this.packed.u32()
  }

  /** Where a message begins. */
  start(place: number): number {
    return this.packed.view.getUint32(4 + 4 * place, true)
  }

  /** The topic, or queue, that is written at a place: the same for most messages. */
  topic(at: number): string {
    const last = this.#last
    if (last.topicAt !== at) {
      this.packed.at = at
      last.topic = this.packed.text()
      last.topicAt = at
    }
    return last.topic
  }

  queue(at: number): MessageQueue {
    const last = this.#last
    if (last.queueAt !== at || last.queue === undefined) {
      this.packed.at = at
      last.queue = readQueue(this.packed)
      last.queueAt = at
    }
    return last.queue
  }

  /** A delivery is done: the native half is told together with what else is done by the end of this turn. */
  ack(place: number): void {
    if (this.#done.push(place) === 1) {
      acknowledged.push(this)
      if (acknowledged.length === 1) {
        setImmediate(flush)
      }
    }
  }

  tell(): void {
    const places = Uint32Array.from(this.#done)
    this.#done = []
    this.native.done(bridge, places)
  }
}

let acknowledged: Arrival[] = []

/** @internal Tells the native half what is done. */
export function flush(): void {
  if (acknowledged.length > 0) {
    const arrivals = acknowledged
    acknowledged = []
    for (const arrival of arrivals) {
      arrival.tell()
    }
  }
}

/** Turns the bytes of bodies into values. `JSON` texts need none: `message.json()`. */
export interface Deserializer<T> {
  /** The value that a body is. */
  deserialize(body: Buffer): T
}

/** A message that came. */
export class ReceivedMessage {
  /** @internal */
  readonly arrival: Arrival
  /** @internal */
  readonly nth: number
  #start: number
  #body: Buffer | undefined
  #properties: Record<string, string> | undefined

  /** @internal */
  constructor(arrival: Arrival, nth: number) {
    this.arrival = arrival
    this.nth = nth
    this.#start = arrival.start(nth)
  }

  /** The topic that it was sent to, also when it came again by the retry topic of its group. */
  get topic(): string {
    return this.arrival.topic(this.arrival.packed.view.getUint32(this.#start + TOPIC, true))
  }

  /** What was sent. It shares memory with the messages beside it: copy it (`Buffer.from`) to keep it for long. */
  get body(): Buffer {
    if (this.#body === undefined) {
      this.arrival.packed.at = this.#start + BODY
      this.#body = this.arrival.packed.bytes()
    }
    return this.#body
  }

  /** The body as UTF-8. */
  text(): string {
    this.arrival.packed.at = this.#start + BODY
    return this.arrival.packed.text()
  }

  /** The body as JSON. It is as trustworthy as its sender: nothing checks that it is a `T`. */
  json<T = unknown>(): T {
    return JSON.parse(this.text()) as T
  }

  /** The body as a deserializer reads it. */
  value<T>(by: Deserializer<T>): T {
    return by.deserialize(this.body)
  }

  /** Every property with its value, those of clients and brokers included. */
  get properties(): Readonly<Record<string, string>> {
    if (this.#properties === undefined) {
      const { packed } = this.arrival
      packed.at = this.#start + BODY
      const length = packed.u32()
      packed.at += length
      const properties = Object.create(null) as Record<string, string>
      for (let left = packed.u32(); left > 0; left--) {
        const name = packed.textOf(packed.u16())
        properties[name] = packed.textOf(packed.u16())
      }
      this.#properties = properties
    }
    return this.#properties
  }

  /** The tag. */
  get tag(): string | undefined {
    return this.properties['TAGS']
  }

  /** The keys. */
  get keys(): string[] {
    return this.properties['KEYS']?.split(/\s+/).filter((key) => key !== '') ?? []
  }

  /** The key that it was put into its queue by. */
  get shardingKey(): string | undefined {
    return this.properties['__SHARDINGKEY']
  }

  /** The id that its producer gave it: the same however often it is stored again. */
  get messageId(): string {
    return this.properties['UNIQ_KEY'] ?? this.place
  }

  /** Where it is stored, as administration names it. */
  get place(): string {
    return this.arrival.native.place(this.nth)
  }

  /** The queue that it lies in, which may be one of a retry topic. */
  get queue(): MessageQueue {
    return this.arrival.queue(this.arrival.packed.view.getUint32(this.#start + QUEUE, true))
  }

  /** Its number in that queue; a number, as `SendReceipt.offset` is. */
  get queueOffset(): number {
    return this.arrival.packed.view.getFloat64(this.#start, true)
  }

  /** How often it was delivered before. */
  get reconsumeTimes(): number {
    return this.arrival.packed.view.getInt32(this.#start + TIMES, true)
  }

  /** When its producer made it, by the producer's clock. */
  get bornAt(): Date {
    return new Date(this.arrival.packed.view.getFloat64(this.#start + BORN, true))
  }

  /** When the broker stored it, by the broker's clock. */
  get storedAt(): Date {
    return new Date(this.arrival.packed.view.getFloat64(this.#start + STORED, true))
  }

  /** Who sent it: address and port. */
  get bornHost(): string {
    return this.arrival.native.bornHost(this.nth)
  }

  /** The application's number. */
  get flag(): number {
    return this.arrival.packed.view.getInt32(this.#start + FLAG, true)
  }

  /** For `JSON.stringify`; without the body, which may be anything. */
  toJSON(): object {
    const { topic, messageId, queueOffset, tag, keys } = this
    return { topic, messageId, queue: this.queue.toString(), queueOffset, tag, keys, bytes: this.body.length }
  }

  /** For `console.log`. */
  [inspect.custom](): string {
    return `${this.constructor.name} ${inspect(this.toJSON())}`
  }
}

/** How a message that failed is to come again. */
export interface NackOptions extends SignalOptions {
  /** After the time of this delay level of the broker; by default each time a little later. */
  delayLevel?: number
  /** Not at all: it becomes a dead letter at once. */
  deadLetter?: boolean
}

/**
 * A message of a stream. It has to be acknowledged: one that is not, and is forgotten together with those that came
 * beside it, counts as failed and comes again.
 */
export class Delivery extends ReceivedMessage {
  #settled = false

  /** It is done. Nothing has to be awaited: the position is stored with those of others, a little later. */
  ack(): Promise<void> {
    if (this.#settled) {
      return Promise.reject(settledTwice())
    }
    this.#settled = true
    this.arrival.ack(this.nth)
    return done
  }

  /** It failed: it comes again later, and becomes a dead letter in the end. */
  nack(options: NackOptions = {}): Promise<void> {
    if (this.#settled) {
      return Promise.reject(settledTwice())
    }
    const { delayLevel, deadLetter = false } = options
    const begin = (id: number): void => {
      const level = delayLevel === undefined ? null : whole(delayLevel, 0, 255, 'a delay level')
      this.arrival.native.failed(bridge, id, this.nth, level, deadLetter)
      // Not before it has begun: what was refused may still be settled otherwise.
      this.#settled = true
    }
    return call(begin, nothing, options)
  }

  /** @internal */
  get isSettled(): boolean {
    return this.#settled
  }
}

/** A leased message: it comes again unless it is acknowledged before its lease ends. */
export class Lease extends ReceivedMessage {
  /** It is done. */
  ack(options?: SignalOptions): Promise<void> {
    return call((id) => this.arrival.native.ackLease(bridge, id, this.nth), nothing, options)
  }

  /** It failed: it comes again after a wait that grows. */
  nack(options?: SignalOptions): Promise<void> {
    return call((id) => this.arrival.native.nackLease(bridge, id, this.nth), nothing, options)
  }

  /** Lets the lease end so many milliseconds later than now. */
  extend(time: number, options?: SignalOptions): Promise<void> {
    return call((id) => this.arrival.native.extendLease(bridge, id, this.nth, time), nothing, options)
  }
}

/** @internal */
export function messagesOf(batch: Native.Batch): ReceivedMessage[] {
  const arrival = new Arrival(batch)
  return Array.from({ length: arrival.length }, (_, nth) => new ReceivedMessage(arrival, nth))
}

function settledTwice(): FerroMQError {
  return new FerroMQError('SETTLED', 'the message is settled already')
}
