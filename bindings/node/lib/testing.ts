/**
 * A broker for tests.
 *
 *     await using broker = await LocalBroker.start()
 *     const producer = new Producer(broker.address)
 *
 * It is the real one, `ferromq standalone`, as a process of its own: the server stays what it is in production, and the
 * package stays small. It ends with the process that started it, even if that is killed; only its temporary directory is
 * left then. The program is what `FERROMQ_BIN` names, or `ferromq` in `PATH`.
 */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { threadId } from 'node:worker_threads'

import { Closing } from './client.js'
import { Admin } from './admin.js'
import { FerroMQError } from './errors.js'

/** How long, in milliseconds, it may take to start, or to stop before it is ended. */
const LIMIT = 60_000

/** How a broker is. */
export interface LocalBrokerOptions {
  /** Keys of RocketMQ's broker.conf. */
  settings?: Readonly<Record<string, string>>
  /** The server, if it is not found by itself. */
  program?: string
}

/** Keys of ports, each with those beside it that are used too: the fast one, and the one for replicas. */
const PORTS = {
  namesrvListenPort: [0],
  listenPort: [-2, 0, 1],
  httpPort: [0],
  mqttPort: [0],
}

/** A NameServer and a broker on free ports of this machine, with their store in a temporary directory. */
export class LocalBroker extends Closing {
  readonly #settings: Record<string, string>
  readonly #program: string
  #ports: Record<keyof typeof PORTS, number> | undefined
  #dir: string | undefined
  #process: ChildProcess | undefined
  readonly #end = (): void => void this.#process?.kill('SIGKILL')

  constructor(options: LocalBrokerOptions = {}) {
    super()
    this.#settings = {
      mappedFileSizeCommitLog: '16777216',
      mappedFileSizeConsumeQueue: '600000',
      maxHashSlotNum: '10000',
      maxIndexNum: '40000',
      // The little that it stores has room where a broker would rather take no more.
      cleanFileForciblyEnable: 'false',
      diskSpaceWarningLevelRatio: '100',
      ...options.settings,
    }
    this.#program = options.program ?? process.env['FERROMQ_BIN'] ?? 'ferromq'
  }

  /** A broker that is started. */
  static async start(options?: LocalBrokerOptions): Promise<LocalBroker> {
    const broker = new LocalBroker(options)
    await broker.start()
    return broker
  }

  /** The NameServer's address, as clients are given it. */
  get address(): string {
    return `127.0.0.1:${this.#port('namesrvListenPort')}`
  }

  /** Where it answers HTTP. */
  get http(): string {
    return `http://127.0.0.1:${this.#port('httpPort')}`
  }

  #port(name: keyof typeof PORTS): number {
    if (this.#ports === undefined) {
      throw new Error('the broker was never started')
    }
    return this.#ports[name]
  }

  /** Starts it, on the same ports and store as before if it was stopped; is done when clients can use it. */
  async start(): Promise<void> {
    if (this.#process !== undefined) {
      return
    }
    this.#ports ??= await freePorts()
    this.#dir ??= mkdtempSync(join(tmpdir(), 'ferromq-'))
    const set = Object.entries({ ...this.#settings, ...this.#ports }).flatMap(([key, value]) => ['--set', `${key}=${value}`])
    const log = openSync(join(this.#dir, 'server.log'), 'a')
    const command = ['standalone', '--until-stdin-ends', '--store', join(this.#dir, 'store'), ...set]
    const child = spawn(this.#program, command, { stdio: ['pipe', log, log] })
    closeSync(log)
    this.#process = child
    process.once('exit', this.#end)
    let failed: Error | undefined
    child.once('error', (error) => (failed = error))
    for (const limit = Date.now() + LIMIT; !(await this.#isReady()); await sleep(20)) {
      if (failed !== undefined || child.exitCode !== null || child.signalCode !== null || Date.now() > limit) {
        const told = failed?.message ?? this.log()
        await this.close()
        throw new Error(`the broker does not start (FERROMQ_BIN names the program \`ferromq\`): ${told}`)
      }
    }
  }

  async #isReady(): Promise<boolean> {
    if (!(await listens(this.#port('namesrvListenPort'))) || !(await listens(this.#port('listenPort')))) {
      return false
    }
    // The broker has told the NameServer of itself, so that topics are created when they are sent to.
    const admin = new Admin(this.address)
    try {
      return (await admin.clusters()).length > 0
    } catch (error) {
      if (error instanceof FerroMQError) return false
      throw error
    } finally {
      await admin.close()
    }
  }

  /** What the server logged. */
  log(): string {
    return this.#dir === undefined ? '' : readFileSync(join(this.#dir, 'server.log'), 'utf8')
  }

  /** Ends it at once, as a crash would. `start` starts it again on what is stored. */
  async kill(): Promise<void> {
    await this.#stop('SIGKILL')
  }

  /** Ends it gracefully. `start` starts it again on what is stored. */
  async stop(): Promise<void> {
    await this.#stop('SIGTERM')
  }

  async #stop(by: NodeJS.Signals): Promise<void> {
    const child = this.#process
    this.#process = undefined
    process.removeListener('exit', this.#end)
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
      return
    }
    const ended = once(child, 'exit')
    child.kill(by)
    const late = setTimeout(() => child.kill('SIGKILL'), LIMIT)
    await ended
    clearTimeout(late)
  }

  /** Ends it and removes what it stored. */
  override async close(): Promise<void> {
    await this.stop()
    if (this.#dir !== undefined) {
      rmSync(this.#dir, { recursive: true, force: true })
      this.#dir = undefined
    }
  }
}

async function freePorts(): Promise<Record<keyof typeof PORTS, number>> {
  const ports: Record<string, number> = {}
  for (const [name, around] of Object.entries(PORTS)) {
    ports[name] = await freePort(around)
  }
  return ports as Record<keyof typeof PORTS, number>
}

/** The first of the ports that brokers are given, how many there are, and how far apart one is from the next. */
const FIRST = 10_000
const SPAN = 22_000
const STEP = 8
let taken = 0

/**
 * A port which is free with those beside it.
 *
 * From below the range that the system gives to outgoing connections, at a place that follows from the process id: so that
 * neither a client's connection nor another test process takes it before the server has it.
 */
async function freePort(around: readonly number[]): Promise<number> {
  const start = process.pid * 97 + threadId * 1511
  for (let tries = 0; tries < SPAN / STEP; tries++) {
    const port = FIRST + ((start + STEP * taken++) % SPAN)
    const beside = await Promise.all(around.map((offset) => isFree(port + offset)))
    if (beside.every(Boolean)) return port
  }
  throw new Error(`no port is free from ${FIRST} to ${FIRST + SPAN}`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const tell = (found: boolean): void => {
      socket.destroy()
      resolve(found)
    }
    socket.once('connect', () => tell(true))
    socket.once('error', () => tell(false))
  })
}
