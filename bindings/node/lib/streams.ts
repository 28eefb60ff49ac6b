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
      const topics = new Map<string, Message[]>()
      for (const { chunk } of chunks) {
        const known = topics.get(chunk.topic)
        if (known === undefined) {
          topics.set(chunk.topic, [chunk])
        } else {
          known.push(chunk)
        }
      }
      const sent = Array.from(topics.values(), (messages) => producer.sendMany(messages))
      Promise.all(sent).then(() => callback(), callback)
    },
  })
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
