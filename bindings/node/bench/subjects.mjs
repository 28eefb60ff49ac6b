/**
 * What is compared: each client's own way to send and to receive, for so many seconds, in a process of its own.
 *
 * `compare.mjs` starts it as `node bench/subjects.mjs SUBJECT ADDRESS TOPIC SECONDS`, once in every round. It prints a line of
 * JSON for each loop: what it was, how many messages, the milliseconds that it took, those of this process's processor time in
 * all its threads, and how long the event loop was kept from what is due, in 99 cases of 100.
 *
 * Every loop runs for SECONDS, or until there is no message left to receive. Messages are received that were sent before, by
 * the same process.
 */

import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'

export const BODY_BYTES = 128
const BODY = Buffer.alloc(BODY_BYTES, 'x')
const IN_FLIGHT = 256
const BATCH = 1000
const FETCH = 256
/** Milliseconds until a message that must be there is missing. */
const PATIENCE = 60_000

export const ONE = 'send, one after the other'
export const FLIGHT = `send, ${IN_FLIGHT} in flight`
export const MANY = 'send many'
export const RECEIVE = 'receive, acknowledge'
export const EACH = '`for await`, `await message.ack()`'
export const LEASE = 'lease, acknowledge'

/** Runs a loop, and prints what it took: `body` counts messages for as long as the loop goes on. */
async function measured(what, seconds, body) {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  // The histogram's own timer starts with the next turn.
  await sleep(5)
  delay.reset()
  const begun = performance.now()
  const used = process.cpuUsage()
  const loop = { count: 0, goesOn: () => performance.now() - begun < seconds * 1000 }
  await body(loop)
  const wall = performance.now() - begun
  const { user, system } = process.cpuUsage(used)
  // What kept the loop from turning until now counts when it turns.
  await sleep(5)
  delay.disable()
  // The histogram counts the timer's own millisecond.
  const p99 = Math.max(delay.percentile(99) / 1e6 - 1, 0)
  console.log(JSON.stringify({ what, count: loop.count, wall, cpu: (user + system) / 1000, delay: p99 }))
  return loop.count
}

/** Runs `body` so many times at once. */
const together = (times, body) => Promise.all(Array.from({ length: times }, body))

/** `count` messages a loop, one at a time, until its time is over. */
const repeat = (loop, count, step) => async () => {
  while (loop.goesOn()) {
    await step()
    loop.count += count
  }
}

/** This package. */
async function ferromq(address, topic, seconds) {
  const { Consumer, PopConsumer, Producer } = await import('../index.mjs')
  const message = () => ({ topic, body: BODY })
  const producer = new Producer(address)
  await producer.send(message())
  const send = () => producer.send(message())
  await measured(ONE, seconds, (loop) => repeat(loop, 1, send)())
  await measured(FLIGHT, seconds, (loop) => together(IN_FLIGHT, repeat(loop, 1, send)))
  const sent = await measured(MANY, seconds, (loop) =>
    together(4, repeat(loop, BATCH, () => producer.sendMany(Array.from({ length: BATCH }, message)))))
  await producer.close()

  const consumer = async (group) => {
    const made = new Consumer(address, { group: `${topic}-${group}`, topics: topic, consumeFrom: 'first' })
    const first = await made.receive({ timeout: PATIENCE })
    await first.ack()
    return made
  }
  const many = await consumer('consumer')
  await measured(RECEIVE, seconds, async (loop) => {
    while (loop.goesOn() && loop.count < sent) {
      for (const message of await many.receiveMany(FETCH)) {
        message.ack()
        loop.count += 1
      }
    }
  })
  await many.close()
  const each = await consumer('each')
  await measured(EACH, seconds, async (loop) => {
    for await (const message of each) {
      await message.ack()
      loop.count += 1
      if (!(loop.goesOn() && loop.count < sent)) break
    }
  })
  await each.close()

  const options = { group: `${topic}-leases`, topics: topic, fromOldest: true, invisibleTime: 60_000 }
  const leasing = new PopConsumer(address, options)
  for (const lease of await leasing.receiveMany(1, { wait: PATIENCE })) await lease.ack()
  await measured(LEASE, seconds, (loop) =>
    together(8, async () => {
      while (loop.goesOn() && loop.count < sent) {
        const leases = await leasing.receiveMany(32, { wait: 100 })
        if (leases.length > 0) await leasing.ackMany(leases)
        loop.count += leases.length
      }
    }))
  await leasing.close()
}

/** RocketMQ's own client, through the proxy, which has no batches: it sends many as it sends any. */
async function official(address, topic, seconds) {
  const { Producer, SimpleConsumer } = await import('rocketmq-client-nodejs')
  const logger = { info() {}, warn() {}, error() {}, debug() {} }
  const options = { endpoints: address, namespace: '', logger }
  const consumer = new SimpleConsumer({
    ...options,
    consumerGroup: `${topic}-leases`,
    subscriptions: new Map([[topic, '*']]),
    awaitDuration: 5000,
  })
  await consumer.startup()
  // The proxy lets a new group begin at the end: it begins now. A client that is new to it may fail at first, as the proxy has
  // not heard of its settings yet.
  for (const until = performance.now() + PATIENCE; ;) {
    try {
      await consumer.receive(32, 60_000)
      break
    } catch (error) {
      if (performance.now() > until) throw error
      await sleep(100)
    }
  }
  const producer = new Producer({ ...options, topic })
  await producer.startup()
  const send = () => producer.send({ topic, body: BODY })
  await send()
  let sent = 1
  sent += await measured(ONE, seconds, (loop) => repeat(loop, 1, send)())
  for (const what of [FLIGHT, MANY]) {
    sent += await measured(what, seconds, (loop) => together(IN_FLIGHT, repeat(loop, 1, send)))
  }
  for (const what of [RECEIVE, LEASE]) {
    sent -= await measured(what, seconds, (loop) =>
      together(8, async () => {
        while (loop.goesOn() && loop.count < sent) {
          const leases = await consumer.receive(32, 60_000)
          await Promise.all(leases.map((lease) => consumer.ack(lease)))
          loop.count += leases.length
        }
      }))
  }
  await producer.shutdown()
  await consumer.shutdown()
}

/** NATS with JetStream, which stores what is published and is told what was consumed, message by message. */
async function nats(address, topic, seconds) {
  const { connect } = await import('@nats-io/transport-node')
  const { AckPolicy, jetstream, jetstreamManager } = await import('@nats-io/jetstream')
  const connection = await connect({ servers: address })
  const manager = await jetstreamManager(connection)
  await manager.streams.add({ name: topic, subjects: [topic] })
  const stream = jetstream(connection)
  const send = () => stream.publish(topic, BODY)
  await send()
  let sent = 1
  sent += await measured(ONE, seconds, (loop) => repeat(loop, 1, send)())
  sent += await measured(FLIGHT, seconds, (loop) => together(IN_FLIGHT, repeat(loop, 1, send)))
  sent += await measured(MANY, seconds, (loop) =>
    together(4, repeat(loop, BATCH, () => together(BATCH, send))))
  for (const [what, ack] of [[RECEIVE, (message) => message.ack()], [LEASE, (message) => message.ackAck()]]) {
    const name = what === RECEIVE ? 'consumer' : 'leases'
    await manager.consumers.add(topic, { durable_name: name, ack_policy: AckPolicy.Explicit, max_ack_pending: 10_000 })
    const consumer = await stream.consumers.get(topic, name)
    const messages = await consumer.consume({ max_messages: 1000 })
    await measured(what, seconds, async (loop) => {
      for await (const message of messages) {
        ack(message)
        loop.count += 1
        if (!(loop.goesOn() && loop.count < sent)) break
      }
      await connection.flush()
    })
    await messages.close()
  }
  await connection.close()
}

const SUBJECTS = { ferromq, official, nats }

if (import.meta.filename === process.argv[1]) {
  const [subject, address, topic, seconds] = process.argv.slice(2)
  await SUBJECTS[subject](address, topic, Number(seconds))
  // The official client leaves timers behind.
  process.exit()
}
