// Who the client says it is, and how its connections are encrypted: heard by a server that answers nothing.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'

import { Admin, Client, Consumer, PopConsumer, Producer, PullConsumer, TransactionProducer } from 'ferromq'

import { LIMIT, own } from './server.mjs'

/** What a client says first to a server. */
async function heard(t, server, connected, options) {
  server.listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const client = own(t, new Client(`127.0.0.1:${server.address().port}`, options))
  const producer = own(t, new Producer(client, { retries: 0 }))
  const said = once(server, connected).then(async ([socket]) => {
    const [bytes] = await once(socket, 'data')
    socket.destroy()
    return bytes
  })
  await assert.rejects(producer.send({ topic: 'T', body: 'x' }), { retryable: true })
  return said
}

test('requests are signed', { timeout: LIMIT }, async (t) => {
  const credentials = { accessKey: 'writer-key', secretKey: '12345678', securityToken: 'token' }
  const frame = (await heard(t, createServer(), 'connection', { credentials })).toString('latin1')
  assert.ok(frame.includes('writer-key') && frame.includes('Signature'))
  assert.ok(!frame.includes('12345678'), 'a secret travels')
})

test('connections are encrypted', { timeout: LIMIT }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'ferromq-tls-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const [certificate, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')]
  const subject = ['-subj', '/CN=broker.test', '-addext', 'subjectAltName=DNS:broker.test']
  const make = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', certificate]
  execFileSync('openssl', [...make, ...subject, '-addext', 'basicConstraints=critical,CA:FALSE'], { stdio: 'pipe' })
  const server = () => createTlsServer({ cert: readFileSync(certificate), key: readFileSync(key) })
  for (const tls of [{ trustAnyone: true }, { authorities: certificate, serverName: 'broker.test' }]) {
    const frame = await heard(t, server(), 'secureConnection', { tls })
    assert.ok(frame.length > 8, 'what was encrypted is a frame')
  }
  for (const tls of [{ authorities: '/no/such/file.pem' }, { certificate }, {}]) {
    assert.throws(() => new Client('127.0.0.1:9876', { tls }), { code: 'CONFIG' })
  }
})

test('everything that waits can be given up', { timeout: LIMIT }, async (t) => {
  const server = createServer((socket) => socket.on('error', () => undefined).resume())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = new Client(`127.0.0.1:${server.address().port}`)
  const producer = new Producer(client)
  const transactions = new TransactionProducer(client, { group: 't', check: () => 'unknown' })
  const consumer = new Consumer(client, { group: 'c', topics: 'T' })
  const puller = new PullConsumer(client, { group: 'p' })
  const popper = new PopConsumer(client, { group: 'l', topics: 'T' })
  const admin = new Admin(client)
  t.after(() => server.close())
  const message = { topic: 'T', body: 'x' }
  const queue = { topic: 'T', broker: 'b', id: 0 }
  const handle = Buffer.from('v1 T b 1800000000000 0A0').toString('base64url')
  const calls = {
    send: (options) => producer.send(message, options),
    sendMany: (options) => producer.sendMany([message], options),
    recall: (options) => producer.recall('T', handle, options),
    request: (options) => producer.request(message, { timeout: LIMIT, ...options }),
    begin: (options) => transactions.begin(message, options),
    receive: (options) => consumer.receive(options),
    receiveMany: (options) => consumer.receiveMany(32, options),
    queues: (options) => puller.queues('T', options),
    poll: (options) => puller.poll(options),
    pull: (options) => puller.pull(queue, 0, options),
    committed: (options) => puller.committed(queue, options),
    offsetOf: (options) => puller.offsetOf(queue, 'last', options),
    lease: (options) => popper.receiveMany(32, options),
    topics: (options) => admin.topics(options),
    deleteTopic: (options) => admin.deleteTopic({ topic: 'T', ...options }),
    clusters: (options) => admin.clusters(options),
  }
  const given = new Error('given up')
  for (const [what, call] of Object.entries(calls)) {
    const early = AbortSignal.abort(given)
    await assert.rejects(call({ signal: early }), (error) => error === given, `${what}, before it began`)
    const giving = new AbortController()
    const waiting = call({ signal: giving.signal })
    setImmediate(() => giving.abort(given))
    await assert.rejects(waiting, (error) => error === given, what)
  }
})
