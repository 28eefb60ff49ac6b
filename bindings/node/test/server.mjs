// The server of a test file: the one that FERROMQ_TEST_SERVER names (a NameServer's address), or a broker of its own.

import { after, before } from 'node:test'
import { fileURLToPath } from 'node:url'

import { LocalBroker } from 'ferromq/testing'

import './patience.cjs'

/** Anything that is waited for may take so long: machines of CI are slow. */
export const LIMIT = 120_000

/** Has another process, or thread, begin with patience too. */
export const PATIENT = ['--require', fileURLToPath(new URL('patience.cjs', import.meta.url))]

const server = { address: process.env.FERROMQ_TEST_SERVER ?? '' }

if (server.address === '') {
  let broker
  before(async () => {
    broker = await LocalBroker.start()
    server.address = broker.address
  })
  after(() => broker?.close())
}

/** Its address, once tests run. */
export const address = () => server.address

let names = 0
/** A name that no other test has. */
export const name = (of) => `${of}-${process.pid}-${Date.now().toString(36)}-${names++}`

/** Closes something at the end of a test. */
export function own(t, thing) {
  t.after(() => thing.close())
  return thing
}
