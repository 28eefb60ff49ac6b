// The same package for CommonJS. Compiled, never run.

import ferromq = require('ferromq')
import testing = require('ferromq/testing')

export async function main(): Promise<void> {
  const broker = await testing.LocalBroker.start()
  const producer = new ferromq.Producer(broker.address)
  const receipt: ferromq.SendReceipt = await producer.send({ topic: 't', body: 'x' })
  // @ts-expect-error
  const notANumber: number = receipt.messageId
  void notANumber
}
