/** Waiting that is given up. */

/** How something is waited for. */
export interface SignalOptions {
  /** Ends the wait. */
  signal?: AbortSignal | undefined
}

/** Waits for what others may wait for too: aborting ends this wait alone. */
export function shared<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) {
    return promise
  }
  return new Promise<T>((resolve, reject) => {
    const aborted = (): void => reject(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted))
  })
}
