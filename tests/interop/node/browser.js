// The npm package `mqtt` in a page that Chromium shows: 3.1.1 and 5.0 over WebSocket.
//
//   CHROMIUM=PROGRAM node browser.js HOST PORT WEB_PORT
//
// Runs each scenario and prints `ok NAME` or `FAILED NAME: WHY` for it. The page comes from an origin of its own, as the
// page of an application does.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const [host, , webPort] = process.argv.slice(2);
const PATIENCE = 120_000;

const bundle = await readFile(fileURLToPath(new URL('dist/mqtt.min.js', import.meta.resolve('mqtt/package.json'))));
const pages = createServer((request, response) => {
  const isScript = request.url === '/mqtt.js';
  response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
  response.end(isScript ? bundle : '<!doctype html><title>MQTT</title><script src="/mqtt.js"></script>');
});
await new Promise((done) => pages.listen(0, '127.0.0.1', done));

// The sandbox needs rights that neither containers nor root give; the page is our own. /dev/shm is small in containers.
const args = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args, timeout: PATIENCE });
const page = await browser.newPage();
page.setDefaultTimeout(PATIENCE);
await page.goto(`http://127.0.0.1:${pages.address().port}/`);

/** Runs in the page, which has nothing of this file but its arguments. */
async function scenario({ name, url, version, topic }) {
  const { mqtt } = globalThis;
  const text = (bytes) => new TextDecoder().decode(bytes);
  const expect = (got, wanted) => {
    if (JSON.stringify(got) !== JSON.stringify(wanted)) {
      throw new Error(`${JSON.stringify(got)} in place of ${JSON.stringify(wanted)}`);
    }
  };
  const open = async (id, { clean = true, will } = {}) => {
    const client = mqtt.connect(url, {
      clientId: `page-${version}-${id}`,
      protocolVersion: version,
      clean,
      reconnectPeriod: 0,
      will,
      properties: version === 5 ? { sessionExpiryInterval: clean ? 0 : 3600 } : undefined,
    });
    const messages = [];
    const waiting = [];
    client.on('message', (topic, payload, packet) => {
      const message = { topic, payload: text(payload), packet };
      const waits = waiting.shift();
      if (waits) waits(message);
      else messages.push(message);
    });
    const connack = await new Promise((done, fail) => {
      client.once('connect', done);
      client.once('error', fail);
      client.once('close', () => fail(new Error('the connection was closed')));
    });
    return { client, connack, receive: () => messages.shift() ?? new Promise((done) => waiting.push(done)) };
  };
  const scenarios = {
    async publish() {
      const { client, receive } = await open('c');
      await client.subscribeAsync(topic, { qos: 2 });
      for (const qos of [0, 1, 2]) {
        await client.publishAsync(topic, `qos ${qos}`, { qos });
        const got = await receive();
        expect([got.topic, got.payload, got.packet.qos], [topic, `qos ${qos}`, qos]);
      }
      await client.endAsync();
    },

    async retained() {
      const { client, receive } = await open('c');
      await client.publishAsync(topic, 'kept', { qos: 1, retain: true });
      await client.subscribeAsync(topic, { qos: 1 });
      const got = await receive();
      expect([got.payload, got.packet.retain], ['kept', true]);
      await client.publishAsync(topic, '', { qos: 1, retain: true });
      await client.endAsync();
    },

    async will() {
      const watcher = await open('watcher');
      await watcher.client.subscribeAsync(topic, { qos: 1 });
      const testator = await open('testator', { will: { topic, payload: 'gone', qos: 1 } });
      testator.client.stream.destroy();
      expect((await watcher.receive()).payload, 'gone');
      await watcher.client.endAsync();
    },

    async resumed() {
      const first = await open('session', { clean: false });
      await first.client.subscribeAsync(topic, { qos: 2 });
      await first.client.endAsync();
      const sender = await open('sender');
      await sender.client.publishAsync(topic, 'waits', { qos: 2 });
      await sender.client.endAsync();
      const again = await open('session', { clean: false });
      expect(again.connack.sessionPresent, true);
      expect((await again.receive()).payload, 'waits');
      await again.client.endAsync();
    },

    async request() {
      const answerer = await open('answerer');
      await answerer.client.subscribeAsync(topic, { qos: 1 });
      const asker = await open('asker');
      await asker.client.subscribeAsync(`${topic}/answer`, { qos: 1 });
      const properties = { responseTopic: `${topic}/answer`, userProperties: { a: ['1', '2'] } };
      await asker.client.publishAsync(topic, 'ask', { qos: 1, properties });
      const asked = (await answerer.receive()).packet.properties;
      expect([asked.responseTopic, asked.userProperties.a], [`${topic}/answer`, ['1', '2']]);
      await answerer.client.publishAsync(asked.responseTopic, 'answer', { qos: 1 });
      expect((await asker.receive()).payload, 'answer');
      await answerer.client.endAsync();
      await asker.client.endAsync();
    },
  };
  await scenarios[name]();
}

for (const version of [4, 5]) {
  for (const name of ['publish', 'retained', 'will', 'resumed', 'request']) {
    if (name === 'request' && version !== 5) continue;
    const full = `${name}_${version === 5 ? 5 : 3}`;
    const begun = Date.now();
    const took = () => `${((Date.now() - begun) / 1000).toFixed(1)}s`;
    let timer;
    const late = new Promise((_, fail) => {
      timer = setTimeout(() => fail(new Error('it takes too long')), PATIENCE);
    });
    try {
      const asked = { name, url: `ws://${host}:${webPort}/mqtt`, version, topic: `page/${full}` };
      await Promise.race([page.evaluate(scenario, asked), late]);
      console.log(`ok ${full} ${took()}`);
    } catch (error) {
      console.log(`FAILED ${full} ${took()}: ${error.stack}`);
    }
    clearTimeout(timer);
  }
}
await browser.close();
process.exit();
