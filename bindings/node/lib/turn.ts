/** Sharing an event loop: whoever never waits for anything lets others run, after a while. */

/** How long one may go on, in milliseconds. */
const TURN = 1
/** The clock is looked at for one of so many messages. */
const LOOK = 16

/** @internal The turn of whoever takes messages that are there already. */
export class Turn {
  #began = performance.now()
  #taken = 0

  /** Whether it is over, then `next` is to be awaited; for so many messages that were taken since it was last asked. */
  isOver(taken = 1): boolean {
    this.#taken += taken
    if (this.#taken < LOOK) return false
    this.#taken = 0
    return performance.now() - this.#began > TURN
  }

  /** Lets everything else that is ready run, once. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      setImmediate(() => {
        this.#began = performance.now()
        resolve()
      })
    })
  }
}
