/** Administration. Answers of servers are objects and arrays, with the names that `ferromq admin --output json` has. */

import { bridge, call, type Read } from './bridge.js'
import { json } from './checked.js'
import { Owner, type Client } from './client.js'
import { calling, FerroMQError } from './errors.js'
import { native, type Native } from './native.js'
import { OPERATIONS, type Operations } from './operations.js'
import { messagesOf, type ReceivedMessage } from './received.js'
import type { SignalOptions } from './signal.js'

/** What an operation answers: JSON, messages, or one message. */
const read: Read<unknown> = (packed, batch) => {
  const kind = packed.u8()
  if (kind === 0) return JSON.parse(packed.text())
  const messages: ReceivedMessage[] = messagesOf(batch())
  return kind === 1 ? messages : messages[0]
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
/** Its operations. */
export interface Admin extends Operations {}

/** Administration of the servers that a client knows: the methods are those of `Operations`. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
export class Admin extends Owner {
  /** @internal */
  readonly native: Native.Admin

  /** Of a client's servers, or of these NameServers': `host:port`, several with `;` between. */
  constructor(client: Client | string) {
    super(client)
    this.native = calling(() => new native.Admin(this.client.native))
  }

  /** Ends the connections, if they are its own. */
  override close(): Promise<void> {
    return this.closeClient()
  }
}

/** `readQueues` as this package spells what is `read_queues` in the table. */
function spelled(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

type Operation = (options?: Record<string, unknown> & SignalOptions) => Promise<unknown>

function operation(name: string, known: readonly string[]): Operation {
  const names = new Map(known.map((argument) => [spelled(argument), argument]))
  return function (this: Admin, { signal, ...options } = {}) {
    const named: Record<string, unknown> = {}
    for (const [option, value] of Object.entries(options)) {
      const argument = names.get(option)
      if (argument === undefined) {
        return Promise.reject(new FerroMQError('CONFIG', `${spelled(name)} has no option ${option}`))
      }
      named[argument] = value instanceof Date ? value.getTime() : value
    }
    return call((id) => this.native.call(bridge, id, name, json(named)), read, { signal })
  }
}

for (const [name, known] of OPERATIONS) {
  const value = operation(name, known)
  Object.defineProperty(value, 'name', { value: spelled(name) })
  Object.defineProperty(Admin.prototype, spelled(name), { value, writable: true, configurable: true })
}
