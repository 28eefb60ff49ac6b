/** What the client logs, for an application's logger. */

import { bridge, call, type Read } from './bridge.js'
import { native, type Native } from './native.js'

/** How much something matters. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'trace'

/** Something that was logged. */
export interface LogRecord {
  level: LogLevel
  /** Which part of the client logged it: `ferromq.client.…`. */
  logger: string
  message: string
  /** What a handler or checker threw. */
  error?: unknown
}

/** Is told what is logged. What it throws becomes an uncaught exception. */
export type Logger = (record: LogRecord) => void

/** As the native half counts. */
const LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error']

/** Until there is another: what handlers throw becomes one of Node's own warnings. */
let logger: Logger | undefined = ({ message, logger: name, error }) => {
  const text = error instanceof Error ? `${message}: ${error.stack ?? error.message}` : `${message}: ${String(error)}`
  process.emitWarning(text, { type: 'FerroMQWarning', detail: name })
}
let ended: AbortController | undefined

/** @internal */
export function complain(name: string, message: string, error: unknown): void {
  logger?.({ level: 'error', logger: name, message, error })
}

/**
 * Has `told` be told what this thread's handlers throw and what the client logs, from `level` on: warnings by default.
 * Replaces the logger that there was; with `undefined`, nobody is told anything. What comes faster than it is taken is
 * counted, and not told. A logger does not keep the process alive.
 */
export function setLogger(told: Logger | undefined, level: LogLevel = 'warn'): void {
  ended?.abort()
  ended = undefined
  logger = told
  if (told !== undefined) {
    ended = new AbortController()
    void listen(new native.Logs(LEVELS.indexOf(level) + 1), told, ended.signal)
  }
}

const read: Read<{ lost: number; records: LogRecord[] }> = (packed) => {
  const lost = packed.number()
  const records = Array.from({ length: packed.u32() }, () => {
    const level = LEVELS[packed.u8() - 1] as LogLevel
    return { level, logger: packed.text(), message: packed.text() }
  })
  return { lost, records }
}

async function listen(logs: Native.Logs, told: Logger, signal: AbortSignal): Promise<void> {
  const options = { signal, ends: true, background: true }
  while (!signal.aborted) {
    let taken
    try {
      taken = await call((id) => logs.next(bridge, id), read, options)
    } catch {
      // Another logger has taken over.
      return
    }
    taken.records.forEach(told)
    if (taken.lost > 0) {
      const message = `${taken.lost} log records were lost: more came than were taken`
      told({ level: 'warn', logger: 'ferromq', message })
    }
  }
}
