/** Consumers that lease messages: each comes again unless it is acknowledged before its lease ends. */

import { bridge, call, nothing, type Read } from './bridge.js'
import { count, json } from './checked.js'
import { Owner, type Client } from './client.js'
import { Membership } from './membership.js'
import { subscribed, type Topics } from './message.js'
import { native, type Native } from './native.js'
import { Arrival, Lease } from './received.js'
import type { SignalOptions } from './signal.js'

/** How messages are leased. Times are in milliseconds. */
export interface PopOptions {
  /** The group. */
  group: string
  /** What is subscribed to. */
  topics: Topics
  /** How long a message is leased: 60,000 by default, 10,000 to 300,000. */
  invisibleTime?: number
  /** A group that is new to a queue starts at its oldest message; by default at its newest. */
  fromOldest?: boolean
  /** Leases the messages of each queue in their order; by default in any. */
  inOrder?: boolean
}

const readLeases: Read<Lease[]> = (_, batch) => {
  const arrival = new Arrival(batch())
  return Array.from({ length: arrival.length }, (_, nth) => new Lease(arrival, nth))
}

/** A consumer that leases messages. It joins its group when it is first asked, or by `start`. */
export class PopConsumer extends Owner {
  readonly #membership: Membership<Native.PopConsumer>

  /** A consumer for a client, or for NameServers: `host:port`, several with `;` between. */
  constructor(client: Client | string, options: PopOptions) {
    super(client)
    const { group, topics, ...rest } = options
    const how = json(rest)
    this.#membership = new Membership(() => new native.PopConsumer(this.client.native, group, subscribed(topics), how))
  }

  /** Joins the group. If it fails, it may be started again. The signal ends the wait, not the start. */
  start(options?: SignalOptions): Promise<void> {
    return this.#membership.start(options)
  }

  get #native(): Native.PopConsumer {
    return this.#membership.native
  }

  /**
   * Leases up to `most` messages, 1 to 32, as soon as there are any; none if none come within `wait` milliseconds, 15,000 by
   * default. What an aborted call leased comes again when its leases end.
   */
  async receiveMany(most = 32, options: SignalOptions & { wait?: number } = {}): Promise<Lease[]> {
    const { wait = 15_000, signal } = options
    count(most)
    await this.start({ signal })
    return call((id) => this.#native.receive(bridge, id, most, wait), readLeases, { signal, ends: true })
  }

  /** Acknowledges many messages with few requests. */
  async ackMany(leases: readonly Lease[], options: SignalOptions = {}): Promise<void> {
    await this.start(options)
    const batches = leases.map((lease) => lease.arrival.native)
    const places = Uint32Array.from(leases, (lease) => lease.nth)
    return call((id) => this.#native.ackMany(bridge, id, batches, places), nothing, options)
  }

  /** Leaves the group. What is leased may still be acknowledged, as long as the client is not closed. */
  override async close(): Promise<void> {
    await this.#membership.leave()
    await this.closeClient()
  }
}
