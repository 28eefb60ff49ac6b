/**
 * RocketMQ's messaging for Node.js: promises, async iterators and streams, typed, without a JVM.
 *
 * | to | |
 * |---|---|
 * | send | `Producer` |
 * | send in transactions | `TransactionProducer` |
 * | be handed messages | `Consumer`, `App` |
 * | ask for messages, queue by queue | `PullConsumer` |
 * | lease messages | `PopConsumer` |
 * | administer | `Admin` |
 * | encrypt, sign, share connections | `Client` |
 */

export { Admin } from './admin.js'
export type * from './answers.js'
export { App, type HandlerOptions } from './app.js'
export { Client, type ClientOptions, type Closing, type Credentials, type Owner, type TlsOptions } from './client.js'
export {
  Consumer,
  type ConsumerOptions,
  type Handler,
  type Outcome,
  type ReceiveOptions,
  type RunOptions,
} from './consumer.js'
export { FerroMQError, type ErrorCode, type FerroMQErrorOptions, type Remedy } from './errors.js'
export { setLogger, type Logger, type LogLevel, type LogRecord } from './logging.js'
export {
  Filter,
  MessageQueue,
  SendReceipt,
  type Instant,
  type Message,
  type QueueName,
  type SendStatus,
  type Topics,
} from './message.js'
export type { Operations } from './operations.js'
export { PopConsumer, type PopOptions } from './pop.js'
export {
  Producer,
  Reply,
  type ProducerOptions,
  type Sending,
  type SendOptions,
} from './producer.js'
export * as propagation from './propagation.js'
export { PullConsumer, type Pulled, type PullOptions, type PullRequest, type Target } from './pull.js'
export { Delivery, Lease, ReceivedMessage, type Deserializer, type NackOptions } from './received.js'
export type { SignalOptions } from './signal.js'
export type { ReadableOptions, WritableOptions } from './streams.js'
export { Transaction, TransactionProducer, type Checker, type TransactionState } from './transaction.js'
