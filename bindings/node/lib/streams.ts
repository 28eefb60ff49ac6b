/** Node's streams: messages are written to a producer and read from a consumer, with back-pressure. */

import { Readable, Writable } from 'node:stream'

import type { Consumer } from './consumer.js'
import type { Message } from './message.js'
import type { Sending } from './producer.js'
import type { Delivery } from './received.js'

/** How a producer's stream is. */
export interface WritableOptions {
  /** Messages that are buffered before whoever writes has to wait: 1,000 by default. */
  highWaterMark?: number
  /** Ends the stream. */
  signal?: AbortSignal
}

/** How a consumer's stream is. */
export interface ReadableOptions {
  /** Messages that are taken from the consumer ahead of whoever reads: 32 by default. */
  highWaterMark?: number
  /** Ends the stream. */
  signal?: AbortSignal
}

/** @internal */
export function writableOf(producer: Sending, options: WritableOptions = {}): Writable {
  const { highWaterMark = 1000, ...rest } = options
  return new Writable({
    ...rest,
    objectMode: true,
    highWaterMark,
    write(message: Message, _encoding, callback) {
      producer.send(message).then(() => callback(), callback)
    },
    writev(chunks: { chunk: Message }[], callback) {
      sendAll(producer, chunks.map(({ chunk }) => chunk)).then(() => callback(), callback)
    },
  })
}

/** Batches that are sent one after the other. */
interface Lane {
  batches: Message[][]
  /** What `waitForStore` is of messages that the last one may still take; none if it takes none. */
  takes: boolean | undefined
}

async function sendAll(producer: Sending, messages: Message[]): Promise<void> {
  await Promise.all(
    lanes(messages).map(async ({ batches }) => {
      for (const batch of batches) {
        await (batch.length === 1 ? producer.send(batch[0] as Message) : producer.sendMany(batch))
      }
    }),
  )
}

/**
 * Those of one sharding key are in one lane, in their order. Others have no order: only what makes a batch has to be the
 * same. Brokers take none of what is delivered later or is of a retry topic.
 */
function lanes(messages: Message[]): Lane[] {
  const all: Lane[] = []
  const known = new Map<string, Lane>()
  for (const message of messages) {
    const { topic, shardingKey, delayLevel, deliverAt, deliverAfter, waitForStore = true } = message
    const isDelayed = delayLevel !== undefined || deliverAt !== undefined || deliverAfter !== undefined
    const isAlone = isDelayed || String(topic).startsWith('%RETRY%')
    const name = shardingKey !== undefined ? `${topic} of ${shardingKey}` : isAlone ? undefined : `${topic} ${waitForStore}`
    let lane = name === undefined ? undefined : known.get(name)
    if (lane === undefined) {
      lane = { batches: [], takes: undefined }
      all.push(lane)
      if (name !== undefined) known.set(name, lane)
    }
    if (!isAlone && lane.takes === waitForStore) {
      lane.batches.at(-1)?.push(message)
    } else {
      lane.batches.push([message])
      lane.takes = isAlone ? undefined : waitForStore
    }
  }
  return all
}

/** @internal */
export function readableOf(consumer: Consumer, options: ReadableOptions = {}): Readable {
  const { highWaterMark = 32, ...rest } = options
  const ended = new AbortController()
  const stream = new Readable({
    ...rest,
    objectMode: true,
    highWaterMark,
    read(count) {
      consumer.receiveMany(Math.max(1, count), { signal: ended.signal }).then(
        (messages: Delivery[]) => messages.forEach((message) => stream.push(message)),
        (error: unknown) => {
          if (ended.signal.aborted) return
          const closed = (error as { code?: string }).code === 'CLOSED'
          if (closed) stream.push(null)
          else stream.destroy(error as Error)
        },
      )
    },
    destroy(error, callback) {
      ended.abort()
      callback(error)
    },
  })
  return stream
}
