// The npm package `mqtt`: 3.1.1 and 5.0, over TCP and WebSocket.
//
//   node mqtt.js HOST PORT WEB_PORT
//
// Runs each scenario and prints `ok NAME` or `FAILED NAME: WHY` for it.
import assert from 'node:assert/strict';
import mqtt from 'mqtt';

const [host, port, webPort] = process.argv.slice(2);
const PATIENCE = 120_000;

/** A client that has connected, with its messages in a queue. */
class Client {
  static async open(way, name, { clean = true, will } = {}) {
    const one = new Client();
    one.messages = [];
    one.waiting = [];
    const url = way.web ? `ws://${host}:${webPort}/mqtt` : `mqtt://${host}:${port}`;
    one.client = mqtt.connect(url, {
      clientId: `node-${way.name}-${name}`,
      protocolVersion: way.version,
      clean,
      reconnectPeriod: 0,
      connectTimeout: PATIENCE,
      will,
      properties: way.version === 5 ? { sessionExpiryInterval: clean ? 0 : 3600 } : undefined,
    });
    one.client.on('message', (topic, payload, packet) => {
      const message = { topic, payload: payload.toString(), packet };
      const waits = one.waiting.shift();
      if (waits) waits(message);
      else one.messages.push(message);
    });
    one.connack = await new Promise((done, fail) => {
      one.client.once('connect', done);
      one.client.once('error', fail);
    });
    return one;
  }

  async subscribe(topic, qos) {
    const granted = await this.client.subscribeAsync(topic, { qos });
    assert.deepEqual(granted.map((of) => of.qos), [qos]);
  }

  publish(topic, payload, options) {
    return this.client.publishAsync(topic, payload, options);
  }

  receive() {
    const message = this.messages.shift();
    return message ?? new Promise((done) => this.waiting.push(done));
  }

  close() {
    return this.client.endAsync();
  }
}

const scenarios = {
  async publish(way, topic) {
    const c = await Client.open(way, 'c');
    await c.subscribe(topic, 2);
    for (const qos of [0, 1, 2]) {
      await c.publish(topic, `qos ${qos}`, { qos });
      const got = await c.receive();
      assert.deepEqual([got.topic, got.payload, got.packet.qos], [topic, `qos ${qos}`, qos]);
    }
    await c.close();
  },

  async retained(way, topic) {
    const c = await Client.open(way, 'c');
    await c.publish(topic, 'kept', { qos: 1, retain: true });
    await c.subscribe(topic, 1);
    const got = await c.receive();
    assert.deepEqual([got.payload, got.packet.retain], ['kept', true]);
    await c.publish(topic, '', { qos: 1, retain: true });
    await c.close();
  },

  async will(way, topic) {
    const watcher = await Client.open(way, 'watcher');
    await watcher.subscribe(topic, 1);
    const testator = await Client.open(way, 'testator', { will: { topic, payload: 'gone', qos: 1 } });
    testator.client.stream.destroy();
    assert.equal((await watcher.receive()).payload, 'gone');
    await watcher.close();
  },

  async resumed(way, topic) {
    const first = await Client.open(way, 'session', { clean: false });
    await first.subscribe(topic, 2);
    await first.close();
    const sender = await Client.open(way, 'sender');
    await sender.publish(topic, 'waits', { qos: 2 });
    await sender.close();
    const again = await Client.open(way, 'session', { clean: false });
    assert.equal(again.connack.sessionPresent, true);
    assert.equal((await again.receive()).payload, 'waits');
    await again.close();
  },

  async shared(way, topic) {
    const members = [await Client.open(way, 'one'), await Client.open(way, 'two')];
    for (const member of members) await member.subscribe(`$share/group/${topic}`, 1);
    const all = new Set(Array.from({ length: 20 }, (_, n) => `${n}`));
    const arrived = new Promise((done, fail) => {
      const missing = new Set(all);
      for (const member of members) {
        member.client.on('message', (_, payload) => {
          if (!missing.delete(payload.toString())) fail(new Error(`${payload} came twice`));
          if (missing.size === 0) done();
        });
      }
    });
    for (const text of all) await members[0].publish(topic, text, { qos: 1 });
    await arrived;
    for (const member of members) await member.close();
  },

  async request(way, topic) {
    const answerer = await Client.open(way, 'answerer');
    await answerer.subscribe(topic, 1);
    const asker = await Client.open(way, 'asker');
    await asker.subscribe(`${topic}/answer`, 1);
    const correlationData = Buffer.from([0, 255]);
    await asker.publish(topic, 'ask', {
      qos: 1,
      properties: { responseTopic: `${topic}/answer`, correlationData, userProperties: { a: ['1', '2'], b: '3' } },
    });
    const { properties } = (await answerer.receive()).packet;
    assert.deepEqual({ ...properties.userProperties }, { a: ['1', '2'], b: '3' });
    const which = properties.correlationData;
    await answerer.publish(properties.responseTopic, 'answer', { qos: 1, properties: { correlationData: which } });
    const got = await asker.receive();
    assert.deepEqual([got.payload, got.packet.properties.correlationData], ['answer', correlationData]);
    await answerer.close();
    await asker.close();
  },
};

for (const version of [4, 5]) {
  for (const web of [false, true]) {
    const way = { version, web, name: `${version === 5 ? 5 : 3}${web ? '_web' : ''}` };
    for (const [scenario, run] of Object.entries(scenarios)) {
      if (scenario === 'request' && version !== 5) continue;
      const name = `${scenario}_${way.name}`;
      const begun = Date.now();
      const took = () => `${((Date.now() - begun) / 1000).toFixed(1)}s`;
      let timer;
      const late = new Promise((_, fail) => {
        timer = setTimeout(() => fail(new Error('it takes too long')), PATIENCE);
      });
      try {
        await Promise.race([run(way, `node/${name}`), late]);
        console.log(`ok ${name} ${took()}`);
      } catch (error) {
        console.log(`FAILED ${name} ${took()}: ${error.stack}`);
      }
      clearTimeout(timer);
    }
  }
}
process.exit();
