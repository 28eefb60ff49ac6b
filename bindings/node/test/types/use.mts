// What a strict user's program does, with the type that each thing has. Compiled, never run.

import type { Readable, Writable } from 'node:stream'

import {
  Admin,
  App,
  Client,
  Consumer,
  Delivery,
  FerroMQError,
  Filter,
  Lease,
  MessageQueue,
  PopConsumer,
  Producer,
  propagation,
  PullConsumer,
  ReceivedMessage,
  Reply,
  SendReceipt,
  setLogger,
  Transaction,
  TransactionProducer,
  type Checker,
  type ClientOptions,
  type ErrorCode,
  type Handler,
  type LogRecord,
  type Message,
  type Outcome,
  type Pulled,
  type Remedy,
  type SendStatus,
} from 'ferromq'
import { LocalBroker, type LocalBrokerOptions } from 'ferromq/testing'

/** Takes a value whose type is `Expected`, neither wider nor narrower. */
function is<Expected>(): <T>(value: T, ...same: [T, Expected] extends [Expected, T] ? [] : [never]) => void {
  return () => {}
}

const { signal } = new AbortController()

export async function connecting(): Promise<void> {
  const options: ClientOptions = {
    instanceName: 'a',
    callTimeout: 3000,
    tls: { authorities: 'ca.pem', certificate: 'me.pem', key: 'me.key', serverName: 'broker' },
    credentials: { accessKey: 'a', secretKey: 's' },
  }
  await using client = new Client('127.0.0.1:9876;127.0.0.2:9876', options)
  is<string>()(client.id)
  const producer = new Producer(client, { group: 'g', compression: 'zstd', retries: 2, linger: 1 })
  is<Client>()(producer.client)
  await producer.close()
}

export async function sending(producer: Producer): Promise<void> {
  const message: Message = { topic: 't', body: 'text', keys: ['a', 'b'], properties: { p: 'v' } }
  const receipt = await producer.send(message, { signal })
  is<SendReceipt>()(receipt)
  is<SendStatus>()(receipt.status)
  is<MessageQueue>()(receipt.queue)
  is<number>()(receipt.offset)
  is<string | undefined>()(receipt.recallHandle)
  await producer.send({ topic: 't', body: new Uint8Array(3), deliverAt: new Date(), shardingKey: 'k' }, { queue: receipt.queue })
  is<SendReceipt[]>()(await producer.sendMany([message, { topic: 't', body: Buffer.of(1), delayLevel: 3 }]))
  function* many(): Iterable<Message> {
    yield message
  }
  await producer.sendMany(many(), { signal })
  is<void>()(await producer.sendOneway(message))
  is<string>()(await producer.recall('t', receipt.recallHandle ?? ''))
  const reply = await producer.request(message, { timeout: 1000, signal })
  is<Reply>()(reply)
  is<{ n: number }>()(reply.json<{ n: number }>())
  is<Writable>()(producer.writable({ highWaterMark: 16, signal }))
}

export async function transactions(): Promise<void> {
  const check: Checker = async (message) => (message.tag === undefined ? 'unknown' : 'commit')
  await using producer = new TransactionProducer('127.0.0.1:9876', { group: 'g', check })
  await using transaction = await producer.begin({ topic: 't', body: 'x' }, { signal })
  is<Transaction>()(transaction)
  is<boolean>()(transaction.isOpen)
  await transaction.commit()
}

export async function consuming(): Promise<void> {
  await using consumer = new Consumer('127.0.0.1:9876', {
    group: 'g',
    topics: { a: Filter.tags('x || y'), b: Filter.sql('p > 1'), c: '*' },
    consumeFrom: new Date(0),
    inOrder: true,
  })
  for await (const message of consumer) {
    is<Delivery>()(message)
    is<Buffer>()(message.body)
    is<Readonly<Record<string, string>>>()(message.properties)
    is<string[]>()(message.keys)
    is<Date>()(message.storedAt)
    is<unknown>()(message.json())
    is<number>()(message.value({ deserialize: (body) => body.length }))
    await message.ack()
    await message.nack({ delayLevel: 3 })
  }
  is<Delivery[]>()(await consumer.receiveMany(100, { timeout: 5, signal }))
  is<Readable>()(consumer.readable())
  const handler: Handler = async (message) => (message.reconsumeTimes > 3 ? 'dead_letter' : 'done')
  await consumer.run(handler, { concurrency: 8, signal })
  await consumer.run(() => {})
  const app = new App('127.0.0.1:9876').consumer({ group: 'g', topics: ['a', 'b'], concurrency: 4 }, handler)
  is<App>()(app)
  await app.serve({ signal })
  const outcome: Outcome = 'later'
  void outcome
}

export async function pulling(consumer: PullConsumer, queue: MessageQueue): Promise<void> {
  is<ReceivedMessage[]>()(await consumer.poll({ timeout: 10, signal }))
  const pulled = await consumer.pull(queue, 0, { most: 10, wait: 100, filter: Filter.all() })
  is<Pulled>()(pulled)
  is<ReceivedMessage | undefined>()(pulled.messages[0])
  await consumer.assign([queue])
  await consumer.seek(queue, 'first')
  await consumer.seek({ topic: 't', broker: 'b', id: 0 }, pulled.nextOffset)
  is<number | undefined>()(await consumer.committed(queue))
  is<number>()(await consumer.offsetOf(queue, new Date()))
}

export async function leasing(): Promise<void> {
  await using consumer = new PopConsumer('127.0.0.1:9876', { group: 'g', topics: 't', invisibleTime: 30_000 })
  const leases = await consumer.receiveMany(32, { wait: 1000, signal })
  is<Lease[]>()(leases)
  await leases[0]?.extend(10_000)
  await consumer.ackMany(leases)
}

export async function failing(producer: Producer): Promise<ErrorCode | undefined> {
  try {
    await producer.send({ topic: 't', body: 'x' })
    return undefined
  } catch (error) {
    if (!(error instanceof FerroMQError)) throw error
    is<Remedy>()(error.remedy)
    is<boolean>()(error.retryable)
    is<number | undefined>()(error.serverCode)
    is<readonly SendReceipt[] | undefined>()(error.receipts)
    return error.code
  }
}

export function observing(message: ReceivedMessage): void {
  setLogger((record) => is<LogRecord>()(record), 'debug')
  setLogger(undefined)
  is<unknown>()(propagation.extract(message))
  propagation.use(undefined)
}

export async function testing(): Promise<void> {
  const options: LocalBrokerOptions = { settings: { autoCreateTopicEnable: 'false' } }
  await using broker = await LocalBroker.start(options)
  await using admin = new Admin(broker.address)
  is<Admin>()(admin)
}
