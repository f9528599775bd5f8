// Prints each event of the auth service once, a line of JSON each, in the order in which a user's events happened.
//
// An event is acknowledged when it was printed, so none is lost, whenever this program is killed. Killed between the two,
// it prints that one event again when it is back: a consumer that cannot bear this writes its result and the event's id
// in one transaction of its own database. One process at a time reads for a group: two would share the events, and a
// user's could overtake each other.
import { setTimeout as pause } from 'node:timers/promises';
import { createClient } from 'redis';

const STREAM = 'auth:events';
const { REDIS_URL = 'redis://localhost:6379' } = process.env;
/** Who reads: a group sees each event once. A consumer that comes back under the same name goes on with what it had. */
const { GROUP = 'example', CONSUMER = 'one' } = process.env;
/** How long another consumer may leave a message unacknowledged before this one claims it. */
const CLAIM_IDLE_MS = Number(process.env.CLAIM_IDLE_MS ?? 30_000);
const BATCH = 100;
const WAIT_MS = 1000;
/** Longer than the auth service could still send an event again: it does so when it could not see that Redis has it. */
const REMEMBER_SECONDS = 24 * 3600;

let stopping = false;
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => (stopping = true));

while (!stopping) {
  // A line that breaks is replaced and no command is repeated: what it had asked for may have been given out already, and
  // is among what is read first on the next line.
  const redis = createClient({ url: REDIS_URL, socket: { reconnectStrategy: false, socketTimeout: 3 * WAIT_MS } });
  redis.on('error', () => {}); // told below
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
  // What this name was given and has not acknowledged comes before anything new.
  while (await read(redis, '0')) continue;
  while (!stopping) {
    await takeOver(redis);
    await read(redis, '>');
  }
}

/** From the beginning of the stream, so that a new group sees all that is still there. */
async function makeGroup(redis) {
  await redis.xGroupCreate(STREAM, GROUP, '0', { MKSTREAM: true }).catch((error) => {
    if (!error.message.startsWith('BUSYGROUP')) throw error;
  });
}

/** Whether there was anything. */
async function read(redis, id) {
  const found = await redis.xReadGroup(GROUP, CONSUMER, { key: STREAM, id }, { COUNT: BATCH, BLOCK: WAIT_MS });
  const entries = found?.[0].messages ?? [];
  for (const entry of entries) await handle(redis, entry);
  return entries.length > 0 && !stopping;
}

async function takeOver(redis) {
  for (let start = '0-0', first = true; first || start !== '0-0'; first = false) {
    const found = await redis.xAutoClaim(STREAM, GROUP, CONSUMER, CLAIM_IDLE_MS, start, { COUNT: BATCH });
    // Given out, never acknowledged, and meanwhile trimmed away. What was to be known from them has to be asked for.
    for (const id of found.deletedMessages) console.error(`lost: ${id}`);
    for (const entry of found.messages) await handle(redis, entry);
    start = found.nextId;
  }
}

async function handle(redis, { id, message }) {
  // What is left of a batch when it is time to go is given to this name again.
  if (stopping) return;
  const handled = `${GROUP}:handled:${JSON.parse(message.data).eventId}`;
  if (!(await redis.exists(handled))) process.stdout.write(`${message.data}\n`);
  await redis.multi().set(handled, '', { EX: REMEMBER_SECONDS }).xAck(STREAM, GROUP, id).exec();
}
