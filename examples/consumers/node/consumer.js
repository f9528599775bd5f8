// Prints each event of the auth service once, as one line of JSON, and a user's events in the order in
// which they happened.
//
// An event is acknowledged after it was printed, so none is lost, whenever this program is killed. If it
// is killed between the two, it prints that one event again after a restart: a consumer that cannot
// tolerate this writes its result and the event's id in one transaction of its own database. Only one
// process at a time reads for a group: two would share the events, and a user's events could overtake
// each other.
import { setTimeout as pause } from 'node:timers/promises';
import { createClient } from 'redis';

const STREAM = 'auth:events';
const { REDIS_URL = 'redis://localhost:6379' } = process.env;
/** Identify the reader: a group gets each event once; a consumer that returns continues with what it had. */
const { GROUP = 'example', CONSUMER = 'one' } = process.env;
/** How long another consumer may leave a message unacknowledged before this one claims it. */
const CLAIM_IDLE_MS = Number(process.env.CLAIM_IDLE_MS ?? 30_000);
const BATCH = 100;
const WAIT_MS = 1000;
/** Longer than the auth service may take to send an event again, as it does if unsure that Redis has it. */
const REMEMBER_SECONDS = 24 * 3600;

let stopping = false;
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => (stopping = true));

while (!stopping) {
  // A broken connection is replaced and no command is repeated: what it requested may have been delivered
  // already, and is among what is read first on the next connection.
  const redis = createClient({ url: REDIS_URL, socket: { reconnectStrategy: false, socketTimeout: 3 * WAIT_MS } });
  redis.on('error', () => {}); // reported below
  try {
    await redis.connect();
    await consume(redis);
  } catch (error) {
    console.error(`starting over: ${error.message}`);
    await pause(500);
  }
  if (redis.isOpen) redis.destroy();
}

async function consume(redis) {
  await makeGroup(redis);
  await takeOver(redis);
  // What was delivered to this name and not acknowledged comes before anything new.
  while (await read(redis, '0')) continue;
  while (!stopping) {
    await takeOver(redis);
    await read(redis, '>');
  }
}

/** Begins at the start of the stream, so that a new group gets everything that is still there. */
async function makeGroup(redis) {
  await redis.xGroupCreate(STREAM, GROUP, '0', { MKSTREAM: true }).catch((error) => {
    if (!error.message.startsWith('BUSYGROUP')) throw error;
  });
}

/** Returns whether there was anything. */
async function read(redis, id) {
  const found = await redis.xReadGroup(GROUP, CONSUMER, { key: STREAM, id }, { COUNT: BATCH, BLOCK: WAIT_MS });
  const entries = found?.[0].messages ?? [];
  for (const entry of entries) await handle(redis, entry);
  return entries.length > 0 && !stopping;
}

async function takeOver(redis) {
  for (let start = '0-0', first = true; first || start !== '0-0'; first = false) {
    const found = await redis.xAutoClaim(STREAM, GROUP, CONSUMER, CLAIM_IDLE_MS, start, { COUNT: BATCH });
    // Delivered, never acknowledged, and meanwhile trimmed. What they reported has to be queried instead.
    for (const id of found.deletedMessages) console.error(`lost: ${id}`);
    for (const entry of found.messages) await handle(redis, entry);
    start = found.nextId;
  }
}

async function handle(redis, { id, message }) {
  // What is left of a batch when it is time to stop will be delivered to this name again.
  if (stopping) return;
  const handled = `${GROUP}:handled:${JSON.parse(message.data).eventId}`;
  if (!(await redis.exists(handled))) process.stdout.write(`${message.data}\n`);
  await redis.multi().set(handled, '', { EX: REMEMBER_SECONDS }).xAck(STREAM, GROUP, id).exec();
}
