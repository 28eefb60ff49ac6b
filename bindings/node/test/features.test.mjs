// What a client does beside plain sending and receiving.

import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'

import {
  Admin,
  App,
  Client,
  Consumer,
  Filter,
  PopConsumer,
  Producer,
  propagation,
  PullConsumer,
  setLogger,
  TransactionProducer,
} from 'ferromq'

import { address, LIMIT, name, own } from './server.mjs'

const first = { consumeFrom: 'first' }

test('messages of a key stay in their order', { timeout: LIMIT }, async (t) => {
  const topic = name('Ordered')
  const producer = own(t, new Producer(address()))
  for (let n = 0; n < 30; n++) await producer.send({ topic, body: String(n), shardingKey: 'one' })
  const consumer = own(t, new Consumer(address(), { group: name('g'), topics: topic, inOrder: true, ...first }))
  const got = []
  for await (const message of consumer) {
    assert.equal(message.shardingKey, 'one')
    got.push(Number(message.text()))
    await message.ack()
    if (got.length === 30) break
  }
  assert.deepEqual(got, Array.from({ length: 30 }, (_, n) => n))
})

test('a message goes to the queue that is named, and later if that is said', { timeout: LIMIT }, async (t) => {
  const topic = name('Later')
  const producer = own(t, new Producer(address()))
  const { queue } = await producer.send({ topic, body: 'first' })
  const again = await producer.send({ topic, body: 'second' }, { queue })
  assert.ok(again.queue.equals(queue))
  const consumer = own(t, new Consumer(address(), { group: name('g'), topics: topic, ...first }))
  for (const _ of [1, 2]) await (await consumer.receive()).ack()
  const sent = Date.now()
  await producer.send({ topic, body: 'timed', deliverAt: new Date(sent + 1500) })
  const timed = await consumer.receive()
  assert.equal(timed.text(), 'timed')
  assert.ok(Date.now() - sent > 1000)
  await timed.ack()
  const { recallHandle } = await producer.send({ topic, body: 'recalled', deliverAfter: 60_000 })
  assert.equal(typeof (await producer.recall(topic, recallHandle)), 'string')
})

test('one way messages arrive, and questions are replied to', { timeout: LIMIT }, async (t) => {
  const topic = name('Asked')
  const client = own(t, new Client(address()))
  const producer = own(t, new Producer(client))
  await producer.send({ topic, body: 'so that there is the topic' })
  const consumer = own(t, new Consumer(client, { group: name('g'), topics: topic, ...first }))
  await producer.sendOneway({ topic, body: 'one way' })
  const running = consumer.run(async (message) => {
    if (message.text() === 'why?') {
      await producer.reply(message, 'because')
    }
  })
  const reply = await producer.request({ topic, body: 'why?' }, { timeout: LIMIT })
  assert.equal(reply.text(), 'because')
  let unanswered
  // Sending it counts, for which a busy machine may need all of the time.
  for (const timeout of [3_000, 15_000, 60_000]) {
    unanswered = await producer.request({ topic, body: 'nobody knows' }, { timeout }).catch((error) => error)
    if (unanswered.code === 'NO_REPLY') break
  }
  assert.equal(unanswered.code, 'NO_REPLY')
  const aborted = producer.request({ topic, body: 'never mind' }, { timeout: LIMIT, signal: AbortSignal.timeout(100) })
  await assert.rejects(aborted, { name: 'TimeoutError' })
  consumer.stop()
  await running
})

test('messages of a transaction are seen if it commits, and only then', { timeout: LIMIT }, async (t) => {
  const topic = name('Transacted')
  const check = async (message) => {
    // Brokers ask early where machines are slow, also about what is just being rolled back.
    return message.text() === 'committed' ? 'commit' : 'rollback'
  }
  const producer = own(t, new TransactionProducer(address(), { group: name('p'), check }))
  const committed = await producer.begin({ topic, body: 'committed' })
  assert.ok(committed.isOpen && committed.receipt.messageId)
  await committed.commit()
  await assert.rejects(committed.rollback(), { code: 'SETTLED' })
  let left
  {
    // What `await using` comes to, which Node before 24 does not know.
    const rolledBack = await producer.begin({ topic, body: 'left without commit' })
    left = rolledBack
    await rolledBack[Symbol.asyncDispose]()
  }
  assert.ok(!left.isOpen)
  await producer.send({ topic, body: 'plain' })
  const consumer = own(t, new Consumer(address(), { group: name('g'), topics: topic, ...first }))
  let got = []
  while (new Set(got).size < 2) {
    const message = await consumer.receive()
    got.push(message.text())
    await message.ack()
  }
  // The official broker delivers what it was told of as well as answered about twice.
  if (process.env.FERROMQ_TEST_KIND === 'official') got = [...new Set(got)]
  else assert.equal(await consumer.receive({ timeout: 500 }), undefined)
  assert.deepEqual(got.sort(), ['committed', 'plain'])
})

test('SQL filters want what their expression is true of', { timeout: LIMIT }, async (t) => {
  const topic = name('Sql')
  const producer = own(t, new Producer(address()))
  for (const price of ['3', '30']) await producer.send({ topic, body: price, properties: { price } })
  const topics = { [topic]: Filter.sql('price > 10') }
  const consumer = own(t, new Consumer(address(), { group: name('g'), topics, ...first }))
  const message = await consumer.receive()
  assert.equal(message.text(), '30')
  await message.ack()
})

test('a puller goes where it is told, and loses nothing by aborting', { timeout: LIMIT }, async (t) => {
  const topic = name('Pulled')
  const producer = own(t, new Producer(address()))
  const { queue } = await producer.send({ topic, body: '0' })
  for (let n = 1; n < 10; n++) await producer.send({ topic, body: String(n) }, { queue })
  const consumer = own(t, new PullConsumer(address(), { group: name('g'), autoCommit: false, ...first }))
  assert.ok((await consumer.queues(topic)).some((known) => known.equals(queue)))
  // The official broker's queue follows its log a moment later.
  while ((await consumer.offsetOf(queue, 'last')) < 10) await setTimeout(20)
  assert.equal(await consumer.committed(queue), undefined)
  const pulled = await consumer.pull(queue, 4, { most: 3 })
  assert.deepEqual(pulled.messages.map((message) => message.text()), ['4', '5', '6'])
  assert.deepEqual([pulled.nextOffset, pulled.minOffset, pulled.maxOffset], [7, 0, 10])
  await consumer.assign([queue])
  await consumer.seek(queue, 2)
  const got = []
  while (got.length < 8) {
    try {
      const signal = AbortSignal.timeout(got.length % 2 ? 1 : LIMIT)
      got.push(...(await consumer.poll({ signal })).map((message) => Number(message.text())))
    } catch (error) {
      assert.equal(error.name, 'TimeoutError')
    }
  }
  assert.deepEqual(got, [2, 3, 4, 5, 6, 7, 8, 9])
  assert.equal(consumer.position(queue), 10)
  await consumer.commit()
  assert.equal(await consumer.committed(queue), 10)
  await consumer.commit(queue, 5)
  assert.equal(await consumer.committed(queue), 5)
  consumer.pause([queue])
  assert.deepEqual(await consumer.poll({ timeout: 20 }), [])
  consumer.resume([queue])
  await assert.rejects(consumer.seek({ ...queue, id: 77 }, 'first'), { code: 'NOT_ASSIGNED' })
})

test('a poll that is aborted takes nothing, at whatever moment', { timeout: LIMIT }, async (t) => {
  const topic = name('Polled')
  const producer = own(t, new Producer(address()))
  const { queue } = await producer.send({ topic, body: '0' })
  const consumer = own(t, new PullConsumer(address(), { group: name('g'), autoCommit: false, ...first }))
  await consumer.assign([queue])
  const got = []
  for (let n = 1; n <= 10; n++) {
    const controller = new AbortController()
    const aborted = assert.rejects(consumer.poll({ signal: controller.signal }), { name: 'AbortError' })
    for (let turns = 0; turns < 10; turns++) await null
    // The message comes while this thread hears of nothing; what it is told of it is too late.
    const busy = performance.now() + 50
    while (performance.now() < busy);
    controller.abort()
    const [message, ...others] = await consumer.poll()
    got.push(Number(message.text()))
    assert.deepEqual(others, [])
    await aborted
    await producer.send({ topic, body: String(n) }, { queue })
  }
  assert.deepEqual(got, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  await consumer.commit()
  assert.equal(await consumer.committed(queue), 10)
})

test('leases are acknowledged, given back and extended', { timeout: LIMIT }, async (t) => {
  const topic = name('Leased')
  const producer = own(t, new Producer(address()))
  await producer.sendMany(Array.from({ length: 6 }, (_, n) => ({ topic, body: String(n) })))
  const consumer = own(t, new PopConsumer(address(), { group: name('g'), topics: topic, fromOldest: true, invisibleTime: LIMIT }))
  const leases = []
  while (leases.length < 6) leases.push(...(await consumer.receiveMany(32, { wait: 1000 })))
  const [one, two, ...others] = leases
  await one.extend(2 * LIMIT)
  await one.ack()
  await two.nack()
  await consumer.ackMany(others)
  let again = []
  while (again.length === 0) again = await consumer.receiveMany(32, { wait: 1000 })
  assert.equal(again[0].messageId, two.messageId)
  await again[0].ack()
  const aborted = consumer.receiveMany(1, { signal: AbortSignal.timeout(50) })
  await assert.rejects(aborted, { name: 'TimeoutError' })
})

test('streams carry messages both ways', { timeout: LIMIT }, async (t) => {
  const topic = name('Streamed')
  const producer = own(t, new Producer(address()))
  const messages = function* () {
    for (let n = 0; n < 3000; n++) yield { topic, body: String(n) }
  }
  await pipeline(Readable.from(messages()), producer.writable({ highWaterMark: 100 }))
  const consumer = own(t, new Consumer(address(), { group: name('g'), topics: topic, ...first }))
  const got = new Set()
  for await (const message of consumer.readable()) {
    got.add(message.text())
    message.ack()
    if (got.size === 3000) break
  }
  const mixed = producer.writable()
  const ordered = name('Mixed')
  // What is written while corked goes together, whatever may travel so.
  mixed.cork()
  for (let n = 0; n < 30; n++) {
    const key = { shardingKey: `key ${n % 3}` }
    mixed.write({ topic: ordered, body: `ordered ${n}`, ...key, ...(n % 4 === 0 && { waitForStore: false }) })
    mixed.write({ topic: ordered, body: `plain ${n}`, waitForStore: n % 2 === 0 })
    if (n % 10 === 0) mixed.write({ topic: ordered, body: `later ${n}`, ...key, deliverAfter: 1 })
    if (n % 10 === 5) mixed.write({ topic: ordered, body: `level ${n}`, delayLevel: 1 })
  }
  mixed.uncork()
  await finished(mixed.end())
  const group = { group: name('g'), inOrder: true, ...first }
  const inOrder = own(t, new Consumer(address(), { topics: ordered, ...group }))
  const bodies = []
  while (bodies.length < 66) {
    const message = await inOrder.receive()
    bodies.push(message.text())
    await message.ack()
  }
  assert.equal(new Set(bodies).size, 66)
  const numbers = bodies.filter((body) => body.startsWith('ordered')).map((body) => Number(body.split(' ')[1]))
  for (const key of [0, 1, 2]) {
    const ofKey = numbers.filter((n) => n % 3 === key)
    assert.deepEqual(ofKey, Array.from({ length: 10 }, (_, n) => 3 * n + key))
  }
  const broken = producer.writable()
  const failed = new Promise((resolve) => broken.once('error', resolve))
  broken.write({ topic, body: '' })
  assert.equal((await failed).code, 'INVALID_MESSAGE')
})

test('a handler that throws has its message again, and others go on', { timeout: LIMIT }, async (t) => {
  const topic = name('Handled')
  const producer = own(t, new Producer(address()))
  for (let n = 0; n < 20; n++) await producer.send({ topic, body: String(n) })
  const told = []
  setLogger((record) => told.push(record))
  const seen = []
  let most = 0
  let now = 0
  let full
  const three = new Promise((resolve) => (full = resolve))
  const app = new App(address())
  const stop = new AbortController()
  app.consumer({ group: name('g'), topics: topic, concurrency: 3, ...first }, async (message) => {
    most = Math.max(most, ++now)
    if (now === 3) full()
    await three
    await new Promise(setImmediate)
    now--
    seen.push(message.text())
    if (message.text() === '7' && message.reconsumeTimes === 0) throw new Error('not this time')
    if (seen.length === 21) stop.abort()
  })
  await app.serve({ signal: stop.signal })
  setLogger(undefined)
  assert.equal(seen.filter((text) => text === '7').length, 2)
  assert.equal(new Set(seen).size, 20)
  assert.equal(most, 3)
  assert.ok(told.some((record) => record.error?.message === 'not this time'))
})

test('every member that is broadcast to gets every message', { timeout: LIMIT }, async (t) => {
  const { mkdtempSync, rmSync } = await import('node:fs')
  const dirs = [1, 2].map(() => mkdtempSync('/tmp/ferromq-node-test-'))
  t.after(() => dirs.forEach((dir) => rmSync(dir, { recursive: true })))
  const topic = name('Broadcast')
  const producer = own(t, new Producer(address()))
  await producer.send({ topic, body: 'to all' })
  const group = name('g')
  for (const broadcasting of dirs) {
    const consumer = own(t, new Consumer(address(), { group, topics: topic, broadcasting, ...first }))
    const message = await consumer.receive()
    assert.equal(message.text(), 'to all')
    await message.ack()
  }
})

test('administration answers, and says what is wrong', { timeout: LIMIT }, async (t) => {
  const admin = own(t, new Admin(address()))
  const topic = name('Administered')
  assert.deepEqual(await admin.changeTopic({ topic, queues: 3 }), [])
  // The NameServer hears of it a moment later.
  while (!(await admin.topics()).includes(topic)) await setTimeout(20)
  const status = await admin.topicStatus({ topic })
  assert.equal(status.value.queues.length, 3)
  const producer = own(t, new Producer(address()))
  const { messageId, place } = await producer.send({ topic, body: 'found', keys: 'k' })
  assert.equal((await admin.messageAt({ place })).text(), 'found')
  assert.equal((await admin.messageAt({ place })).messageId, messageId)
  await assert.rejects(admin.topicStatus({}), { code: 'CONFIG' })
  await admin.deleteTopic({ topic })
})

test('an error of a server says who has to act', { timeout: LIMIT }, async (t) => {
  const producer = own(t, new Producer('127.0.0.1:1', { sendTimeout: 20_000 }))
  await assert.rejects(producer.send({ topic: 'T', body: 'x' }), (error) => {
    assert.equal(error.name, 'FerroMQError')
    assert.equal(error.code, 'UNREACHABLE')
    assert.equal(error.retryable, true)
    return error instanceof Error
  })
})

test('what is sent carries the trace context, and a consumer reads it', { timeout: LIMIT }, async (t) => {
  const { context, propagation: api, trace, TraceFlags } = await import('@opentelemetry/api')
  const { W3CTraceContextPropagator } = await import('@opentelemetry/core')
  const { AsyncLocalStorageContextManager } = await import('@opentelemetry/context-async-hooks')
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  api.setGlobalPropagator(new W3CTraceContextPropagator())
  t.after(() => {
    context.disable()
    api.disable()
  })
  const topic = name('Traced')
  const producer = own(t, new Producer(address()))
  const consumer = own(t, new Consumer(address(), { group: name('g'), topics: topic, ...first }))
  const span = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: TraceFlags.SAMPLED }
  const traced = trace.setSpanContext(context.active(), span)
  await context.with(traced, () => producer.send({ topic, body: 'traced', properties: { own: 'kept' } }))
  const message = await consumer.receive()
  assert.equal(message.properties.traceparent, `00-${span.traceId}-${span.spanId}-01`)
  assert.equal(message.properties.own, 'kept')
  assert.equal(trace.getSpanContext(propagation.extract(message)).spanId, span.spanId)
  await message.ack()
  propagation.use(undefined)
  t.after(() => propagation.use({ context, propagation: api }))
  await context.with(traced, () => producer.send({ topic, body: 'untraced' }))
  const plain = await consumer.receive()
  assert.equal(plain.properties.traceparent, undefined)
  await plain.ack()
})

test('what could not start may be started again', { timeout: LIMIT }, async (t) => {
  const topic = name('Again')
  const client = own(t, new Client(address()))
  const options = { group: name('g'), topics: topic, ...first }
  const one = new Consumer(client, options)
  await one.start()
  const other = own(t, new Consumer(client, options))
  await assert.rejects(other.start(), { code: 'CONFIG' })
  await assert.rejects(other.receive(), { code: 'CONFIG' })
  await one.close()
  await other.start()
  assert.deepEqual(await other.receiveMany(1, { timeout: 1 }), [])
})

test('both kinds of modules have the same classes', async () => {
  const { createRequire } = await import('node:module')
  const required = createRequire(import.meta.url)('ferromq')
  assert.equal(required.Producer, Producer)
  assert.equal(Symbol.asyncDispose in Producer.prototype, true)
})
