/** The client: one identity, its connections, and what its owner closes. */

import { bridge, call, nothing } from './bridge.js'
import { json } from './checked.js'
import { calling } from './errors.js'
import { native, type Native } from './native.js'

/** How connections are encrypted: with `authorities`, and `certificate` and `key` or without; or `trustAnyone` alone. */
export interface TlsOptions {
  /** A file of certificates in PEM: who signs for servers. */
  authorities?: string
  /** A file with this client's certificate, in PEM. */
  certificate?: string
  /** A file with the key to it. */
  key?: string
  /** The name that servers' certificates are for, if it is not that of their address. */
  serverName?: string
  /** Trusts any server: for tests. */
  trustAnyone?: boolean
}

/** What requests are signed with. */
export interface Credentials {
  accessKey: string
  secretKey: string
  securityToken?: string
}

/** How a client is. Times are in milliseconds. */
export interface ClientOptions {
  /** The part of its id behind the address; another one for each client by default. */
  instanceName?: string
  /** A further part of its id. */
  unitName?: string
  /** Whether its consumers share queues so that few change hands; so they do by default. */
  sticky?: boolean
  /** How connections are encrypted; not at all by default. */
  tls?: TlsOptions
  /** What requests are signed with; they are not by default. */
  credentials?: Credentials
  /** The topic that is told what is sent and handled, usually `RMQ_SYS_TRACE_TOPIC`; none by default. */
  traceTopic?: string
  /** How long calls may take: 3,000 by default. */
  callTimeout?: number
  /** How long connecting may take: 3,000 by default. */
  connectTimeout?: number
  /** How often it is looked where topics are: every 30,000 by default. */
  routeRefresh?: number
  /** How often brokers hear that the client lives: every 30,000 by default. */
  heartbeat?: number
}

/** Node before 20 has no such symbol; TypeScript's own code looks for this one too. */
const asyncDispose: typeof Symbol.asyncDispose =
  (Symbol as { asyncDispose?: typeof Symbol.asyncDispose }).asyncDispose ??
  (Symbol.for('Symbol.asyncDispose') as typeof Symbol.asyncDispose)
if (!('asyncDispose' in Symbol)) {
  Object.defineProperty(Symbol, 'asyncDispose', { value: asyncDispose })
}

/** What is closed: with `close`, or at the end of a block (`await using`). */
export abstract class Closing {
  /** Closes it. */
  abstract close(): Promise<void>

  /** Closes it, at the end of its block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * What producers, consumers and administration share: connections, routes, and the id by which brokers know it.
 *
 * Everything that takes a client takes NameServers' addresses instead, and then has a client of its own. Nothing is
 * connected before there is something to ask. An open client does not keep the process alive; `close` ends its
 * connections, and so does garbage collection.
 */
export class Client extends Closing {
  /** @internal */
  readonly native: Native.Client

  /** A client of these NameServers: `host:port`, several with `;` between. */
  constructor(nameServers: string, options: ClientOptions = {}) {
    super()
    this.native = calling(() => new native.Client(bridge, nameServers, json(options)))
  }

  /** What brokers know the client by. */
  get id(): string {
    return calling(() => this.native.id)
  }

  /** Ends the connections. Close producers and consumers first. */
  override close(): Promise<void> {
    return call((id) => this.native.close(bridge, id), nothing)
  }
}

/** Whoever was given a client, or addresses and so has one of its own, which it closes. */
export abstract class Owner extends Closing {
  /** The client. */
  readonly client: Client
  #owned: boolean

  /** @internal */
  constructor(client: Client | string) {
    super()
    this.#owned = typeof client === 'string'
    this.client = typeof client === 'string' ? new Client(client) : client
  }

  /** @internal */
  protected async closeClient(): Promise<void> {
    if (this.#owned) {
      await this.client.close()
    }
  }
}
