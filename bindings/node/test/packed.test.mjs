// The packages as they are published, installed in an empty project: what the README shows runs there.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { address, LIMIT, name, PATIENT } from './server.mjs'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const tsc = join(root, 'node_modules/typescript/bin/tsc')
/** What is packed and installed may take longer than what is sent. */
const SETUP = { timeout: 4 * LIMIT }
const skip = process.env.FERROMQ_TEST_KIND === 'official' && 'the packages are the same beside any server'

/** The README's examples, of which the first two are a producer and a consumer. */
const EXAMPLES = Array.from(
  readFileSync(join(root, 'README.md'), 'utf8').matchAll(/^```js\n(.*?)^```$/gms),
  ([, code]) => code,
)
const [PRODUCER, CONSUMER] = EXAMPLES

let dir, packages, project, env

before(async () => {
  if (skip) return
  dir = mkdtempSync(join(tmpdir(), 'ferromq-packed-'))
  packages = join(dir, 'packages')
  await run(process.execPath, [join(root, 'scripts/pack.mjs'), packages], { cwd: root })
  project = join(dir, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{ "private": true }\n')
  const tarballs = readdirSync(packages).map((file) => join(packages, file))
  const options = ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  await run('npm', [...options, ...tarballs], { cwd: project })
  // TypeScript's users have Node's types. Those installed here are linked to, as there may be no network.
  symlinkSync(join(root, 'node_modules/@types'), join(project, 'node_modules/@types'))
  // What is installed is run where there is nothing but Node: no compiler, no cargo.
  const path = join(dir, 'bin')
  mkdirSync(path)
  symlinkSync(process.execPath, join(path, 'node'))
  env = { PATH: path, FERROMQ_PACKAGE: join(project, 'node_modules/ferromq') }
}, SETUP)

after(() => dir && rmSync(dir, { recursive: true, force: true }))

test('there is one package for each platform, and one that names them all', { skip }, () => {
  const described = (installed) => JSON.parse(readFileSync(join(project, 'node_modules', installed, 'package.json'), 'utf8'))
  const main = described('ferromq')
  const { napi, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  assert.equal(Object.keys(main.optionalDependencies).length, napi.targets.length)
  assert.deepEqual(new Set(Object.values(main.optionalDependencies)), new Set([version]))
  const here = readdirSync(join(project, 'node_modules')).filter((installed) => installed.startsWith('ferromq-'))
  assert.equal(here.length, 1, 'that of this platform is installed')
  assert.ok(here[0] in main.optionalDependencies)
  const native = described(here[0])
  assert.deepEqual([native.os, native.cpu], [[process.platform], [process.arch]])
  for (const published of [main, native]) {
    assert.deepEqual([published.scripts, published.dependencies], [undefined, undefined], 'nothing runs or is fetched')
  }
})

/** The README's example as it is written, but for the server's address and the topic. */
const adapted = (example, topic) => {
  assert.ok(example.includes("'127.0.0.1:9876'") && example.includes("'Hello'"), 'the README names what is replaced here')
  return example.replaceAll("'127.0.0.1:9876'", `'${address()}'`).replaceAll("'Hello'", `'${topic}'`)
}

/** The same for CommonJS, where nothing is awaited outside of functions. */
const required = (example) =>
  example.replace(/^import (.*) from (.*)$/m, 'const $1 = require($2)\nvoid (async () => {').concat('})()\n')

/** The same for CommonJS of TypeScript. */
const assigned = (example) => example.replace(/^(import .*)$/m, '$1\nvoid (async () => {').concat('})()\n')

/** Writes the examples, has `compile` make of them what Node runs, runs them, and looks at what they print. */
async function exchanged(kind, suffix, form = (example) => example, compile = (files) => files) {
  const topic = name(`Hello${kind}`)
  const written = Object.entries({ producer: PRODUCER, consumer: CONSUMER }).map(([role, example]) => {
    const file = join(project, `${kind}-${role}.${suffix}`)
    writeFileSync(file, form(adapted(example, topic)))
    return file
  })
  const [producer, consumer] = await compile(written)
  const options = { cwd: project, env, timeout: LIMIT }
  const sent = await run('node', [...PATIENT, producer], options)
  assert.match(sent.stdout, /^[0-9A-F]{32}\n$/, "the message's id")
  const received = await run('node', [...PATIENT, consumer], options)
  assert.equal(received.stdout, 'hello, world\n')
  assert.equal(sent.stderr + received.stderr, '')
}

/** Compiles strictly, and so that what the package declares is checked too. Gives the files that it wrote. */
const compiled = (module, resolution) => async (files) => {
  const options = ['--strict', '--target', 'es2022', '--module', module, '--moduleResolution', resolution, '--types', 'node']
  try {
    await run(process.execPath, [tsc, ...options, '--skipLibCheck', 'false', ...files], { cwd: project })
  } catch (error) {
    assert.fail(`${files} are refused:\n${error.stdout}`)
  }
  return files.map((file) => file.replace(/ts$/, 'js'))
}

/** Bundlers take modules whose names do not tell Node that they are. */
const renamed = (compile) => async (files) =>
  (await compile(files)).map((file) => {
    renameSync(file, file.replace(/js$/, 'mjs'))
    return file.replace(/js$/, 'mjs')
  })

test("the README's producer and consumer run from ESM", { ...SETUP, skip }, () => exchanged('Esm', 'mjs'))

test("the README's producer and consumer run from CommonJS", { ...SETUP, skip }, () => exchanged('Cjs', 'cjs', required))

test("the README's producer and consumer run from TypeScript's ESM", { ...SETUP, skip }, () =>
  exchanged('Mts', 'mts', undefined, compiled('node16', 'node16')))

test("the README's producer and consumer run from TypeScript's CommonJS", { ...SETUP, skip }, () =>
  exchanged('Cts', 'cts', assigned, compiled('node16', 'node16')))

test("the README's producer and consumer run from TypeScript for bundlers", { ...SETUP, skip }, () =>
  exchanged('Bundler', 'ts', undefined, renamed(compiled('esnext', 'bundler'))))

test("each of the README's examples is accepted by a strict compiler", { ...SETUP, skip }, async () => {
  const files = EXAMPLES.map((example, n) => {
    const file = join(project, `example-${n}.mts`)
    writeFileSync(file, example)
    return file
  })
  await compiled('node16', 'node16')(files)
})
