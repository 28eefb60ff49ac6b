/** What can go wrong: one class of errors, of which `code` says what failed and `remedy` who has to act. */

import type { SendReceipt } from './message.js'

/**
 * What failed. These never change their meaning; there may be more of them one day.
 *
 * | code | |
 * |---|---|
 * | `CONFIG` | an option, a name or a certificate |
 * | `INVALID_MESSAGE` | a message that cannot be sent |
 * | `CLOSED` | the client, producer or consumer is closed |
 * | `SETTLED` | acknowledged, or ended, twice |
 * | `ROUTE` | it is not known where to send or to read |
 * | `TOPIC_NOT_FOUND` | no broker has the topic |
 * | `SERVER` | a server's answer cannot be used |
 * | `UNREACHABLE` | no connection to the server, or it ended before the answer came |
 * | `CALL_TIMEOUT` | no answer in time; the server may have done what it was asked for |
 * | `REFUSED` | the server said no: `serverCode` |
 * | `BATCH` | some messages of a batch are stored (`receipts`), the rest are not known to be |
 * | `TRANSACTION` | a transaction could not be begun safely or ended: the broker asks the checker |
 * | `NO_REPLY` | nobody replied in time |
 * | `NOT_ASSIGNED` | the queue is none of this consumer's, or no longer |
 * | `ADMIN` | an operator's call failed |
 */
export type ErrorCode =
  | 'CONFIG'
  | 'INVALID_MESSAGE'
  | 'CLOSED'
  | 'SETTLED'
  | 'ROUTE'
  | 'TOPIC_NOT_FOUND'
  | 'SERVER'
  | 'UNREACHABLE'
  | 'CALL_TIMEOUT'
  | 'REFUSED'
  | 'BATCH'
  | 'TRANSACTION'
  | 'NO_REPLY'
  | 'NOT_ASSIGNED'
  | 'ADMIN'

/**
 * Who has to act on an error.
 *
 * - `retry`: nobody, or time. The same call may succeed later; the client has tried that already, as often as it may.
 * - `fix_call`: whoever wrote the calling program. The same call fails again.
 * - `ask_operator`: whoever runs the servers: a permission, a setting, a topic or a disk.
 */
export type Remedy = 'retry' | 'fix_call' | 'ask_operator'

/** What an error is made of. */
export interface FerroMQErrorOptions extends ErrorOptions {
  remedy?: Remedy
  serverCode?: number
  receipts?: readonly SendReceipt[]
}

/** Every error of this package, except that an aborted wait rejects with its signal's reason. */
export class FerroMQError extends Error {
  /** What failed. */
  readonly code: ErrorCode
  /** Who has to act. */
  readonly remedy: Remedy
  /** The response code of the protocol with which a server refused. */
  readonly serverCode?: number
  /** Of `BATCH`: the messages that are stored, which are the first ones of the batch. */
  readonly receipts?: readonly SendReceipt[]

  constructor(code: ErrorCode, message: string, options: FerroMQErrorOptions = {}) {
    super(message, options)
    this.code = code
    this.remedy = options.remedy ?? 'fix_call'
    if (options.serverCode !== undefined) {
      this.serverCode = options.serverCode
    }
    if (options.receipts !== undefined) {
      this.receipts = options.receipts
    }
  }

  /** Whether the same call may succeed later. */
  get retryable(): boolean {
    return this.remedy === 'retry'
  }

  static {
    Object.defineProperty(FerroMQError.prototype, 'name', { value: 'FerroMQError', configurable: true, writable: true })
  }
}

/** @internal An error as the native half tells it. */
export function errorOf(told: string, receipts?: readonly SendReceipt[]): FerroMQError {
  const { code, message, ...rest } = JSON.parse(told) as { code: ErrorCode; message: string } & FerroMQErrorOptions
  return new FerroMQError(code, message, receipts?.length ? { ...rest, receipts } : rest)
}

/** @internal Calls the native half, whose errors are JSON. */
export function calling<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    const text = error instanceof Error ? error.message : ''
    throw text.startsWith('{') ? errorOf(text) : error
  }
}
