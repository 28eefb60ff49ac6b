// How fast the package is, against a broker of this machine: `node bench/speed.mjs [host:port]`.
//
// Prints for each way of sending and receiving: messages a second, microseconds of this process's processor time for each
// message, in all its threads, and the event loop's delay meanwhile (99th percentile, in milliseconds). Build the package and
// the broker for release first.

import { availableParallelism } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'

import { Consumer, Producer } from '../index.mjs'
import { LocalBroker } from '../testing.mjs'

const body = Buffer.alloc(128, 'x')
const IN_FLIGHT = 256

async function measured(what, count, run) {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const before = process.cpuUsage()
  const start = performance.now()
  await run()
  const wall = performance.now() - start
  const { user, system } = process.cpuUsage(before)
  // Its timer reports what held it up only when it gets its turn.
  await sleep(5)
  delay.disable()
  const rate = Math.round((count / wall) * 1000).toLocaleString('en').padStart(10)
  const cost = ((user + system) / count).toFixed(2).padStart(8)
  console.log(`${what.padEnd(44)} ${rate} /s ${cost} us  p99 ${(delay.percentile(99) / 1e6).toFixed(1)} ms`)
}

async function sending(server, topic) {
  const producer = new Producer(server)
  await producer.send({ topic, body })
  for (const count of [20_000, 200_000]) {
    let left = count
    const one = async () => {
      while (left-- > 0) await producer.send({ topic, body })
    }
    await measured(`await send, ${IN_FLIGHT} in flight, ${count}`, count, () => Promise.all(Array.from({ length: IN_FLIGHT }, one)))
  }
  await measured('await send, 1 in flight', 5_000, async () => {
    for (let n = 0; n < 5_000; n++) await producer.send({ topic, body })
  })
  for (const size of [100, 1000]) {
    const rounds = 1_000_000 / size / 4
    const one = async () => {
      for (let n = 0; n < rounds; n++) await producer.sendMany(Array.from({ length: size }, () => ({ topic, body })))
    }
    await measured(`await sendMany of ${size}, 4 at once`, rounds * size * 4, () => Promise.all([one(), one(), one(), one()]))
  }
  await producer.close()
}

async function receiving(server, topic) {
  const count = 1_000_000
  const options = { topics: topic, consumeFrom: 'first' }
  let consumer = new Consumer(server, { group: 'bench-many', ...options })
  await consumer.start()
  await measured('receiveMany, ack', count, async () => {
    for (let left = count; left > 0; ) {
      for (const message of await consumer.receiveMany(256)) {
        left--
        message.ack()
      }
    }
  })
  await consumer.close()
  consumer = new Consumer(server, { group: 'bench-one', ...options })
  await consumer.start()
  await measured('for await, await ack', count, async () => {
    let left = count
    for await (const message of consumer) {
      await message.ack()
      if (--left === 0) break
    }
  })
  await consumer.close()
  consumer = new Consumer(server, { group: 'bench-run', ...options })
  await consumer.start()
  await measured('run with a handler that reads the body', count, async () => {
    let left = count
    await consumer.run(async (message) => {
      if (message.body.length !== body.length) throw new Error('another body')
      if (--left === 0) consumer.stop()
    })
  })
  await consumer.close()
}

const given = process.argv[2]
const broker = given ? undefined : await LocalBroker.start({ settings: { mappedFileSizeCommitLog: '134217728' } })
try {
  const server = given ?? broker.address
  console.log(`${availableParallelism()} processors, bodies of ${body.length} bytes, Node ${process.version}`)
  await sending(server, 'Bench')
  await receiving(server, 'Bench')
} finally {
  await broker?.close()
}
