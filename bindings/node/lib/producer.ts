/** Producers. */

import type { Writable } from 'node:stream'

import { bridge, call, nothing, text } from './bridge.js'
import { json } from './checked.js'
import { Owner, type Client } from './client.js'
import { calling } from './errors.js'
import { packMessage, readReceipt, readReceipts } from './message.js'
import type { Message, QueueName, SendReceipt } from './message.js'
import { native, type Native } from './native.js'
import { Packer, type Unpacker } from './packed.js'
import { carried } from './propagation.js'
import type { ReceivedMessage } from './received.js'
import type { SignalOptions } from './signal.js'
import { writableOf, type WritableOptions } from './streams.js'

/** How a producer sends. Times are in milliseconds. What is not set is as in official clients. */
export interface ProducerOptions {
  /** How long sending a message may take, in all tries together: 3,000 by default. */
  sendTimeout?: number
  /** How long one try may take: as long as all together by default. */
  tryTimeout?: number
  /** How often a message is tried again after a failure: 2 by default. It may be stored twice by this. */
  retries?: number
  /** Whether a message that is stored, but less safely than it should be, is sent again: not by default. */
  retryAnotherBrokerWhenNotStored?: boolean
  /** The most bytes of a body: 4 MiB by default. */
  maxMessageSize?: number
  /** How large bodies are compressed: `zlib` by default. */
  compression?: 'none' | 'zlib' | 'lz4' | 'zstd'
  /** Bodies of more bytes than this are compressed: 4,096 by default. */
  compressOver?: number
  /** How much work is put into compressing: 5 by default. */
  compressionLevel?: number
  /** Whether brokers that were slow or failed are left alone for a while: not by default. */
  avoidSlowBrokers?: boolean
  /** How many queues a topic gets that brokers create by themselves: 4 by default. */
  topicQueues?: number
  /** How long a message may wait for others to travel with, 1 to 10,000: not at all by default. */
  linger?: number
  /** As many bytes travel at once without waiting any longer: 32 KiB by default. */
  lingerBytes?: number
  /** How many messages may be in flight, further ones wait: 10,000 by default. */
  maxInFlight?: number
  /** How many bytes of bodies may be in flight, further ones wait: 64 MiB by default. */
  maxInFlightBytes?: number
}

/** How a message is sent. If the signal ends the wait, whether the message is stored is open. */
export interface SendOptions extends SignalOptions {
  /** The queue that it is to go to. */
  queue?: QueueName
}

/** What somebody replied. */
export class Reply {
  /** What was replied. */
  readonly body: Buffer
  /** The reply's properties. */
  readonly properties: Readonly<Record<string, string>>
  /** When it was made, by the clock of who replied. */
  readonly bornAt: Date

  /** @internal */
  constructor(packed: Unpacker) {
    this.bornAt = new Date(packed.number())
    this.body = packed.bytes()
    const properties = Object.create(null) as Record<string, string>
    for (let left = packed.u32(); left > 0; left--) {
      const name = packed.text()
      properties[name] = packed.text()
    }
    this.properties = properties
  }

  /** The body as UTF-8. */
  text(): string {
    return this.body.toString()
  }

  /** The body as JSON; nothing checks that it is a `T`. */
  json<T = unknown>(): T {
    return JSON.parse(this.text()) as T
  }
}

/** Bytes that wait to cross: then they do not wait for the end of the turn. */
const CROSSING = 128 * 1024

/** What crosses by itself: one message, or several of one call. */
const packer = new Packer()

/** @internal */
export function packOne(message: Message): Uint8Array {
  packer.cut()
  packMessage(packer, message, undefined, carried(message))
  return packer.packed
}

function packAll(messages: Iterable<Message>): Uint8Array {
  packer.cut()
  let before: string | undefined
  for (const message of messages) {
    packMessage(packer, message, before, carried(message))
    before = message.topic
  }
  return packer.packed
}

/** What every producer does. */
export abstract class Sending extends Owner {
  /** @internal */
  protected abstract readonly sending: Native.Producer
  /** Messages that cross to the native half together, at the end of this turn. */
  #outbox = new Packer()
  #before: string | undefined
  #posted = false

  /**
   * Sends a message, and is done when a broker has stored it. Waits while as much is in flight as may be.
   *
   * Messages take turns among the queues of their topic; those with a `shardingKey` go to the queue of that key, those with
   * a `queue` to that one. It is on its way even if nobody awaits it; aborting leaves open whether it is stored.
   */
  send(message: Message, options?: SendOptions): Promise<SendReceipt> {
    return call((id) => this.#post(id, message, options?.queue), readReceipt, options)
  }

  #post(id: number, message: Message, queue: QueueName | undefined): void {
    const outbox = this.#outbox
    // Before anything is written: it runs what is not ours, which may send too.
    const properties = carried(message)
    const start = outbox.length
    try {
      outbox.u32(id)
      const begun = outbox.begin()
      packMessage(outbox, message, start === 0 ? undefined : this.#before, properties, queue)
      outbox.end(begun)
    } catch (error) {
      outbox.cut(start)
      throw error
    }
    this.#before = message.topic
    if (outbox.length > CROSSING) {
      this.#cross()
    } else if (!this.#posted) {
      this.#posted = true
      process.nextTick(() => this.#cross())
    }
  }

  #cross(): void {
    this.#posted = false
    const outbox = this.#outbox
    if (outbox.length > 0) {
      this.sending.send(bridge, outbox.packed)
      outbox.cut()
    }
  }

  /** Sends messages of one topic together, which is far faster than one by one. Each is stored on its own. */
  sendMany(messages: Iterable<Message>, options?: SignalOptions): Promise<SendReceipt[]> {
    return call((id) => this.sending.sendMany(bridge, id, packAll(messages)), readReceipts, options)
  }

  /** Sends a message and does not wait for an answer: it may be lost, and nobody is told. */
  sendOneway(message: Message, options?: SignalOptions): Promise<void> {
    return call((id) => this.sending.sendOneway(bridge, id, packOne(message)), nothing, options)
  }

  /** Takes back a timed message that is not due yet, by the `recallHandle` of its receipt. Returns its id. */
  recall(topic: string, handle: string, options?: SignalOptions): Promise<string> {
    return call((id) => this.sending.recall(bridge, id, topic, handle), text, options)
  }

  /** Sends a question, and waits until a consumer of its topic replies: for `timeout` milliseconds, 3,000 by default. */
  request(question: Message, options: SignalOptions & { timeout?: number } = {}): Promise<Reply> {
    const { signal, timeout = 3000 } = options
    const read = (packed: Unpacker): Reply => new Reply(packed)
    return call((id) => this.sending.request(bridge, id, packOne(question), timeout), read, { signal, ends: true })
  }

  /** Replies to a question that a consumer received. */
  reply(question: ReceivedMessage, body: string | Uint8Array, options?: SignalOptions): Promise<SendReceipt> {
    const { arrival, nth } = question
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    return call((id) => this.sending.reply(bridge, id, arrival.native, nth, bytes), readReceipt, options)
  }

  /**
   * A stream to write messages to. Writing waits while `highWaterMark` messages are buffered, which are sent in batches of
   * those that may travel together; those of one `shardingKey` stay in their order. Ending the stream waits until
   * all are stored; it does not close the producer.
   */
  writable(options?: WritableOptions): Writable {
    return writableOf(this, options)
  }

  /** Waits until what is in flight has ended, up to the send timeout, and leaves the group. */
  override async close(): Promise<void> {
    this.#cross()
    await call((id) => this.closeSending(id), nothing)
    await this.closeClient()
  }

  /** @internal */
  protected closeSending(id: number): void {
    this.sending.close(bridge, id)
  }
}

/** Sends messages. Any number of them may be sent at the same time. */
export class Producer extends Sending {
  /** @internal */
  protected readonly sending: Native.Producer

  /** A producer for a client, or for NameServers: `host:port`, several with `;` between. */
  constructor(client: Client | string, options: ProducerOptions & { group?: string } = {}) {
    super(client)
    const { group = 'DEFAULT_PRODUCER', ...how } = options
    this.sending = calling(() => new native.Producer(bridge, this.client.native, group, json(how)))
  }
}
