// What other clients stumble over: signals, rejections, what is dropped, and what comes and goes for long.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Consumer, Producer } from 'ferromq'

import { run } from './program.mjs'
import { address, LIMIT, name, own } from './server.mjs'

test('SIGTERM ends an app when its handlers are done', { timeout: LIMIT }, async (t) => {
  const topic = name('Draining')
  const { code, signal, said } = await run(
    `
    const { ADDRESS, TOPIC } = process.env
    const producer = new Producer(ADDRESS)
    await producer.send({ topic: TOPIC, body: 'x' })
    await producer.close()
    const app = new App(ADDRESS)
    app.consumer({ group: TOPIC, topics: TOPIC, consumeFrom: 'first' }, async () => {
      process.kill(process.pid, 'SIGTERM')
      await new Promise((resolve) => setTimeout(resolve, 300))
      console.log('handled')
    })
    await app.serve()
    console.log('ended')
  `,
    { env: { TOPIC: topic } },
  )
  assert.deepEqual({ code, signal, said }, { code: 0, signal: null, said: 'handled\nended\n' })
  // It was done with: the next one is what is sent now.
  const producer = own(t, new Producer(address()))
  await producer.send({ topic, body: 'next' })
  const consumer = own(t, new Consumer(address(), { group: topic, topics: topic, consumeFrom: 'first' }))
  const message = await consumer.receive()
  assert.equal(message.text(), 'next')
  await message.ack()
})

test('what is aborted or closed leaves no rejection that nobody handles', { timeout: LIMIT }, async () => {
  const { code, said } = await run(`
    process.on('unhandledRejection', (reason) => console.log('unhandled', reason))
    const { ADDRESS, TOPIC } = process.env
    const client = new Client(ADDRESS)
    const producer = new Producer(client)
    await producer.send({ topic: TOPIC, body: 'x' })
    const consumer = new Consumer(client, { group: TOPIC, topics: TOPIC, consumeFrom: 'first' })
    // Nothing else comes.
    await (await consumer.receive()).ack()
    const told = []
    const tell = (what) => (error) => told.push(what + ' ' + (error instanceof FerroMQError ? error.code : error.name))
    const aborted = consumer.receive({ signal: AbortSignal.timeout(20) }).catch(tell('aborted'))
    await aborted
    const stop = new AbortController()
    const running = consumer.run(() => { throw new Error('of a handler') }, { signal: stop.signal })
    stop.abort()
    await running.catch(tell('run'))
    const closed = consumer.receive().catch(tell('closed'))
    await consumer.close()
    await closed
    const sent = Array.from({ length: 100 }, () => producer.send({ topic: TOPIC, body: 'y' }).catch(() => undefined))
    await producer.close()
    await Promise.all(sent)
    await producer.send({ topic: TOPIC, body: 'z' }).catch(tell('sent'))
    await client.close()
    await new Promise(setImmediate)
    console.log(told.join(', '))
  `)
  assert.equal(said, 'aborted TimeoutError, closed CLOSED, sent CLOSED\n')
  assert.equal(code, 0)
})

test('what is dropped is collected, and its connections end', { timeout: LIMIT, skip: process.platform !== 'linux' }, async () => {
  const { code, said } = await run(
    `
    import { readdirSync } from 'node:fs'
    const { ADDRESS, TOPIC } = process.env
    const descriptors = () => readdirSync('/proc/self/fd').length
    const use = async () => {
      const producer = new Producer(ADDRESS)
      await producer.send({ topic: TOPIC, body: 'x' })
      const consumer = new Consumer(ADDRESS, { group: TOPIC + Math.random().toString(36).slice(2), topics: TOPIC })
      await consumer.start()
    }
    await use()
    const before = descriptors()
    let most = before
    for (let n = 0; n < 20; n++) {
      await use()
      most = Math.max(most, descriptors())
    }
    while (descriptors() > before) {
      gc()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    console.log(most > before)
  `,
    { flags: ['--expose-gc'] },
  )
  assert.equal(said, 'true\n')
  assert.equal(code, 0)
})

test('ten thousand clients come and go, and memory stays', { timeout: 4 * LIMIT }, async () => {
  const { code, said } = await run(
    `
    const { ADDRESS, TOPIC } = process.env
    const AT_ONCE = 16
    let n = 0
    const comeAndGo = async () => {
      const client = new Client(ADDRESS)
      const producer = new Producer(client)
      if (n % 10 === 0) await producer.send({ topic: TOPIC, body: 'x' })
      if (n % 10 === 5) {
        const consumer = new Consumer(client, { group: TOPIC + (n % 50), topics: TOPIC })
        await consumer.start()
        await consumer.close()
      }
      await producer.close()
      await client.close()
    }
    const until = async (count) => {
      await Promise.all(Array.from({ length: AT_ONCE }, async () => { while (n++ < count) await comeAndGo() }))
      n = count
      gc()
      return process.memoryUsage.rss() / 2 ** 20
    }
    let grown
    let before = await until(2_000)
    // What stays of each client stays of each in every round; what a busy machine makes memory do, does not.
    for (const count of [12_000, 22_000, 32_000]) {
      const now = await until(count)
      grown = now - before
      if (grown < 32) break
      before = now
    }
    console.log(grown < 32 ? 'flat' : 'grown by ' + grown + ' MiB')
  `,
    { flags: ['--expose-gc'], limit: 4 * LIMIT },
  )
  assert.equal(said, 'flat\n')
  assert.equal(code, 0)
})
