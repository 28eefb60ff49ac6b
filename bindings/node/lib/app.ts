/**
 * Handlers of several topics in one process.
 *
 *     const app = new App('127.0.0.1:9876')
 *     app.consumer({ group: 'billing', topics: 'Orders' }, async (message) => { … })
 *     await app.serve()                       // until SIGTERM or SIGINT, then gracefully
 */

import { Client, Closing } from './client.js'
import { Consumer, type ConsumerOptions, type Handler } from './consumer.js'

/** How a handler's consumer is. */
export interface HandlerOptions extends ConsumerOptions {
  /** How many messages may be handled at the same time: 20 by default. */
  concurrency?: number
}

/** Consumers with handlers, which start and stop together. Each group has one handler, which may be of several topics. */
export class App extends Closing {
  readonly #given: Client | string
  readonly #handlers: { options: ConsumerOptions; concurrency: number; handler: Handler }[] = []
  #client: Client | undefined
  #consumers: Consumer[] = []
  #runs: Promise<void>[] = []

  /** With a client, or with NameServers: `host:port`, several with `;` between. */
  constructor(client: Client | string) {
    super()
    this.#given = client
  }

  /** Makes a function the handler of topics, as `Consumer.run` says. */
  consumer(options: HandlerOptions, handler: Handler): this {
    const { concurrency = 20, ...rest } = options
    this.#handlers.push({ options: rest, concurrency, handler })
    return this
  }

  /** Starts all consumers. */
  async start(): Promise<void> {
    this.#client = typeof this.#given === 'string' ? new Client(this.#given) : this.#given
    try {
      for (const { options, concurrency, handler } of this.#handlers) {
        const consumer = new Consumer(this.#client, options)
        this.#consumers.push(consumer)
        await consumer.start()
        const run = consumer.run(handler, { concurrency })
        // It is awaited when all are closed.
        run.catch(() => undefined)
        this.#runs.push(run)
      }
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /**
   * Stops fetching, waits for handlers, but not for one that calls it, stores positions and leaves the groups. Rejects if a
   * consumer failed.
   */
  override async close(): Promise<void> {
    const [consumers, runs, client] = [this.#consumers, this.#runs, this.#client]
    this.#consumers = []
    this.#runs = []
    this.#client = undefined
    // Each waits for its handlers by itself, but for one that calls this.
    const closed = consumers.map((consumer) => consumer.close())
    const [ended] = await Promise.all([Promise.allSettled(runs), ...closed])
    if (client !== this.#given) {
      await client?.close()
    }
    const failed = ended.find((end) => end.status === 'rejected')
    if (failed !== undefined) {
      throw (failed as PromiseRejectedResult).reason
    }
  }

  /** Runs until SIGTERM, SIGINT or the signal, or until a consumer fails; then closes. */
  async serve(options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options
    signal?.throwIfAborted()
    let stop = (): void => {}
    const stopped = new Promise<void>((resolve) => (stop = resolve))
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
    signal?.addEventListener('abort', stop, { once: true })
    try {
      await this.start()
      await Promise.race([stopped, ...this.#runs.map((run) => run.catch(() => undefined))])
    } finally {
      await this.close().finally(() => {
        process.removeListener('SIGTERM', stop)
        process.removeListener('SIGINT', stop)
        signal?.removeEventListener('abort', stop)
      })
    }
  }
}
