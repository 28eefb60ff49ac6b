/**
 * Waiting: a promise for each call to the native half, settled many at a time.
 *
 * Always true:
 * - every call is completed exactly once under its id, also one that was aborted: only then is the id used again;
 * - while somebody waits, and only then, a timer that never fires keeps the process alive;
 * - a drain settles and runs nothing of a user: what awaits runs afterwards.
 */

import { errorOf } from './errors.js'
import { readReceipts } from './message.js'
import { native, type Native } from './native.js'
import { Unpacker } from './packed.js'
import type { SignalOptions } from './signal.js'

/** How a call ended: as `Kind` of `src/bridge.rs`. */
const DONE = 0
const FAILED = 1

/** Makes a call's result of what is packed; `batch` is the next of the batches that came with it. */
export type Read<T> = (packed: Unpacker, batch: () => Native.Batch) => T

interface Waiting {
  read: Read<unknown>
  resolve(value: unknown): void
  reject(reason: unknown): void
  /** Whether it keeps the process alive. */
  kept: boolean
  unlisten: (() => void) | undefined
}

/** How a call is waited for. */
export interface WaitOptions extends SignalOptions {
  /** Whether aborting ends the call itself too. */
  ends?: boolean
  /** Whether the process may end while this is waited for. */
  background?: boolean
}

const waiting: (Waiting | undefined)[] = []
const free: number[] = []

let kept = 0
const keeper = setInterval(() => {}, 2 ** 31 - 1)
keeper.unref()

function keep(): void {
  if (kept++ === 0) {
    keeper.ref()
  }
}

function release(): void {
  if (--kept === 0) {
    keeper.unref()
  }
}

/** The native half's side of it: one for each JavaScript thread. */
export const bridge = new native.Bridge(drain)

/** Begins to wait: `start` is given the id of the call. */
export function call<T>(start: (id: number) => void, read: Read<T>, options?: WaitOptions): Promise<T> {
  const signal = options?.signal
  if (signal?.aborted) {
    return Promise.reject(signal.reason)
  }
  return new Promise<T>((resolve, reject) => {
    const id = wait(read, resolve as (value: unknown) => void, reject, !options?.background)
    if (signal !== undefined) {
      listen(id, signal, options)
    }
    try {
      start(id)
    } catch (error) {
      // Nothing was begun that would complete it.
      finish(id).reject(error)
    }
  })
}

function wait(
  read: Read<unknown>,
  resolve: (value: unknown) => void,
  reject: (reason: unknown) => void,
  keeps: boolean,
): number {
  if (keeps) {
    keep()
  }
  const id = free.pop() ?? waiting.length
  waiting[id] = { read, resolve, reject, kept: keeps, unlisten: undefined }
  return id
}

function listen(id: number, signal: AbortSignal, options?: WaitOptions): void {
  const entry = waiting[id] as Waiting
  const aborted = (): void => {
    entry.unlisten = undefined
    if (entry.kept) {
      entry.kept = false
      release()
    }
    entry.reject(signal.reason)
    if (options?.ends) {
      bridge.abort(id)
    }
  }
  signal.addEventListener('abort', aborted, { once: true })
  entry.unlisten = () => signal.removeEventListener('abort', aborted)
}

function drain(): void {
  const chunk = bridge.take()
  if (chunk === null) {
    return
  }
  const packed = new Unpacker(chunk)
  let batches: Native.Batch[] | undefined
  const batch = (): Native.Batch => (batches ??= bridge.batches().reverse()).pop() as Native.Batch
  while (packed.at < chunk.length) {
    const id = packed.u32()
    const kind = packed.u8()
    const length = packed.u32()
    const end = packed.at + length
    settle(id, kind, packed, batch)
    packed.at = end
  }
}

/** Nothing is waited for under this id any more. */
function finish(id: number): Waiting {
  const entry = waiting[id] as Waiting
  waiting[id] = undefined
  free.push(id)
  if (entry.kept) {
    release()
  }
  entry.unlisten?.()
  return entry
}

function settle(id: number, kind: number, packed: Unpacker, batch: () => Native.Batch): void {
  const entry = finish(id)
  try {
    if (kind === DONE) {
      // Of an aborted one too: its batch is the next one. It is told nobody any more.
      entry.resolve(entry.read(packed, batch))
    } else if (kind === FAILED) {
      const told = packed.text()
      entry.reject(errorOf(told, readReceipts(packed)))
    }
    // Else it was aborted, and was told so when that happened.
  } catch (error) {
    entry.reject(error)
  }
}

/** Reads nothing. */
export const nothing: Read<void> = () => undefined
/** Reads a text. */
export const text: Read<string> = (packed) => packed.text()
/** Reads a small number. */
export const small: Read<number> = (packed) => packed.u8()
