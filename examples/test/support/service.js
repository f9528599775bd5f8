// The service on a PostgreSQL database and a Redis database of the test's own, people who use it, and the examples.
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createClient } from 'redis';
import { answers, run, start } from '../../../tests/browser/support/processes.js';

const HERE = new URL('..', import.meta.url).pathname;
const EXAMPLES = resolve(HERE, '..');
const { TEST_POSTGRES_URL, TEST_REDIS_URL } = process.env;
const AUTH_SERVICE = resolve(HERE, process.env.AUTH_SERVICE ?? '../../target/debug/auth-service');
const RUST_EXAMPLES = resolve(HERE, process.env.EXAMPLES_DIR ?? '../../target/debug/examples');
const GO_EXAMPLE = resolve(HERE, process.env.GO_EXAMPLE ?? '../../build/orders-go');
const PYTHON = resolve(HERE, process.env.EXAMPLES_PYTHON ?? '../../build/examples-venv/bin/python');

export const STREAM = 'auth:events';
export const SECRETS = {
  JWT_ACCESS_SECRET: 'access-secret-of-the-tests-0123456789abcdef',
  JWT_REFRESH_SECRET: 'refresh-secret-of-the-tests-0123456789abcdef',
};

/** How each consumer is started. */
export const CONSUMERS = {
  node: ['node', [join(EXAMPLES, 'consumers/node/consumer.js')]],
  python: [PYTHON, [join(EXAMPLES, 'consumers/python/consumer.py')]],
  rust: [join(RUST_EXAMPLES, 'event_consumer'), []],
};
/** How each service that accepts tokens is started. */
export const SERVICES = {
  express: ['node', [join(EXAMPLES, 'express/server.js')]],
  fastapi: [PYTHON, [join(EXAMPLES, 'fastapi/server.py')]],
  go: [GO_EXAMPLE, []],
  actix: [join(RUST_EXAMPLES, 'actix_service'), []],
  spring: ['java', ['-XX:TieredStopAtLevel=1', '-jar', join(EXAMPLES, 'spring/target/orders.jar')]],
};

/** A folder, a Redis database and copies of the program, for one file of tests; `number` keeps the files apart. */
export async function place(number) {
  if (!TEST_POSTGRES_URL || !TEST_REDIS_URL) throw new Error('TEST_POSTGRES_URL and TEST_REDIS_URL are needed: see ./run');
  const folder = await mkdtemp(join(tmpdir(), 'auth-examples-'));
  // A build that runs meanwhile replaces the original.
  const program = join(folder, 'auth-service');
  await copyFile(AUTH_SERVICE, program);
  const redisUrl = Object.assign(new URL(TEST_REDIS_URL), { pathname: `/${number}` }).href;
  const redis = createClient({ url: redisUrl });
  await redis.connect();
  await redis.flushDb();
  await anHourAgo(redis);
  const stops = [() => rm(folder, { recursive: true }), () => redis.destroy()];
  const place = {
    folder,
    program,
    redis,
    redisUrl,
    onStop: (undo) => stops.push(undo),
    /** Ends what was started, the last first. */
    async stop() {
      for (const undo of stops.splice(0).reverse()) await undo();
    },
  };
  return Object.assign(place, { databaseUrl: await database(place, number) });
}

/** Adds an old event, so that the stream reaches back that far: endings since then are known. */
function anHourAgo(redis) {
  const event = { event: 'token.refreshed', eventId: 'an-hour-ago', userId: 'somebody', sessionId: 'somewhere' };
  const entry = { channel: 'auth:token.refreshed', data: JSON.stringify(event) };
  return redis.xAdd(STREAM, `${Date.now() - 3_600_000}-0`, entry);
}

async function database(place, number) {
  const name = `examples_${process.pid}_${number}_${Date.now()}`;
  await run('psql', ['-qc', `CREATE DATABASE ${name}`, TEST_POSTGRES_URL]);
  place.onStop(() => run('psql', ['-qc', `DROP DATABASE ${name} WITH (FORCE)`, TEST_POSTGRES_URL]));
  return TEST_POSTGRES_URL.replace(/[^/]*$/, name);
}

/** The auth service. */
export async function authService(place, settings = {}) {
  const env = {
    APP_ENV: 'test',
    HOST: '127.0.0.1',
    PORT: '0',
    DATA_DIR: place.folder,
    DATABASE_URL: place.databaseUrl,
    REDIS_URL: place.redisUrl,
    LOG_FORMAT: 'json',
    BCRYPT_COST: '4',
    RATE_LIMIT_ENABLED: 'false',
    ...SECRETS,
    ...settings,
  };
  const listening = (printed) => /"listening".*?"address":"([^"]+)"|"address":"([^"]+)".*?"listening"/.exec(printed);
  const service = await start(place.program, [], {
    env,
    cwd: place.folder,
    ready: async (printed) => {
      const found = listening(printed);
      const url = found && `http://${found[1] ?? found[2]}`;
      return url && (await answers(`${url}/health/ready`)) ? url : null;
    },
  });
  place.onStop(() => service.stop());
  // Runs a command with the same settings, beside the service.
  const command = (words) => run(place.program, words, { cwd: place.folder, env });
  return Object.assign(service, { url: service.found, command });
}

/** One of the services that accept tokens, once it listens. */
export async function example(place, name, env) {
  const [command, args] = SERVICES[name];
  const service = await start(command, args, {
    env: { PORT: '0', ...env, ...(name === 'spring' && forSpring(env)) },
    ready: async (printed) => /listening on (\S+)/.exec(printed)?.[1],
  });
  place.onStop(() => service.stop());
  const url = `http://${service.found}`;
  const ask = async (method, path, token) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const answer = await fetch(`${url}${path}`, { method, headers });
    return { status: answer.status, challenge: answer.headers.get('www-authenticate'), body: await answer.json() };
  };
  return Object.assign(service, {
    orders: (token) => ask('GET', '/orders', token),
    pay: (token) => ask('POST', '/payments', token),
    health: () => ask('GET', '/health'),
    /** The status alone: what a framework answers by itself need not be JSON. */
    status: async (path, token) => (await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } })).status,
    /** Waits until it follows the events. */
    following: () => eventually(`${name} follows the events`, async () => (await ask('GET', '/health')).body.eventsUpToDate),
  });
}

/** The same settings under the names that Spring Boot reads. */
function forSpring({ JWT_AUDIENCE, JWT_ACCESS_SECRET, AUTH_API_KEY, REVOCATIONS_URL }) {
  return {
    ...(AUTH_API_KEY && {
      AUTH_SERVICE_API_KEY: AUTH_API_KEY,
      AUTH_SERVICE_REVOCATIONS_URL: REVOCATIONS_URL,
      AUTH_SERVICE_REDIS_URL: '',
    }),
    SPRING_PROFILES_ACTIVE: JWT_ACCESS_SECRET ? 'secret' : 'keys',
    ...(JWT_AUDIENCE && { AUTH_SERVICE_AUDIENCE: JWT_AUDIENCE }),
  };
}

let people = 0;

/** A person with an account, and what a device of theirs can do. */
export async function somebody(url) {
  people += 1;
  const person = { name: 'Ada', email: `ada${process.pid}-${people}@example.com`, password: 'a password long enough' };
  const device = async (path, deviceName) => {
    const signedIn = await call(url, 'POST', path, { body: { ...person, deviceName, refreshTokenDelivery: 'body' } });
    const device = {
      user: signedIn.user.id,
      session: signedIn.session.id,
      token: signedIn.accessToken,
      refreshToken: signedIn.refreshToken,
      end: (other) => call(url, 'DELETE', `/sessions/${other.session}`, { token: device.token }),
      endOthers: () => call(url, 'DELETE', '/sessions/all', { token: device.token }),
      logout: () => call(url, 'POST', '/logout', { token: device.token }),
      async refresh() {
        const answer = await call(url, 'POST', '/refresh', { body: { refreshToken: device.refreshToken } });
        Object.assign(device, { token: answer.accessToken, refreshToken: answer.refreshToken });
      },
    };
    return device;
  };
  return { laptop: await device('/signup', 'Laptop'), signIn: (name) => device('/login', name) };
}

async function call(url, method, path, { token, body }) {
  const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
  const answer = await fetch(`${url}${path}`, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text === '' ? null : JSON.parse(text);
}

/** Waits until `probe` answers something truthy, and returns that. */
export async function eventually(what, probe, patience = 10_000) {
  const until = performance.now() + patience;
  for (;;) {
    const answer = await probe();
    if (answer) return answer;
    if (performance.now() > until) throw new Error(`not within ${patience} ms: ${what}`);
    await pause(10);
  }
}
