/**
 * What is checked before it crosses, where it would arrive as another value: JSON has `null` for what is no number, and
 * whole numbers of the native half are cut to their bits.
 */

import { FerroMQError } from './errors.js'

/** As JSON, of which everything means what it meant. */
export function json(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, name: string, written: unknown) {
    // `written` of a date is its text, or null.
    const given = this[name]
    const lost =
      (typeof given === 'number' && !Number.isFinite(given)) ||
      (given instanceof Date && Number.isNaN(given.getTime())) ||
      ['bigint', 'function', 'symbol'].includes(typeof given)
    if (lost) {
      throw new FerroMQError('CONFIG', `${name === '' ? 'a value' : name}: ${String(given)} is not to be given`)
    }
    return written
  })
}

/** A whole number from `least` to `most`. */
export function whole(value: number, least: number, most: number, what: string): number {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new FerroMQError('CONFIG', `${what} of ${String(value)}: it is a whole number from ${least} to ${most}`)
  }
  return value
}

/** How many messages are wanted at most. */
export function count(most: number): number {
  return whole(most, 1, 2 ** 32 - 1, 'a number of messages')
}

/** How long to wait, in milliseconds; forever if it is not said. */
export function patience(timeout: number | undefined): number | undefined {
  if (timeout === undefined || timeout === Infinity) return undefined
  if (!(timeout >= 0)) throw new FerroMQError('CONFIG', `a timeout of ${String(timeout)}`)
  return timeout
}
