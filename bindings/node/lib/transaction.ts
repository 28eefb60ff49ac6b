/** Messages that consumers see only if something else, usually a database transaction, comes about. */

import { bridge, call, nothing, type Read } from './bridge.js'
import { json } from './checked.js'
import { Closing, type Client } from './client.js'
import { calling } from './errors.js'
import { complain } from './logging.js'
import { readReceipt, type Message, type SendReceipt } from './message.js'
import { native, type Native } from './native.js'
import { packOne, Sending, type ProducerOptions } from './producer.js'
import { messagesOf, type ReceivedMessage } from './received.js'
import type { SignalOptions } from './signal.js'

/**
 * What has become of a transaction.
 *
 * - `commit`: it came about, and consumers get the message;
 * - `rollback`: it did not, and nobody gets the message;
 * - `unknown`: not known yet, the broker asks later.
 */
export type TransactionState = 'commit' | 'rollback' | 'unknown'

/** Asked what has become of the transaction of a message. If it throws, the broker asks again. */
export type Checker = (message: ReceivedMessage) => TransactionState | PromiseLike<TransactionState>

/**
 * A half message is stored; what becomes of it is open. At the end of its block (`await using`) it is rolled back, unless it
 * was committed. Forgotten, the broker asks the checker.
 */
export class Transaction extends Closing {
  readonly #native: Native.Transaction
  /** The receipt of the half message. */
  readonly receipt: SendReceipt

  /** @internal */
  constructor(begun: Native.Transaction, receipt: SendReceipt) {
    super()
    this.#native = begun
    this.receipt = receipt
  }

  /** Whether nobody has said yet how it ended. */
  get isOpen(): boolean {
    return this.#native.isOpen
  }

  /** Lets consumers have the message. If this gets lost, the broker asks the checker. */
  commit(options?: SignalOptions): Promise<void> {
    return call((id) => this.#native.end(bridge, id, true), nothing, options)
  }

  /** Drops the message. If this gets lost, the broker asks the checker. */
  rollback(options?: SignalOptions): Promise<void> {
    return call((id) => this.#native.end(bridge, id, false), nothing, options)
  }

  /** Rolls back, unless it has ended. */
  override async close(): Promise<void> {
    if (this.isOpen) {
      await this.rollback()
    }
  }
}

/**
 * Sends messages in transactions, and others.
 *
 * `check` is asked what has become of the transaction of a message, which may have been sent by any producer of the group,
 * also one that is gone. Brokers are answered while the process runs otherwise: an open producer does not keep it alive.
 */
export class TransactionProducer extends Sending {
  readonly #native: Native.TransactionProducer
  /** @internal */
  protected readonly sending: Native.Producer

  /** A producer for a client, or for NameServers: `host:port`, several with `;` between. */
  constructor(client: Client | string, options: ProducerOptions & { group: string; check: Checker }) {
    super(client)
    const { group, check, ...how } = options
    this.#native = calling(() => new native.TransactionProducer(bridge, this.client.native, group, json(how)))
    this.sending = this.#native.producer()
    void answer(this.#native.checks(), check)
  }

  /** Stores a half message, which nobody sees until it is committed. */
  async begin(message: Message, options?: SignalOptions): Promise<Transaction> {
    const begun = new native.Transaction()
    const begin = (id: number): void => this.#native.begin(bridge, id, packOne(message), begun)
    return new Transaction(begun, await call(begin, readReceipt, options))
  }

  /** @internal */
  protected override closeSending(id: number): void {
    this.#native.close(bridge, id)
  }
}

/** It knows nothing of the producer, so that nothing keeps a forgotten one from being collected. */
async function answer(checks: Native.Checks, checker: Checker): Promise<void> {
  for (;;) {
    const check = new native.Check()
    const read: Read<ReceivedMessage | undefined> = (packed, batch) =>
      packed.u8() === 0 ? undefined : messagesOf(batch())[0]
    const message = await call((id) => checks.next(bridge, id, check), read, { background: true })
    if (message === undefined) return
    // Not awaited: brokers ask about many transactions at the same time.
    void decide(checker, message).then((state) => check.answer(state))
  }
}

async function decide(checker: Checker, message: ReceivedMessage): Promise<string> {
  try {
    return String(await checker(message))
  } catch (error) {
    complain('ferromq.transaction', `a checker failed: the broker asks again about ${message.messageId}`, error)
    return 'unknown'
  }
}
