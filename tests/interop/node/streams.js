// Receives by an EventSource and by a WebSocket, with the clients that Node programs use, and acknowledges everything.
//
//   node streams.js BASE_URL GROUP_OF_EVENTS GROUP_OF_SOCKET COUNT
//
// Says `events TEXT` and `socket TEXT` for each message, and ends well once each way had COUNT of them.
import { EventSource } from 'eventsource';
import { WebSocket } from 'ws';

const [base, eventsGroup, socketGroup, count] = process.argv.slice(2);
const wanted = Number(count);

async function byEvents() {
  const source = new EventSource(`${base}${eventsGroup}/events?unacked=1`);
  const seen = new Set();
  await new Promise((done, fail) => {
    source.onerror = (error) => fail(new Error(`events: ${error.message ?? error.type}`));
    source.addEventListener('message', async (event) => {
      try {
        const message = JSON.parse(event.data);
        if (event.lastEventId !== message.messageId) throw new Error(`the id is ${event.lastEventId}`);
        const acked = await fetch(`${base}${eventsGroup}/acks`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ receipts: [message.receipt] }),
        });
        if (acked.status !== 200) throw new Error(`${acked.status} ${await acked.text()}`);
        seen.add(message.text);
        console.log(`events ${message.text}`);
        if (seen.size === wanted) done();
      } catch (error) {
        fail(error);
      }
    });
  });
  source.close();
}

async function bySocket() {
  const socket = new WebSocket(`${base.replace('http', 'ws')}${socketGroup}/socket`);
  const seen = new Set();
  const open = [];
  await new Promise((done, fail) => {
    socket.on('error', fail);
    socket.on('close', (code) => fail(new Error(`closed with ${code}`)));
    socket.on('open', () => socket.send(JSON.stringify({ credit: 2 })));
    socket.on('message', (data) => {
      const frame = JSON.parse(data);
      if (frame.error) return fail(new Error(JSON.stringify(frame.error)));
      if (frame.messages) {
        for (const message of frame.messages) {
          seen.add(message.text);
          open.push(message.receipt);
          console.log(`socket ${message.text}`);
          socket.send(JSON.stringify({ ack: [message.receipt] }));
        }
      }
      for (const result of frame.results ?? []) {
        if (result.error || result.receipt !== open.shift()) return fail(new Error(JSON.stringify(frame)));
        if (seen.size === wanted && open.length === 0) return done();
        socket.send(JSON.stringify({ credit: 1 }));
      }
    });
  });
  socket.removeAllListeners('close');
  socket.close();
}

await Promise.all([byEvents(), bySocket()]);
