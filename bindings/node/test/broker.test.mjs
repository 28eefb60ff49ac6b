// The broker for users' tests, where it is not merely used.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'

const LIMIT = 120_000
const skip = process.env.FERROMQ_TEST_KIND === 'official' && 'it is ours that is started'

test('a broker ends with a process that is killed', { skip, timeout: LIMIT }, async () => {
  const testing = JSON.stringify(new URL('../testing.mjs', import.meta.url).href)
  const program = `
    import { LocalBroker } from ${testing}
    console.log((await LocalBroker.start()).address)
  `
  const owner = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [said] = await once(owner.stdout, 'data')
  const port = Number(String(said).trim().split(':')[1])
  assert.ok(await connects(port))
  owner.kill('SIGKILL')
  while (await connects(port)) await setTimeout(20)
})

/** Whether somebody listens there. */
function connects(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
