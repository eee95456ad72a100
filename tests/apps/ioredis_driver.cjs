// Channels and keyspace events as users of ioredis have them: publishers, subscribers by name and by pattern, shard channels,
// connections that are lost and come back.
//
// node ioredis_driver.cjs HOST PORT MESSAGES [LIMIT], the limit in seconds for everything

const assert = require('node:assert');
const { once } = require('node:events');
const Redis = require('ioredis');

const PUBLISHERS = 4;
const SUBSCRIBERS = 6;
const ROOMS = 10;
const AT_ONCE = 100;
const LIMIT_MS = 1000 * Number(process.argv[5] ?? 600);

const [host, port, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const connect = (options = {}) => new Redis({ host, port, ...options });

/** Counts what each publisher has said, which must come in order; resolves when all of it has come. */
function listen(client, event, last) {
  const next = new Array(PUBLISHERS).fill(0);
  return new Promise((resolve, reject) => {
    client.on(event, (...words) => {
      const [publisher, number] = words.at(-1).split(' ').map(Number);
      if (number !== next[publisher]) reject(new Error(`${number} of ${publisher} instead of ${next[publisher]}`));
      next[publisher] += 1;
      if (next.every((number) => number === last)) resolve();
    });
  });
}

/** Everybody hears everything that is said in all rooms. Gives the seconds. */
async function many() {
  const each = Math.floor(count / PUBLISHERS);
  const publishers = Array.from({ length: PUBLISHERS }, () => connect());
  const subscribers = Array.from({ length: SUBSCRIBERS }, () => connect());
  const rooms = Array.from({ length: ROOMS }, (_, room) => `room:${room}`);
  const heard = await Promise.all(subscribers.map(async (client, number) => {
    if (number % 2 === 0) {
      assert.strictEqual(await client.subscribe(...rooms), ROOMS);
      return { done: listen(client, 'message', each) };
    }
    assert.strictEqual(await client.psubscribe('room:*'), 1);
    return { done: listen(client, 'pmessage', each) };
  }));
  const start = process.hrtime.bigint();
  const said = publishers.map(async (client, publisher) => {
    for (let from = 0; from < each; from += AT_ONCE) {
      const numbers = Array.from({ length: Math.min(AT_ONCE, each - from) }, (_, at) => from + at);
      const counts = await Promise.all(numbers.map((number) => client.publish(rooms[number % ROOMS], `${publisher} ${number}`)));
      assert.ok(counts.every((count) => count === SUBSCRIBERS), `${counts}`);
    }
  });
  await Promise.all([...said, ...heard.map(({ done }) => done)]);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  await Promise.all([...publishers, ...subscribers].map((client) => client.quit()));
  return seconds;
}

/** The next event of that kind, as an array. */
const next = (client, event) => once(client, event);

async function features() {
  const [db, listener] = [connect(), connect()];

  assert.strictEqual(await listener.subscribe('a', 'b'), 2);
  assert.strictEqual(await listener.psubscribe('p*'), 3);
  let message = next(listener, 'messageBuffer');
  assert.strictEqual(await db.publish('a', Buffer.from([0, 255, 13, 10])), 1);
  assert.deepStrictEqual((await message)[1], Buffer.from([0, 255, 13, 10]));
  message = next(listener, 'pmessage');
  await db.publish('pq', 'x');
  assert.deepStrictEqual(await message, ['p*', 'pq', 'x']);
  await assert.rejects(listener.get('key'), /subscriber mode/);
  assert.deepStrictEqual(await db.pubsub('NUMSUB', 'a', 'c'), ['a', 1, 'c', 0]);
  assert.strictEqual(await db.pubsub('NUMPAT'), 1);
  assert.strictEqual(await listener.unsubscribe('a', 'b'), 1);
  assert.strictEqual(await listener.punsubscribe('p*'), 0);
  assert.strictEqual(await listener.get('key'), null);

  assert.strictEqual(await listener.ssubscribe('shard'), 1);
  message = next(listener, 'smessage');
  assert.strictEqual(await db.spublish('shard', 'y'), 1);
  assert.deepStrictEqual(await message, ['shard', 'y']);
  await listener.sunsubscribe('shard');

  // Events of keys, wherever they are.
  await db.config('SET', 'notify-keyspace-events', 'KEA');
  const events = new Map();
  listener.on('pmessage', (_, channel, key) => events.set(key, [...(events.get(key) ?? []), channel.split(':')[1]]));
  await listener.psubscribe('__keyevent@0__:*');
  const keys = Array.from({ length: 20 }, (_, number) => `key:${number}`);
  await Promise.all(keys.map(async (key) => {
    await db.set(key, 1, 'PX', 50);
    await db.incr(key);
  }));
  const expected = ['set', 'expire', 'incrby', 'expired'];
  while (keys.some((key) => (events.get(key) ?? []).length < expected.length)) await next(listener, 'pmessage');
  for (const key of keys) assert.deepStrictEqual(events.get(key), expected, key);
  await db.config('SET', 'notify-keyspace-events', '');

  // A connection that is lost listens to the same again.
  await listener.subscribe('again');
  const ready = next(listener, 'ready');
  listener.on('error', () => {});
  assert.strictEqual(await db.client('KILL', 'TYPE', 'pubsub'), 1);
  await ready;
  message = next(listener, 'message');
  while ((await db.publish('again', 'z')) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepStrictEqual(await message, ['again', 'z']);
  await Promise.all([db.quit(), listener.quit()]);
}

const timer = setTimeout(() => {
  console.error('ioredis: not done in time');
  process.exit(1);
}, LIMIT_MS);

many()
  .then(async (seconds) => {
    await features();
    console.log(`ioredis: ${count} messages in ${seconds.toFixed(3)} s`);
    clearTimeout(timer);
  })
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
