/** Consumers that are handed messages: one by one, in batches, as a stream, or by a handler. */

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Readable } from 'node:stream'

import { bridge, call, small } from './bridge.js'
import { count, json, patience } from './checked.js'
import { Owner, type Client } from './client.js'
import { FerroMQError } from './errors.js'
import { complain } from './logging.js'
import { Membership } from './membership.js'
import { milliseconds, queuesOf, subscribed, type Instant, type MessageQueue, type Topics } from './message.js'
import { native, type Native } from './native.js'
import { Arrival, Delivery, flush } from './received.js'
import type { SignalOptions } from './signal.js'
import { readableOf, type ReadableOptions } from './streams.js'
import { Turn } from './turn.js'

/** How a consumer consumes. Times are in milliseconds. What is not set is as in official clients. */
export interface ConsumerOptions {
  /** The group, whose members share the messages. */
  group: string
  /** What is subscribed to. */
  topics: Topics
  /** Hands the messages of each queue out in their order, one at a time; by default concurrently. */
  inOrder?: boolean
  /** Every member gets every message, and keeps its positions in this directory; nothing that failed comes again. */
  broadcasting?: string
  /** Where the group starts in a queue for which it has no position: `last` (the default), `first`, or a time. */
  consumeFrom?: 'first' | 'last' | Instant
  /** How members share queues, by the name that official clients have for it; `STICKY` by default. */
  strategy?: string
  /** How many messages one pull may bring: 32 by default. */
  fetchBatch?: number
  /** How many messages of one queue may be here without being done: 1,000 by default. */
  maxBuffered?: number
  /** How many bytes of one queue may be here without being done: 100 MiB by default. */
  maxBufferedBytes?: number
  /** How far one slow message lets the others of its queue run ahead, in offsets: 2,000 by default. */
  maxSpan?: number
  /** How often a message that failed is delivered again before it becomes a dead letter: 16 by default. */
  maxReconsumeTimes?: number
  /** In order: how long a queue pauses after a message that failed: 1,000 by default. */
  pauseAfterFailure?: number
}

/** How messages are waited for. */
export interface ReceiveOptions extends SignalOptions {
  /** How long to wait, in milliseconds; forever by default. */
  timeout?: number
}

/**
 * What came of a message; what a handler may return.
 *
 * - `done`, or nothing: it is done;
 * - `later`: it failed, and comes again later; so it does if a handler throws;
 * - `dead_letter`: it failed for good, and becomes a dead letter at once.
 */
export type Outcome = 'done' | 'later' | 'dead_letter'

/** What is done with each message. */
export type Handler = (message: Delivery) => Outcome | void | PromiseLike<Outcome | void>

/** How a handler is run. */
export interface RunOptions extends SignalOptions {
  /** How many messages may be handled at the same time: 20 by default. */
  concurrency?: number
}

/** Messages that are taken from the client at once. */
const PREFETCH = 256
/** What `fill` of the native half says. */
const SOME = 1
const OVER = 2

/**
 * A consumer that is handed messages. It joins its group when it is started (`start`), or first asked for messages.
 *
 *     for await (const message of consumer) { …; await message.ack() }
 *
 * A message has to be acknowledged; handlers (`run`) acknowledge by returning. Leaving the loop leaves the consumer open,
 * and what it has taken by then is what is received next.
 */
export class Consumer extends Owner implements AsyncIterable<Delivery> {
  readonly #membership: Membership<Native.StreamConsumer>
  #closed: Promise<void> | undefined
  /** Messages that are taken from the client and not handed out, from `#next` on. */
  #arrival: Arrival | undefined
  #next = 0
  #filling: Filling | undefined
  readonly #turn = new Turn()
  readonly #runs = new Set<Run>()

  /** A consumer for a client, or for NameServers: `host:port`, several with `;` between. */
  constructor(client: Client | string, options: ConsumerOptions) {
    super(client)
    const { group, topics, consumeFrom, ...rest } = options
    const from = typeof consumeFrom === 'string' || consumeFrom === undefined ? consumeFrom : milliseconds(consumeFrom)
    const how = json({ ...rest, consumeFrom: from })
    this.#membership = new Membership(() => new native.StreamConsumer(this.client.native, group, subscribed(topics), how))
  }

  /** Joins the group and begins to fetch. If it fails, it may be started again. The signal ends the wait, not the start. */
  start(options?: SignalOptions): Promise<void> {
    return this.#membership.start(options)
  }

  get #native(): Native.StreamConsumer {
    return this.#membership.native
  }

  /** The queues that are this member's now. */
  get queues(): MessageQueue[] {
    return queuesOf(this.#native.queues)
  }

  /**
   * Up to `most` messages as soon as there are any, 32 by default; none if none come in time. Aborting it loses nothing.
   * Rejects with `CLOSED` once the consumer is closed.
   */
  async receiveMany(most = 32, options: ReceiveOptions = {}): Promise<Delivery[]> {
    count(most)
    patience(options.timeout)
    for (;;) {
      const messages = this.#take(most)
      if (messages.length > 0) {
        if (this.#turn.isOver(messages.length)) await this.#turn.next()
        return messages
      }
      const filled = await this.#fill(options)
      if (filled === OVER) return []
      if (filled !== SOME) throw closed()
    }
  }

  /** The next message; none if none comes in time. */
  async receive(options: ReceiveOptions = {}): Promise<Delivery | undefined> {
    return (await this.receiveMany(1, options))[0]
  }

  /** The messages as they come, until the consumer is closed. */
  [Symbol.asyncIterator](): AsyncIterator<Delivery, void> {
    let ended = false
    const next = async (): Promise<IteratorResult<Delivery, void>> => {
      for (;;) {
        if (ended) break
        const message = this.#takeOne()
        if (message !== undefined) return { value: message, done: false }
        if ((await this.#fill({})) !== SOME) break
      }
      return { value: undefined, done: true }
    }
    return {
      next: () => {
        if (this.#turn.isOver()) return this.#turn.next().then(next)
        // At once, if there is one: the loop of whoever awaits costs enough.
        const message = ended ? undefined : this.#takeOne()
        return message === undefined ? next() : Promise.resolve({ value: message, done: false })
      },
      return: () => {
        ended = true
        return Promise.resolve({ value: undefined, done: true })
      },
    }
  }

  /** A stream of messages, which ends when the consumer is closed. Each has to be acknowledged. */
  readable(options?: ReadableOptions): Readable {
    return readableOf(this, options)
  }

  /**
   * Hands messages to `handler` until `stop`, `close` or the signal, so many at a time; then waits for those that are handled.
   *
   * A handler that returns is done with its message, unless it returns another outcome; if it throws, the message comes
   * again, and the logger is told.
   */
  async run(handler: Handler, options: RunOptions = {}): Promise<void> {
    const { concurrency = 20, signal } = options
    signal?.throwIfAborted()
    const run = new Run(concurrency)
    const stop = (): void => run.stop()
    this.#runs.add(run)
    signal?.addEventListener('abort', stop, { once: true })
    try {
      await this.start({ signal: run.signal })
      while (!run.isStopped) {
        if (run.isFull) {
          await run.room()
          continue
        }
        const message = this.#takeOne()
        if (message !== undefined) {
          run.handle(handler, message)
        } else if ((await this.#fill({ signal: run.signal })) === 0) {
          break
        }
        if (this.#turn.isOver()) await this.#turn.next()
      }
    } catch (error) {
      // Stopped while it waited.
      if (!run.isStopped) throw error
    } finally {
      signal?.removeEventListener('abort', stop)
      await run.finished()
      this.#runs.delete(run)
    }
  }

  /** Lets `run` end once what is handled now is done. */
  stop(): void {
    for (const run of this.#runs) {
      run.stop()
    }
  }

  /**
   * Stops fetching, waits for handlers, stores positions and leaves the group. What is not acknowledged by then comes again.
   * It does not wait for a handler that calls it: one that awaits it acknowledges its message before.
   */
  override close(): Promise<void> {
    const caller = handling.getStore()
    for (const run of this.#runs) {
      if (run === caller?.run) run.excuse(caller)
    }
    return (this.#closed ??= this.#close())
  }

  async #close(): Promise<void> {
    this.stop()
    const runs = [...this.#runs]
    await Promise.all(runs.map((run) => run.finished()))
    if (runs.some((run) => run.isBusy)) {
      // A handler that called it without awaiting it has returned after this, and so is done with its message.
      await this.#turn.next()
    }
    flush()
    const left = this.#arrival
    this.#arrival = undefined
    await this.#membership.leave()
    left?.native.forgetFrom(this.#next)
    await this.closeClient()
  }

  #take(most: number): Delivery[] {
    const messages: Delivery[] = []
    for (let message; messages.length < most && (message = this.#takeOne(most)) !== undefined; ) {
      messages.push(message)
    }
    return messages
  }

  /** The next message that is there; `most` says how many to take from the client if it has to be asked. */
  #takeOne(most = PREFETCH): Delivery | undefined {
    let arrival = this.#arrival
    if (arrival === undefined) {
      if (this.#closed !== undefined) return undefined
      // So that what follows in order may be handed out.
      flush()
      const batch = this.#native.take(bridge, Math.min(most, PREFETCH))
      if (batch === null) return undefined
      arrival = this.#arrival = new Arrival(batch)
      this.#next = 0
    }
    const message = new Delivery(arrival, this.#next++)
    if (this.#next === arrival.length) {
      this.#arrival = undefined
    }
    return message
  }

  /** Waits until there is something to take: all who wait do so together. */
  async #fill(options: ReceiveOptions): Promise<number> {
    if (this.#closed !== undefined) return 0
    await this.start(options)
    // It may have been aborted since: nobody would hear of it any more.
    options.signal?.throwIfAborted()
    if (this.#closed !== undefined) return 0
    flush()
    if (this.#filling === undefined) {
      const filling = new Filling((id) => this.#native.fill(bridge, id), () => {
        if (this.#filling === filling) this.#filling = undefined
      })
      this.#filling = filling
    }
    return this.#filling.wait(options)
  }
}

/** One wait for messages, of any number of those who wait for some. It ends when the last of them gives up. */
class Filling {
  readonly #ended = new AbortController()
  readonly #filled: Promise<number>
  readonly #over: () => void
  #waiting = 0

  constructor(fill: (id: number) => void, over: () => void) {
    const filled = call(fill, small, { signal: this.#ended.signal, ends: true })
    this.#filled = filled.finally(over)
    // Of each who waits it is known; and nobody may be left.
    this.#filled.catch(() => undefined)
    this.#over = over
  }

  wait({ timeout, signal }: ReceiveOptions): Promise<number> {
    this.#waiting++
    if (timeout === undefined && signal === undefined) {
      return this.#filled
    }
    return new Promise((resolve, reject) => {
      const give = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', aborted)
        if (--this.#waiting === 0) {
          this.#over()
          this.#ended.abort()
        }
      }
      const aborted = (): void => {
        give()
        reject(signal?.reason)
      }
      const late = (): void => {
        give()
        resolve(OVER)
      }
      const timer = timeout === undefined ? undefined : setTimeout(late, Math.min(timeout, 2 ** 31 - 1))
      signal?.addEventListener('abort', aborted, { once: true })
      const settled = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', aborted)
      }
      this.#filled.then(
        (filled) => {
          settled()
          resolve(filled)
        },
        (error: unknown) => {
          settled()
          reject(error)
        },
      )
    })
  }
}

/** A message that is handled. */
interface Handling {
  readonly run: Run
  /** Its handler waits for the end itself. */
  excused: boolean
  over: boolean
}

/** What is handled by the handler that the running code is part of. */
const handling = new AsyncLocalStorage<Handling>()

/** One run of a handler. */
class Run {
  readonly #stopped = new AbortController()
  readonly #concurrency: number
  #running = 0
  #excused = 0
  #changed: (() => void)[] = []

  constructor(concurrency: number) {
    if (!(concurrency >= 1)) {
      throw new FerroMQError('CONFIG', `a concurrency of ${concurrency}`)
    }
    this.#concurrency = concurrency
  }

  get signal(): AbortSignal {
    return this.#stopped.signal
  }

  get isStopped(): boolean {
    return this.#stopped.signal.aborted
  }

  get isFull(): boolean {
    return this.#running >= this.#concurrency
  }

  stop(): void {
    this.#stopped.abort()
    this.#tell()
  }

  /** Waits until something has changed: one is handled, or it is stopped. */
  room(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve))
  }

  get isBusy(): boolean {
    return this.#running > 0
  }

  /** Waits until all is handled, but for what is excused. */
  async finished(): Promise<void> {
    while (this.#running > this.#excused) {
      await this.room()
    }
  }

  /** Does not wait for one any more. */
  excuse(handled: Handling): void {
    if (handled.excused || handled.over) return
    handled.excused = true
    this.#excused++
    this.#tell()
  }

  /** Handles a message; what waits for nothing is settled at once. */
  handle(handler: Handler, message: Delivery): void {
    this.#running++
    const handled = { run: this, excused: false, over: false }
    try {
      const said = handling.run(handled, handler, message)
      if (isPromise(said)) {
        said.then(
          (outcome) => this.#settle(handled, message, outcome),
          (error: unknown) => this.#failed(handled, message, error),
        )
      } else {
        this.#settle(handled, message, said)
      }
    } catch (error) {
      this.#failed(handled, message, error)
    }
  }

  #failed(handled: Handling, message: Delivery, error: unknown): void {
    complain('ferromq.consumer', `a handler failed: ${message.messageId} comes again`, error)
    this.#settle(handled, message, 'later')
  }

  #settle(handled: Handling, message: Delivery, outcome: Outcome | void): void {
    if (message.isSettled) {
      // By the handler itself.
      this.#done(handled)
    } else if (outcome === 'later' || outcome === 'dead_letter') {
      const failed = message.nack({ deadLetter: outcome === 'dead_letter' })
      failed.then(() => this.#done(handled), () => this.#done(handled))
    } else {
      void message.ack()
      this.#done(handled)
    }
  }

  #done(handled: Handling): void {
    handled.over = true
    if (handled.excused) this.#excused--
    this.#running--
    this.#tell()
  }

  #tell(): void {
    const changed = this.#changed
    this.#changed = []
    for (const tell of changed) {
      tell()
    }
  }
}

function isPromise(value: unknown): value is PromiseLike<Outcome | void> {
  return typeof (value as { then?: unknown } | undefined)?.then === 'function'
}

function closed(): FerroMQError {
  return new FerroMQError('CLOSED', 'the consumer is closed')
}
