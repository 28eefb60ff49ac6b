/** Consumers that are asked for messages: which queues, from where and when. */

import { bridge, call, nothing, small, type Read } from './bridge.js'
import { count, json, patience } from './checked.js'
import { Owner, type Client } from './client.js'
import type { ReceiveOptions } from './consumer.js'
import { calling, FerroMQError } from './errors.js'
import { Membership } from './membership.js'
import { Filter, milliseconds, queuesOf, readQueues, subscribed } from './message.js'
import type { Instant, MessageQueue, QueueName, Topics } from './message.js'
import { native, type Native } from './native.js'
import { messagesOf, type ReceivedMessage } from './received.js'
import type { SignalOptions } from './signal.js'

/** How a consumer is asked. Times are in milliseconds. */
export interface PullOptions {
  /** The group. */
  group: string
  /** With topics, shares their queues with the other members of the group; without, `assign` says which. */
  topics?: Topics
  /** Keeps positions in this directory; by default brokers keep them. */
  offsetsIn?: string
  /** Where the group starts in a queue for which it has no position: `last` (the default), `first`, or a time. */
  consumeFrom?: 'first' | 'last' | Instant
  /** How members share queues, by the name that official clients have for it; `STICKY` by default. */
  strategy?: string
  /** How often positions are committed without being asked to: every 5,000 by default; `false` for never. */
  autoCommit?: boolean | number
  /** How many messages one request may bring: 32 by default. */
  fetchBatch?: number
  /** How many messages of one queue may wait here: 1,000 by default. */
  maxBuffered?: number
  /** How many bytes of one queue may wait here: 100 MiB by default. */
  maxBufferedBytes?: number
  /** The most messages that one `poll` returns: 32 by default. */
  maxPolled?: number
}

/** Where to go on: an offset, the queue's beginning or end, or the first message stored at a time or later. */
export type Target = number | 'first' | 'last' | Date

/** What one pull brought. */
export interface Pulled {
  messages: ReceivedMessage[]
  /** Where to go on. */
  nextOffset: number
  /** The oldest message's. */
  minOffset: number
  /** The queue's end. */
  maxOffset: number
}

/** How one pull asks. */
export interface PullRequest extends SignalOptions {
  /** How many messages at most: 32 by default. */
  most?: number
  /** Which of them. */
  filter?: Filter
  /** How long the broker may wait for the first, in milliseconds: not at all by default. */
  wait?: number
}

const readOffset: Read<number | undefined> = (packed) => {
  const offset = packed.number()
  return offset < 0 ? undefined : offset
}
const readPulled: Read<Pulled> = (packed, batch) => {
  const [nextOffset, minOffset, maxOffset] = [packed.number(), packed.number(), packed.number()]
  return { messages: messagesOf(batch()), nextOffset, minOffset, maxOffset }
}

function one({ topic, broker, id }: QueueName): string {
  return json({ topic, broker, id })
}

function list(queues: readonly QueueName[]): string {
  return json(queues.map(({ topic, broker, id }) => ({ topic, broker, id })))
}

/** A consumer that is asked for messages. It starts when it is first asked, or by `start`. */
export class PullConsumer extends Owner {
  readonly #membership: Membership<Native.PullConsumer>

  /** A consumer for a client, or for NameServers: `host:port`, several with `;` between. */
  constructor(client: Client | string, options: PullOptions) {
    super(client)
    const { group, topics = [], consumeFrom, ...rest } = options
    const from = typeof consumeFrom === 'string' || consumeFrom === undefined ? consumeFrom : milliseconds(consumeFrom)
    const how = json({ ...rest, consumeFrom: from })
    this.#membership = new Membership(() => new native.PullConsumer(this.client.native, group, subscribed(topics), how))
  }

  /** Starts it. If it fails, it may be started again. The signal ends the wait, not the start. */
  start(options?: SignalOptions): Promise<void> {
    return this.#membership.start(options)
  }

  get #native(): Native.PullConsumer {
    return this.#membership.native
  }

  /** The queues that are fetched from now. */
  get assigned(): MessageQueue[] {
    return queuesOf(calling(() => this.#native.assigned))
  }

  /** Hands nothing of these queues out until they are resumed. */
  pause(queues: readonly QueueName[]): void {
    calling(() => this.#native.pause(list(queues)))
  }

  /** Goes on with these queues. */
  resume(queues: readonly QueueName[]): void {
    calling(() => this.#native.resume(list(queues)))
  }

  /** The offset of the next message that is polled; none as long as it is not known where the group is. */
  position(queue: QueueName): number | undefined {
    return calling(() => this.#native.position(one(queue))) ?? undefined
  }

  /** The queues of a topic that may be read. */
  async queues(topic: string, options: SignalOptions = {}): Promise<MessageQueue[]> {
    await this.start(options)
    return call((id) => this.#native.queues(bridge, id, topic), readQueues, options)
  }

  /** Fetches from these queues and no others, from where the group is on. */
  async assign(queues: readonly QueueName[], filter = Filter.all(), options: SignalOptions = {}): Promise<void> {
    await this.start(options)
    return call((id) => this.#native.assign(bridge, id, list(queues), json(filter.wanted)), nothing, options)
  }

  /**
   * The next messages, as soon as there are any; none if none come in time. What earlier polls returned counts as done from
   * now on. Aborting it loses nothing.
   */
  async poll(options: ReceiveOptions = {}): Promise<ReceivedMessage[]> {
    const { timeout, signal } = options
    const limit = patience(timeout)
    await this.start({ signal })
    const deadline = limit === undefined ? undefined : performance.now() + limit
    for (;;) {
      const left = deadline === undefined ? null : Math.max(0, deadline - performance.now())
      // It takes nothing, so that aborting it loses nothing; what is there is taken by whoever goes on.
      if ((await call((id) => this.#native.wait(bridge, id, left), small, { signal, ends: true })) === 0) return []
      const polled = calling(() => this.#native.take(bridge))
      if (polled !== null) return messagesOf(polled)
    }
  }

  /** Asks for messages of any queue, from any offset on, once; changes no position. */
  async pull(queue: QueueName, offset: number, options: PullRequest = {}): Promise<Pulled> {
    const { most = 32, filter = Filter.all(), wait = 0, signal } = options
    count(most)
    await this.start({ signal })
    const [at, wanted] = [one(queue), json(filter.wanted)]
    const begin = (id: number): void => this.#native.pull(bridge, id, at, offset, most, wanted, wait)
    return call(begin, readPulled, { signal, ends: true })
  }

  /** Goes on elsewhere in a queue that is assigned. */
  async seek(queue: QueueName, to: Target, options: SignalOptions = {}): Promise<void> {
    const target = typeof to === 'number' ? { offset: to } : { at: to instanceof Date ? to.getTime() : to }
    await this.start(options)
    return call((id) => this.#native.seek(bridge, id, one(queue), json(target)), nothing, options)
  }

  /** What is committed of a queue. */
  async committed(queue: QueueName, options: SignalOptions = {}): Promise<number | undefined> {
    await this.start(options)
    return call((id) => this.#native.committed(bridge, id, one(queue)), readOffset, options)
  }

  /** Commits what was polled so far, or that messages of one queue below `offset` are done. */
  async commit(queue?: QueueName, offset?: number, options: SignalOptions = {}): Promise<void> {
    await this.start(options)
    if (queue === undefined && offset === undefined) {
      return call((id) => this.#native.commit(bridge, id), nothing, options)
    }
    if (queue === undefined || offset === undefined) {
      throw new FerroMQError('CONFIG', 'commit takes a queue and an offset, or neither')
    }
    return call((id) => this.#native.commitAt(bridge, id, one(queue), offset), nothing, options)
  }

  /** The offset of a queue's oldest message (`first`), of its end (`last`), or of the first stored at a time or later. */
  async offsetOf(queue: QueueName, place: 'first' | 'last' | Instant, options: SignalOptions = {}): Promise<number> {
    const at = json(typeof place === 'string' ? place : milliseconds(place))
    await this.start(options)
    const begin = (id: number): void => this.#native.offsetOf(bridge, id, one(queue), at)
    return call(begin, readOffset, options) as Promise<number>
  }

  /** Stops, commits what was polled unless that is left to `commit`, and leaves the group. */
  override async close(): Promise<void> {
    await this.#membership.leave()
    await this.closeClient()
  }
}
