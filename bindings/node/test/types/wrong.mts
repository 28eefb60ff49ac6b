// What a compiler has to refuse: each mistake is expected, and one that is accepted is an error here. Compiled, never run.

import { App, Client, Consumer, Filter, PopConsumer, Producer, PullConsumer, TransactionProducer, type Delivery } from 'ferromq'

const address = '127.0.0.1:9876'

export async function mistakes(client: Client, message: Delivery): Promise<void> {
  const producer = new Producer(client)
  // @ts-expect-error: no NameServers
  new Producer()
  // @ts-expect-error: an option that is misspelt
  new Producer(client, { retrys: 3 })
  // @ts-expect-error: a compression that there is not
  new Producer(client, { compression: 'brotli' })
  // @ts-expect-error: no body
  await producer.send({ topic: 't' })
  // @ts-expect-error: a body that is no text and no bytes
  await producer.send({ topic: 't', body: { a: 1 } })
  // @ts-expect-error: a property that is no text
  await producer.send({ topic: 't', body: 'x', properties: { n: 1 } })
  // @ts-expect-error: one message where many are sent
  await producer.sendMany({ topic: 't', body: 'x' })
  // @ts-expect-error: a consumer without a group
  new Consumer(client, { topics: 't' })
  // @ts-expect-error: a consumer without topics
  new Consumer(client, { group: 'g' })
  // @ts-expect-error: a place to start from that there is not
  new Consumer(client, { group: 'g', topics: 't', consumeFrom: 'middle' })
  // @ts-expect-error: an outcome that there is not
  await new Consumer(client, { group: 'g', topics: 't' }).run(() => 'maybe')
  // @ts-expect-error: a handler's message that is changed
  message.topic = 'other'
  // @ts-expect-error: what is received may be nothing
  await (await new Consumer(client, { group: 'g', topics: 't' }).receive({ timeout: 1 })).ack()
  // @ts-expect-error: filters are made by their functions
  new Filter()
  // @ts-expect-error: transactions without anybody to ask
  new TransactionProducer(address, { group: 'g' })
  // @ts-expect-error: a state that there is not
  new TransactionProducer(address, { group: 'g', check: () => 'perhaps' })
  // @ts-expect-error: a queue that is only its number
  await new PullConsumer(address, { group: 'g' }).pull(3, 0)
  // @ts-expect-error: a time that is text
  new PopConsumer(address, { group: 'g', topics: 't', invisibleTime: '30s' })
  // @ts-expect-error: a handler that is missing
  new App(address).consumer({ group: 'g', topics: 't' })
  // @ts-expect-error: a method that there is not
  message.acknowledge()
}
