// Writes lib/operations.ts, or with `--check` fails if it is not what it would write: the operations of administration with
// their types, made of the table that the bindings have in common. Run after `napi build`.

import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const { Admin } = createRequire(import.meta.url)('../native.js')
const file = new URL('../lib/operations.ts', import.meta.url)

const KINDS = {
  String: 'string',
  bool: 'boolean',
  i32: 'number',
  i64: 'number',
  u32: 'number',
  u64: 'number',
  Timestamp: 'Instant',
  'BTreeMap<String, String>': 'Readonly<Record<string, string>>',
  'BTreeSet<String>': 'readonly string[]',
  Where: 'Scope',
  Queue: 'Queue',
  To: 'ResetTo | Date',
  Clean: "'expired_queues' | 'unused_topics' | 'expired_log'",
}
const ANSWERS = { Message: 'ReceivedMessage', Messages: 'ReceivedMessage[]' }

const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())
const text = (doc) => doc.trim().split('\n').map((line) => line.trim())
const comment = (doc, indent) => {
  const lines = text(doc).map((line) => line.replace(/`([a-z]+(?:_[a-z]+)+)`/g, (_, name) => `\`${camel(name)}\``))
  return lines.length === 1
    ? `${indent}/** ${lines[0]} */`
    : [`${indent}/**`, ...lines.map((line) => `${indent} * ${line}`), `${indent} */`].join('\n')
}

function argument({ name, doc, kind }, settings) {
  const [, optional] = /^Option<(.*)>$/.exec(kind) ?? []
  const type = kind === 'serde_json::Value' ? settings : KINDS[optional ?? kind]
  if (type === undefined) throw new Error(`no type for ${kind}`)
  return `${comment(doc, '    ')}\n    ${camel(name)}${optional ? '?' : ''}: ${type}\n`
}

function operation({ name, doc, arguments: taken, answer }) {
  const settings = name.includes('group') ? 'GroupSettings' : 'TopicSettings'
  const must = taken.some(({ kind }) => !kind.startsWith('Option<'))
  const own = taken.length === 0 ? '' : `{\n${taken.map((one) => argument(one, settings)).join('')}  } & `
  const options = `options${must ? '' : '?'}: ${own}SignalOptions`
  return `${comment(doc, '  ')}\n  ${camel(name)}(${options}): Promise<${ANSWERS[answer] ?? answer}>\n`
}

const table = JSON.parse(Admin.operations())
const methods = table.map(operation).join('\n')
const used = readFileSync(new URL('../lib/answers.ts', import.meta.url), 'utf8').matchAll(/^export (?:interface|type) (\w+)/gm)
const types = Array.from(used, ([, name]) => name).filter((name) => new RegExp(`\\b${name}\\b`).test(methods)).sort()
const names = table.map(({ name, arguments: taken }) => `  ['${name}', [${taken.map((one) => `'${one.name}'`).join(', ')}]],\n`)

const source = `/** The operations of administration. Made by \`scripts/operations.mjs\`: do not edit. */

import type {
${types.map((name) => `  ${name},\n`).join('')}} from './answers.js'
import type { Instant } from './message.js'
import type { ReceivedMessage } from './received.js'
import type { SignalOptions } from './signal.js'

/**
 * What can be administered.
 *
 * What many brokers know is asked of all of them: the answer has what the others say (\`value\`) and who failed (\`failures\`).
 * What is changed is changed on masters, and may be changed again if some failed. Calls reject with \`ADMIN\`, or with what
 * went wrong with the servers; with \`CONFIG\` if an argument is no good.
 */
export interface Operations {
${methods}}

/** @internal Each operation with its arguments, as the native half names them. */
export const OPERATIONS: readonly (readonly [string, readonly string[]])[] = [
${names.join('')}]
`

if (!process.argv.includes('--check')) {
  writeFileSync(file, source)
} else if (readFileSync(file, 'utf8') !== source) {
  console.error('lib/operations.ts is stale: run `npm run build:operations`')
  process.exitCode = 1
}
