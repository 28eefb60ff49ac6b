// The types: what the package declares is what is checked in, is documented, and is what a strict user's compiler expects.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { Client, Consumer, PopConsumer, Producer, PullConsumer } from '../index.mjs'
import { KEPT, modules, text } from '../scripts/types.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const skip = process.env.FERROMQ_TEST_KIND === 'official' && 'the types are the same beside any server'

test('the types are what is checked in', { skip }, () => {
  const lines = (text) => text.split(/\r?\n/)
  const [kept, now] = [lines(readFileSync(KEPT, 'utf8')), lines(text())]
  const only = (these, those, sign) => these.filter((line) => !those.includes(line)).map((line) => `${sign} ${line}`)
  const differs = [...only(kept, now, '-'), ...only(now, kept, '+')].join('\n') || 'the order'
  assert.ok(kept.join('\n') === now.join('\n'), `types/public.d.ts is stale; if this is meant, \`npm run types\`:\n${differs}`)
})

test('no type of the native half is among them', { skip }, () => {
  for (const internal of ['native', 'bridge', 'checked', 'packed', 'turn']) {
    assert.ok(!modules().has(`${internal}.d.ts`), `${internal}.d.ts is not published`)
  }
})

test('everything that is exported is documented, and every method', { skip }, () => {
  const undocumented = []
  for (const [file, text] of modules()) {
    const lines = text.split(/\r?\n/)
    for (const [n, line] of lines.entries()) {
      const declares = /^export (declare )?(abstract )?(class|interface|type \w+ =|type \w+<|function|const)/.test(line)
      const isMethod = /^ {4}(?!constructor)(static |abstract |get |set )*[\w[\].]+(<.*>)?\(.*;$/.test(line)
      if ((declares || isMethod) && !lines[n - 1]?.trimEnd().endsWith('*/')) {
        undocumented.push(`${file}: ${line.trim()}`)
      }
    }
  }
  assert.deepEqual(undocumented, [])
})

test('the options that are typed are those that there are', { skip }, () => {
  const declarations = [...modules().values()].join('\n')
  const given = { group: 'g', topics: 't', '?': 1 }
  const of = {
    ClientOptions: () => new Client('127.0.0.1:9', given),
    ProducerOptions: () => new Producer('127.0.0.1:9', given),
    ConsumerOptions: () => new Consumer('127.0.0.1:9', given),
    PullOptions: () => new PullConsumer('127.0.0.1:9', given),
    PopOptions: () => new PopConsumer('127.0.0.1:9', given),
  }
  for (const [type, make] of Object.entries(of)) {
    const [, body] = declarations.match(new RegExp(`interface ${type} {\n([^}]*)}`))
    const typed = [...body.matchAll(/^ {4}(\w+)\??:/gm)].map(([, name]) => name)
    assert.throws(make, ({ message }) => {
      const known = message.split('there are ')[1].split(', ')
      assert.deepEqual(typed.filter((name) => !(name in given)), known, type)
      return true
    })
  }
})

test("a strict user's program is accepted, and wrong ones are refused", { skip, timeout: 240_000 }, () => {
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const { status, stdout } = spawnSync(process.execPath, [tsc, '--project', join(root, 'test/types')], { encoding: 'utf8' })
  assert.equal(status, 0, stdout)
})
