/**
 * How fast this package is beside others, in one run: `cargo xtask compare node`, which sets up all that it needs.
 *
 * That starts the official broker with its proxy and NATS, whose addresses come by the environment (`FERROMQ_TEST_SERVER`,
 * `ROCKETMQ_PROXY`, `NATS_SERVER`); FerroMQ's own broker is started here. All of them run all the time, and one client at a
 * time is measured, each in a process of its own (`subjects.mjs`). The order turns round with every round, and the first round,
 * in which JVMs warm up, does not count. Prints a table in Markdown: the median of the rounds, and the lowest and highest of
 * them.
 */

import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { availableParallelism, loadavg, release } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'

import { LocalBroker } from '../testing.mjs'

import { BODY_BYTES, EACH, FLIGHT, LEASE, MANY, ONE, RECEIVE } from './subjects.mjs'

const run = promisify(execFile)
const OFFICIAL = 'rocketmq-client-nodejs → proxy → RocketMQ'
const QUEUES = 8
const SUBJECTS = fileURLToPath(new URL('subjects.mjs', import.meta.url))

/** What was measured in every round, by loop and by client. */
async function rounds(count, seconds, ours) {
  const { FERROMQ_BIN, FERROMQ_TEST_SERVER: theirs, ROCKETMQ_PROXY, NATS_SERVER } = process.env
  const subjects = [
    ['ferromq → FerroMQ', 'ferromq', ours],
    ['ferromq → RocketMQ', 'ferromq', theirs],
    [OFFICIAL, 'official', ROCKETMQ_PROXY],
    ['nats.js → NATS JetStream', 'nats', NATS_SERVER],
  ]
  const names = subjects.map(([name]) => name)
  const figures = new Map()
  for (let round = 0; round <= count; round += 1) {
    for (const [name, subject, address] of round % 2 ? subjects.toReversed() : subjects) {
      const topic = `Compare-${subject}-${round}`
      if (subject !== 'nats') {
        const server = subject === 'official' ? theirs : address
        await run(FERROMQ_BIN, ['admin', '-n', server, 'topic', 'update', topic, '--queues', String(QUEUES)])
      }
      const { stdout } = await run(process.execPath, [SUBJECTS, subject, address, topic, String(seconds)])
      for (const line of stdout.trim().split('\n')) {
        const { what, count: messages, wall, cpu, delay } = JSON.parse(line)
        const taken = { rate: messages / wall * 1000, cost: cpu / Math.max(messages, 1) * 1000, delay }
        console.error(`round ${round}  ${name.padEnd(44)} ${what.padEnd(36)} ${shown(taken.rate).padStart(10)} /s`
          + ` ${taken.cost.toFixed(2).padStart(8)} us ${delay.toFixed(1).padStart(7)} ms`)
        if (round > 0) {
          const loops = figures.get(what) ?? new Map()
          loops.set(name, [...(loops.get(name) ?? []), taken])
          figures.set(what, loops)
        }
      }
    }
  }
  const inOrder = (loops) => new Map(names.filter((name) => loops.has(name)).map((name) => [name, loops.get(name)]))
  return new Map([...figures].map(([what, loops]) => [what, inOrder(loops)]))
}

/** How busy the machine was in the last minute, and in those before. */
const load = () => loadavg().map((part) => part.toFixed(1)).join(' ')

const shown = (number) => Math.round(number).toLocaleString('en-US')

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b)
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2
}

function printTable(figures) {
  console.log('| what | client → server | messages/s | lowest to highest | client\'s processor time each '
    + '| p99 of the event loop\'s delay | × the official client |')
  console.log('|---|---|--:|--:|--:|--:|--:|')
  for (const what of [ONE, FLIGHT, MANY, RECEIVE, EACH, LEASE]) {
    for (const [name, taken] of figures.get(what) ?? []) {
      const rates = taken.map(({ rate }) => rate)
      const beside = figures.get(what).get(OFFICIAL)
      const times = beside ? median(rates.map((rate, round) => rate / beside[round].rate)).toFixed(1) : ''
      console.log(`| ${what} | ${name} | ${shown(median(rates))} | ${shown(Math.min(...rates))} to ${shown(Math.max(...rates))} `
        + `| ${median(taken.map(({ cost }) => cost)).toFixed(1)} µs `
        + `| ${median(taken.map(({ delay }) => delay)).toFixed(1)} ms | ${times} |`)
    }
  }
}

function conditions({ rounds, seconds }, loadBefore) {
  const require = createRequire(import.meta.url)
  const { dependencies } = require('./package.json')
  const others = Object.entries(dependencies).map(([name, version]) => `${name} ${version}`)
  return `${availableParallelism()} processors, load ${loadBefore} before and ${load()} after, `
    + `Linux ${release()}, Node ${process.versions.node}, ${others.join(', ')}; `
    + `bodies of ${BODY_BYTES} bytes; ${rounds} rounds of ${seconds} s for each loop after one that does not count.`
}

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, seconds: { type: 'string', default: '3' } },
})
const loadBefore = load()
// As the official broker has it: files of 1 GiB, and an answer before the disk has the message.
const settings = { mappedFileSizeCommitLog: String(2 ** 30), flushDiskType: 'ASYNC_FLUSH' }
const broker = await LocalBroker.start({ settings })
try {
  const figures = await rounds(Number(values.rounds), Number(values.seconds), broker.address)
  console.log(`\n${conditions(values, loadBefore)}\n`)
  printTable(figures)
} finally {
  await broker.close()
}
