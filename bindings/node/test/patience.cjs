// Time for a busy machine: what is opened after this waits longer than is usual. A call that took 3 s is too much for an
// application, and no fault that a test looks for.

'use strict'

const { join } = require('node:path')

const PATIENCE = 60_000

// That of a package which is installed elsewhere, if FERROMQ_PACKAGE names it.
const native = require(join(process.env.FERROMQ_PACKAGE ?? join(__dirname, '..'), 'native.js'))

/** Has what is of this kind made with these limits where it is not said otherwise. Its last argument are options, as JSON. */
function give(kind, limits) {
  const Kind = native[kind]
  native[kind] = function (...given) {
    const options = JSON.parse(given.pop())
    return new Kind(...given, JSON.stringify({ ...limits, ...options }))
  }
}

give('Client', { callTimeout: PATIENCE, connectTimeout: PATIENCE })
give('Producer', { sendTimeout: PATIENCE })
give('TransactionProducer', { sendTimeout: PATIENCE })
