// BullMQ as its users drive it: a queue and a worker of fifty jobs at a time; delays, priorities, attempts, flows, events.
//
// node bullmq_driver.cjs HOST PORT JOBS [LIMIT], the limit in seconds for everything

const assert = require('node:assert');
const { FlowProducer, Queue, QueueEvents, Worker } = require('bullmq');

const CONCURRENCY = 50;
const BATCH = 500;
const LIMIT_MS = 1000 * Number(process.argv[5] ?? 600);

const [host, port, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const connection = { host, port, maxRetriesPerRequest: null };

/** Counts how often each job ran. */
const runs = new Map();

async function run(job) {
  runs.set(job.id, (runs.get(job.id) ?? 0) + 1);
  if (job.name === 'stubborn' && job.attemptsMade < 2) throw new Error('not yet');
  if (job.name === 'sum') {
    const parts = Object.values(await job.getChildrenValues());
    return parts.reduce((sum, part) => sum + part, 0);
  }
  if (job.name === 'reporting') {
    await job.updateProgress(50);
    await job.log('half of it');
  }
  return job.data.number * job.data.number;
}

/** Adds and processes all at once; half of the jobs come one by one, half in batches. Gives the seconds. */
async function many() {
  const queue = new Queue('many', { connection });
  const worker = new Worker('many', run, { connection, concurrency: CONCURRENCY });
  const results = new Map();
  const finished = new Promise((resolve, reject) => {
    worker.on('completed', (job, value) => {
      results.set(job.id, [job.data.number, value, (results.get(job.id)?.[2] ?? 0) + 1]);
      if (results.size === count) resolve();
    });
    worker.on('failed', (job, error) => reject(error));
    worker.on('error', reject);
  });
  await worker.waitUntilReady();
  await queue.waitUntilReady();

  const start = process.hrtime.bigint();
  const batches = [];
  for (let from = 0; from < count; from += BATCH) {
    const numbers = Array.from({ length: Math.min(BATCH, count - from) }, (_, at) => from + at);
    if (from < count / 2) {
      await Promise.all(numbers.map((number) => queue.add('square', { number })));
    } else {
      await queue.addBulk(numbers.map((number) => ({ name: 'square', data: { number } })));
    }
  }
  await finished;
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;

  assert.strictEqual(results.size, count);
  for (const [id, [number, value, completed]] of results) {
    assert.deepStrictEqual([value, completed, runs.get(id)], [number * number, 1, 1], `job ${id}`);
  }
  assert.strictEqual(new Set([...results.values()].map(([number]) => number)).size, count);
  const counts = await queue.getJobCounts();
  assert.deepStrictEqual([counts.completed, counts.waiting, counts.active, counts.failed], [count, 0, 0, 0]);
  const [last] = await queue.getJobs(['completed'], 0, 0);
  assert.strictEqual(last.returnvalue, last.data.number ** 2);
  await worker.close();
  await queue.obliterate();
  await queue.close();
  return seconds;
}

/** The rest of what people use it for, a few of each. */
async function features() {
  const queue = new Queue('features', { connection });
  const events = new QueueEvents('features', { connection });
  const flow = new FlowProducer({ connection });
  await events.waitUntilReady();

  const jobs = await queue.addBulk([
    { name: 'square', data: { number: 2 }, opts: { priority: 9 } },
    { name: 'square', data: { number: 3 }, opts: { priority: 1 } },
    { name: 'square', data: { number: 4 }, opts: { delay: 200 } },
    { name: 'stubborn', data: { number: 5 }, opts: { attempts: 3, backoff: 10 } },
    { name: 'reporting', data: { number: 6 } },
    { name: 'square', data: { number: 7 }, opts: { lifo: true } },
  ]);
  const twice = await Promise.all([1, 2].map(() => queue.add('square', { number: 8 }, { jobId: 'eight' })));
  const children = [1, 2, 3].map((number) => ({ name: 'square', queueName: 'features', data: { number } }));
  const tree = await flow.add({ name: 'sum', queueName: 'features', data: {}, children });
  const progress = new Promise((resolve) => events.on('progress', resolve));

  const worker = new Worker('features', run, { connection, concurrency: CONCURRENCY, limiter: { max: 100, duration: 50 } });
  const values = await Promise.all([...jobs, ...twice].map((job) => job.waitUntilFinished(events)));
  assert.deepStrictEqual(values, [4, 9, 16, 25, 36, 49, 64, 64]);
  assert.strictEqual(await tree.job.waitUntilFinished(events), 1 + 4 + 9);
  assert.strictEqual((await progress).data, 50);
  assert.deepStrictEqual((await queue.getJobLogs(jobs[4].id)).logs, ['half of it']);
  assert.strictEqual(runs.get(jobs[3].id), 3);
  assert.strictEqual(runs.get('eight'), 1);

  await queue.pause();
  await queue.add('square', { number: 9 });
  assert.ok(await queue.isPaused());
  assert.strictEqual(await queue.getWaitingCount(), 1);
  await queue.drain();
  await queue.resume();
  await queue.clean(0, 1000, 'completed');
  const counts = await queue.getJobCounts();
  assert.ok(Object.values(counts).every((left) => left === 0), JSON.stringify(counts));
  await Promise.all([worker.close(), events.close(), flow.close()]);
  await queue.close();
}

const timer = setTimeout(() => {
  console.error('bullmq: not done in time');
  process.exit(1);
}, LIMIT_MS);

many()
  .then(async (seconds) => {
    runs.clear();
    await features();
    console.log(`bullmq: ${count} jobs in ${seconds.toFixed(3)} s`);
    clearTimeout(timer);
  })
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
