/** Members of groups: they join once, whoever asks for it, and leave when they are closed. */

import { bridge, call, nothing } from './bridge.js'
import { calling } from './errors.js'
import type { Native } from './native.js'
import { shared, type SignalOptions } from './signal.js'

/** The native half of a member. */
interface Joining {
  start(bridge: Native.Bridge, id: number): void
  close(bridge: Native.Bridge, id: number): void
}

/** One consumer's place in its group. */
export class Membership<N extends Joining> {
  readonly #make: () => N
  #native: N
  #joined: Promise<void> | undefined

  /** `make` makes the native half: a new one for each try. */
  constructor(make: () => N) {
    this.#make = () => calling(make)
    this.#native = this.#make()
  }

  /** The native half, of which there is another one after a start that failed. */
  get native(): N {
    return this.#native
  }

  /** Joins, if that is not done yet. The signal ends the wait, not the start. */
  start({ signal }: SignalOptions = {}): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    this.#joined ??= call((id) => this.#native.start(bridge, id), nothing).catch((error: unknown) => {
      this.#native = this.#make()
      this.#joined = undefined
      throw error
    })
    return shared(this.#joined, signal)
  }

  /** Leaves, also if it is just joining. */
  async leave(): Promise<void> {
    await this.#joined?.catch(() => undefined)
    await call((id) => this.#native.close(bridge, id), nothing)
  }
}
