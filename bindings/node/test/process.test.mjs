// How a process, a thread and the garbage collector get along with what is open.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

import { Admin, Consumer, FerroMQError, Producer, PullConsumer } from 'ferromq'

import { run } from './program.mjs'
import { address, LIMIT, name, own, PATIENT } from './server.mjs'

const open = `
  const producer = new Producer(process.env.ADDRESS);
  await producer.send({ topic: process.env.TOPIC, body: 'x' });
  const transactions = new TransactionProducer(process.env.ADDRESS, { group: 'p' + process.env.TOPIC, check: () => 'commit' });
  const consumer = new Consumer(process.env.ADDRESS, { group: process.env.TOPIC, topics: process.env.TOPIC, consumeFrom: 'first' });
  const message = await consumer.receive();
`

test('what is open and idle keeps no process alive', { timeout: LIMIT }, async () => {
  const { code, said } = await run(`${open} console.log('end')`)
  assert.equal(said, 'end\n')
  assert.equal(code, 0)
})

test('a process that waits for a message stays, and may exit nevertheless', { timeout: LIMIT }, async () => {
  const { code, said } = await run(`${open}
    setTimeout(() => { console.log('still here'); process.exit(7) }, 300).unref();
    producer.send({ topic: process.env.TOPIC + '2', body: 'in flight' });
    await consumer.receive();
  `)
  assert.equal(said, 'still here\n')
  assert.equal(code, 7)
})

test('an exception nobody catches ends the process as ever', { timeout: LIMIT }, async () => {
  const { code, said } = await run(`${open} producer.send({ topic: 'no blanks', body: 'x' })`)
  assert.equal(code, 1)
  assert.match(said, /INVALID_MESSAGE/)
})

test('threads end with clients open, and others go on', { timeout: LIMIT }, async (t) => {
  const topic = name('Threads')
  const producer = own(t, new Producer(address()))
  const program = `
    const { workerData, parentPort } = require('node:worker_threads')
    const { Consumer, Producer } = require(workerData.module)
    const producer = new Producer(workerData.address)
    const consumer = new Consumer(workerData.address, { group: 'g' + Math.random().toString(36).slice(2), topics: workerData.topic })
    ;(async () => {
      await consumer.start()
      for (let n = 0; n < 50; n++) producer.send({ topic: workerData.topic, body: String(n) })
      await producer.send({ topic: workerData.topic, body: 'ready' })
      parentPort.postMessage('ready')
      for await (const message of consumer) void message
    })()
  `
  const module = new URL('../dist/index.js', import.meta.url).pathname
  for (let round = 0; round < 3; round++) {
    const workerData = { module, address: address(), topic }
    const workers = Array.from({ length: 2 }, () => new Worker(program, { eval: true, execArgv: PATIENT, workerData }))
    await Promise.all(workers.map((worker) => once(worker, 'message')))
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
  assert.equal((await producer.send({ topic, body: 'and on' })).status, 'stored')
})

test('a thread that ends while it waits leaves its group', { timeout: LIMIT }, async (t) => {
  const topic = name('Left')
  const producer = own(t, new Producer(address()))
  await producer.send({ topic, body: 'so that there is the topic' })
  const program = `
    const { workerData, parentPort } = require('node:worker_threads')
    const { Consumer, PullConsumer } = require(workerData.module)
    const { address, topic, pulls } = workerData
    const options = { group: topic + pulls, topics: topic, consumeFrom: 'first' }
    const consumer = pulls ? new PullConsumer(address, options) : new Consumer(address, options)
    ;(async () => {
      // What there is comes first; then it waits without limit.
      const [message] = pulls ? await consumer.poll() : await consumer.receiveMany(1)
      if (!pulls) await message.ack()
      const waiting = pulls ? consumer.poll() : consumer.receive()
      setImmediate(() => parentPort.postMessage(message.text()))
      await waiting
    })()
  `
  const module = new URL('../dist/index.js', import.meta.url).pathname
  for (const pulls of [false, true]) {
    const worker = new Worker(program, { eval: true, execArgv: PATIENT, workerData: { module, address: address(), topic, pulls } })
    await once(worker, 'message')
    const options = { group: topic + pulls, topics: topic }
    const heir = own(t, pulls ? new PullConsumer(address(), options) : new Consumer(address(), options))
    await heir.start()
    const admin = own(t, new Admin(address()))
    const members = async () => {
      try {
        return (await admin.consumers({ group: topic + pulls })).value.members.length
      } catch (error) {
        if (error instanceof FerroMQError) return 0
        throw error
      }
    }
    while ((await members()) !== 2) await setTimeout(20)
    await worker.terminate()
    while ((await members()) !== 1) await setTimeout(20)
  }
})

test('a message that is forgotten comes again', { timeout: LIMIT }, async () => {
  const { code, said } = await run(
    `
    const producer = new Producer(process.env.ADDRESS)
    await producer.send({ topic: process.env.TOPIC, body: 'x' })
    const consumer = new Consumer(process.env.ADDRESS, { group: process.env.TOPIC, topics: process.env.TOPIC, consumeFrom: 'first', inOrder: true, pauseAfterFailure: 10 })
    await (async () => { await consumer.receive() })()
    let again
    while (again === undefined) {
      gc()
      again = await consumer.receive({ timeout: 50 })
    }
    console.log(again.text(), again.reconsumeTimes)
    await again.ack()
    await consumer.close()
    await producer.close()
  `,
    { flags: ['--expose-gc'] },
  )
  assert.equal(said, 'x 1\n')
  assert.equal(code, 0)
})

test('a slow handler holds up nobody else', { timeout: LIMIT }, async (t) => {
  const topic = name('Slow')
  const producer = own(t, new Producer(address()))
  await producer.sendMany(Array.from({ length: 2000 }, (_, n) => ({ topic, body: String(n) })))
  const consumer = own(t, new Consumer(address(), { group: name('g'), topics: topic, consumeFrom: 'first' }))
  const COUNT = 2000
  let ticks = 0
  let left = COUNT
  let ticking
  for await (const message of consumer) {
    // Only turns that were taken among messages count: they are all here, or come faster than they are handled.
    ticking ??= setInterval(() => ticks++, 1)
    const end = performance.now() + 0.5
    while (performance.now() < end);
    message.ack()
    if (--left === 0) break
  }
  clearInterval(ticking)
  // The clock is looked at once in 16 messages, 8 ms of work. Whoever let others run only when it has to wait would have one
  // for each batch that it waits for.
  assert.ok(ticks >= COUNT / 32, `${ticks} ticks in a second of work`)
})
