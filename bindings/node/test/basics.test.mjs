// Sending, and being handed messages.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Admin, App, Client, Consumer, Filter, PopConsumer, Producer, PullConsumer, TransactionProducer } from 'ferromq'

import { address, LIMIT, name } from './server.mjs'

test('what is sent is received with all that it has', { timeout: LIMIT }, async () => {
  const topic = name('Basics')
  const producer = new Producer(address())
  const receipt = await producer.send({
    topic,
    body: 'grüße',
    tag: 'a',
    keys: ['k1', 'k2'],
    properties: { colour: 'bleu ciel', größe: 'ß' },
    flag: -7,
  })
  assert.equal(receipt.status, 'stored')
  assert.equal(receipt.queue.topic, topic)
  assert.equal(receipt.offset, 0)

  const consumer = new Consumer(address(), { group: name('readers'), topics: topic, consumeFrom: 'first' })
  const message = await consumer.receive()
  assert.equal(message.topic, topic)
  assert.equal(message.text(), 'grüße')
  assert.deepEqual(message.body, Buffer.from('grüße'))
  assert.equal(message.tag, 'a')
  assert.deepEqual(message.keys, ['k1', 'k2'])
  assert.equal(message.properties.colour, 'bleu ciel')
  assert.equal(message.properties['größe'], 'ß')
  assert.equal(message.flag, -7)
  assert.equal(message.messageId, receipt.messageId)
  assert.equal(message.place, receipt.place)
  assert.ok(message.queue.equals(receipt.queue))
  assert.equal(message.queueOffset, receipt.offset)
  assert.equal(message.reconsumeTimes, 0)
  assert.ok(Math.abs(Date.now() - message.bornAt.getTime()) < LIMIT)
  assert.ok(message.storedAt instanceof Date)
  assert.match(message.bornHost, /:\d+$/)
  await message.ack()
  await assert.rejects(message.ack(), { name: 'FerroMQError', code: 'SETTLED' })
  await consumer.close()
  await producer.close()
})

test('many at once are stored and received, each once', { timeout: LIMIT }, async () => {
  const topic = name('Many')
  const producer = new Producer(address())
  const sent = new Set()
  const single = Array.from({ length: 600 }, (_, n) => producer.send({ topic, body: `single ${n}` }))
  for (const receipt of await Promise.all(single)) sent.add(receipt.messageId)
  for (let n = 0; n < 3; n++) {
    const batch = Array.from({ length: 500 }, (_, k) => ({ topic, body: Buffer.from(`batch ${n} ${k}`), tag: 'x' }))
    for (const receipt of await producer.sendMany(batch)) sent.add(receipt.messageId)
  }
  assert.equal(sent.size, 2100)
  const consumer = new Consumer(address(), { group: name('readers'), topics: topic, consumeFrom: 'first' })
  for await (const message of consumer) {
    assert.ok(sent.delete(message.messageId))
    assert.match(message.text(), /^(single|batch)/)
    await message.ack()
    if (sent.size === 0) break
  }
  await consumer.close()
  await producer.close()
})

test('only what the filter wants comes', { timeout: LIMIT }, async () => {
  const topic = name('Filtered')
  const producer = new Producer(address())
  for (const tag of ['a', 'b', 'c']) await producer.send({ topic, body: tag, tag, properties: { price: '5' } })
  const by = async (filter, expected) => {
    const options = { group: name('readers'), topics: { [topic]: filter }, consumeFrom: 'first' }
    const consumer = new Consumer(address(), options)
    const got = new Set()
    while (got.size < expected.length) {
      const message = await consumer.receive()
      got.add(message.text())
      message.ack()
    }
    assert.deepEqual([...got].sort(), expected)
    await consumer.close()
  }
  await by('a || c', ['a', 'c'])
  await by(Filter.all(), ['a', 'b', 'c'])
  await producer.close()
})

test('a message that failed comes again', { timeout: LIMIT }, async () => {
  const topic = name('Again')
  const producer = new Producer(address())
  await producer.send({ topic, body: 'once more' })
  const consumer = new Consumer(address(), { group: name('readers'), topics: topic, consumeFrom: 'first' })
  const first = await consumer.receive()
  await first.nack({ delayLevel: 1 })
  const second = await consumer.receive()
  assert.equal(second.messageId, first.messageId)
  assert.equal(second.topic, topic)
  assert.equal(second.reconsumeTimes, 1)
  await second.ack()
  await consumer.close()
  await producer.close()
})

test('a message that cannot be sent rejects, and those beside it are sent', { timeout: LIMIT }, async () => {
  const topic = name('Invalid')
  const producer = new Producer(address())
  const wrong = [
    { topic: 'no blanks', body: 'x' },
    { topic, body: '' },
    { topic, body: 42 },
    { topic, body: 'x', delayLevel: 99 },
    { topic, body: 'x', properties: { TAGS: 'x' } },
    { topic, body: 'x', deliverAt: Number.NaN },
  ]
  const ended = await Promise.allSettled([
    producer.send({ topic, body: 'before' }),
    ...wrong.map((message) => producer.send(message)),
    producer.send({ topic, body: 'after' }),
  ])
  assert.equal(ended[0].status, 'fulfilled')
  assert.equal(ended.at(-1).status, 'fulfilled')
  for (const { reason } of ended.slice(1, -1)) {
    assert.equal(reason.code, 'INVALID_MESSAGE')
    assert.equal(reason.retryable, false)
    assert.equal(reason.remedy, 'fix_call')
  }
  await producer.close()
  await assert.rejects(producer.send({ topic, body: 'x' }), { code: 'CLOSED' })
})

test('a topic that is none is refused, however often and wherever it comes', { timeout: LIMIT }, async () => {
  const topic = name('Topics')
  const producer = new Producer(address())
  const invalid = { code: 'INVALID_MESSAGE' }
  // Those of one turn cross together, each with its topic only if it is not that of the one before.
  const none = [{ body: 'x' }, { topic: 'no blanks', body: 'x' }, { topic: 'no blanks', body: 'y' }, { topic: 7, body: 'x' }]
  for (const order of [none, [...none].reverse()]) {
    const ended = await Promise.allSettled([
      ...order.map((message) => producer.send(message)),
      producer.send({ topic, body: 'between' }),
      ...order.map((message) => producer.send(message)),
      producer.send({ topic, body: 'after' }),
    ])
    for (const [n, { status, reason }] of ended.entries()) {
      if (n % 5 === 4) assert.equal(status, 'fulfilled')
      else assert.equal(reason?.code, 'INVALID_MESSAGE')
    }
  }
  await assert.rejects(producer.sendMany([{ topic: 'no blanks', body: 'x' }, { topic: 'no blanks', body: 'y' }]), invalid)
  await assert.rejects(producer.sendMany([{ body: 'x' }]), invalid)
  await assert.rejects(producer.send({ topic, body: 'x', tag: 5 }), invalid)
  await producer.close()
})

test('an aborted receive loses nothing', { timeout: LIMIT }, async () => {
  const topic = name('Aborted')
  const producer = new Producer(address())
  await producer.send({ topic, body: '0' })
  const consumer = new Consumer(address(), { group: name('readers'), topics: topic, consumeFrom: 'first' })
  const got = new Set()
  const take = (message) => {
    got.add(message.text())
    // What is forgotten comes again, whenever it is collected.
    return message.ack()
  }
  await take(await consumer.receive())
  for (let n = 1; n < 50; n++) {
    const controller = new AbortController()
    const received = consumer.receive({ signal: controller.signal })
    const sent = producer.send({ topic, body: String(n) })
    setTimeout(() => controller.abort(new Error('enough')), n % 5)
    try {
      await take(await received)
    } catch (error) {
      assert.equal(error.message, 'enough')
    }
    await sent
  }
  while (got.size < 50) await take(await consumer.receive())
  assert.equal(await consumer.receive({ timeout: 5 }), undefined)
  await assert.rejects(consumer.receive({ signal: AbortSignal.abort() }), { name: 'AbortError' })
  await consumer.close()
  await assert.rejects(consumer.receive(), { code: 'CLOSED' })
  await producer.close()
})

test('an abort is heard whenever it comes', { timeout: LIMIT }, async () => {
  const topic = name('Heard')
  const producer = new Producer(address())
  await producer.send({ topic, body: 'x' })
  const consumer = new Consumer(address(), { group: name('readers'), topics: topic, consumeFrom: 'first' })
  await (await consumer.receive()).ack()
  // Nothing comes any more. There is a turn of microtasks between the beginning of a call and its wait.
  for (let turns = 0; turns < 10; turns++) {
    const controller = new AbortController()
    const received = consumer.receive({ signal: controller.signal })
    for (let n = 0; n < turns; n++) await null
    controller.abort()
    await assert.rejects(received, { name: 'AbortError' }, `after ${turns} turns`)
  }
  await producer.close()
  await consumer.close()
})

test('a handler may stop or close what calls it', { timeout: LIMIT }, async () => {
  const topic = name('Stopped')
  const producer = new Producer(address())
  await producer.send({ topic, body: 'x' })
  for (let turns = 0; turns < 10; turns++) {
    const consumer = new Consumer(address(), { group: name('readers'), topics: topic, consumeFrom: 'first' })
    await consumer.run(async (message) => {
      await message.ack()
      for (let n = 0; n < turns; n++) await null
      consumer.stop()
    })
    await consumer.close()
  }
  const group = name('readers')
  const ends = {
    awaiting: async (consumer, message) => {
      await message.ack()
      await new Promise(setImmediate)
      await consumer.close()
    },
    returning: async (consumer) => {
      await new Promise(setImmediate)
      void consumer.close()
    },
    at_once: (consumer) => void consumer.close(),
  }
  for (const [how, end] of Object.entries(ends)) {
    if (how !== 'awaiting') await producer.send({ topic, body: how })
    const consumer = new Consumer(address(), { group, topics: topic, consumeFrom: 'first' })
    const got = []
    await consumer.run(async (message) => {
      got.push(message.text())
      await end(consumer, message)
    })
    await consumer.close()
    // What the one before was done with does not come again.
    assert.deepEqual(got, [how === 'awaiting' ? 'x' : how])
  }
  const app = new App(address())
  app.consumer({ group: name('readers'), topics: topic, consumeFrom: 'first', concurrency: 1 }, async (message) => {
    await message.ack()
    await app.close()
  })
  await app.serve()
  await producer.close()
})

test('a number of messages that is none is refused', { timeout: LIMIT }, async () => {
  const topic = name('None')
  const producer = new Producer(address())
  await producer.send({ topic, body: 'x' })
  const consumer = new Consumer(address(), { group: name('readers'), topics: topic, consumeFrom: 'first' })
  for (const most of [0, -1, Number.NaN, 1.5, Infinity, '1']) {
    await assert.rejects(consumer.receiveMany(most, { timeout: 1 }), { code: 'CONFIG' }, String(most))
  }
  await assert.rejects(consumer.receive({ timeout: Number.NaN }), { code: 'CONFIG' })
  for await (const message of consumer.readable({ highWaterMark: 0 })) {
    assert.equal(message.text(), 'x')
    await message.ack()
    break
  }
  await consumer.close()
  await producer.close()
})

test('what could not be settled may still be', { timeout: LIMIT }, async () => {
  const topic = name('Unsettled')
  const producer = new Producer(address())
  await producer.send({ topic, body: 'x' })
  const consumer = new Consumer(address(), { group: name('readers'), topics: topic, consumeFrom: 'first' })
  const message = await consumer.receive()
  await assert.rejects(message.nack({ signal: AbortSignal.abort() }), { name: 'AbortError' })
  for (const delayLevel of [300, -1, Number.NaN]) {
    await assert.rejects(message.nack({ delayLevel }), { code: 'CONFIG' })
  }
  await message.ack()
  await assert.rejects(message.nack(), { code: 'SETTLED' })
  await consumer.close()
  await producer.close()
})

test('a number that means nothing is refused, and not taken for none or for another', { timeout: LIMIT }, async () => {
  const [topic, group] = [name('Numbers'), name('g')]
  const bad = new Date('bad')
  const config = { code: 'CONFIG' }
  const made = [
    () => new Producer(address(), { sendTimeout: Infinity }),
    () => new Producer(address(), { sendTimeout: 3000n }),
    () => new Client(address(), { callTimeout: Number.NaN }),
    () => new Consumer(address(), { group, topics: topic, maxBuffered: Infinity }),
    () => new Consumer(address(), { group, topics: topic, consumeFrom: bad }),
    () => new PullConsumer(address(), { group, consumeFrom: Number.NaN }),
    () => new PopConsumer(address(), { group, topics: topic, invisibleTime: Infinity }),
    () => new TransactionProducer(address(), { group, check: () => 'commit', retries: Number.NaN }),
  ]
  for (const make of made) assert.throws(make, config, String(make))
  const client = new Client(address())
  const producer = new Producer(client)
  const { queue } = await producer.send({ topic, body: 'x' })
  const { id, ...unnumbered } = queue
  for (const flag of [3e9, 1.5, Number.NaN]) {
    await assert.rejects(producer.send({ topic, body: 'x', flag }), { code: 'INVALID_MESSAGE' })
  }
  for (const to of [unnumbered, { ...queue, id: -1 }, { ...queue, id: 2 ** 32 + id }]) {
    await assert.rejects(producer.send({ topic, body: 'x' }, { queue: to }), { code: 'INVALID_MESSAGE' })
  }
  const puller = new PullConsumer(client, { group, autoCommit: false, consumeFrom: 'first' })
  await puller.assign([queue])
  for (const offset of [Number.NaN, -1, 0.5, 2 ** 53]) {
    await assert.rejects(puller.commit(queue, offset), config)
    await assert.rejects(puller.pull(queue, offset), config)
    await assert.rejects(puller.seek(queue, offset), config)
  }
  await assert.rejects(puller.seek(queue, bad), config)
  await assert.rejects(puller.offsetOf(queue, bad), config)
  await assert.rejects(puller.pull(queue, 0, { most: Number.NaN }), config)
  await assert.rejects(puller.poll({ timeout: Number.NaN }), config)
  const popper = new PopConsumer(client, { group, topics: topic })
  await assert.rejects(popper.receiveMany(Number.NaN), config)
  const admin = new Admin(client)
  await assert.rejects(admin.messagesByKey({ topic, key: 'k', begin: bad }), config)
  for (const open of [puller, popper, producer, client]) await open.close()
})

test('a wrong option is refused by its name', () => {
  assert.throws(() => new Producer('127.0.0.1:1', { retrys: 3 }), { code: 'CONFIG', message: /retrys/ })
  assert.throws(() => new Consumer('127.0.0.1:1', { group: 'g', topics: 't', consumeFrom: 'middle' }), {
    code: 'CONFIG',
  })
  assert.throws(() => new Producer(''), { code: 'CONFIG' })
})
