// Programs of users, each in a process of its own.

import { spawn } from 'node:child_process'
import { once } from 'node:events'

import { address, LIMIT, name, PATIENT } from './server.mjs'

const imports = `import { Admin, App, Client, Consumer, FerroMQError, Producer, TransactionProducer } from ${JSON.stringify(new URL('../index.mjs', import.meta.url).href)};`

/**
 * Runs a program in a process of its own, and says how it ended. It has the server's ADDRESS and a TOPIC of its own in its
 * environment, which `env` adds to.
 */
export async function run(program, { flags = [], env = {}, limit = LIMIT } = {}) {
  const child = spawn(process.execPath, [...PATIENT, ...flags, '--input-type=module', '-e', imports + program], {
    env: { ...process.env, ADDRESS: address(), TOPIC: name('Process'), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stdout.on('data', (chunk) => (said += chunk))
  child.stderr.on('data', (chunk) => (said += chunk))
  const late = setTimeout(() => child.kill('SIGKILL'), limit - 5_000)
  const [code, signal] = await once(child, 'close')
  clearTimeout(late)
  return { code, signal, said }
}
