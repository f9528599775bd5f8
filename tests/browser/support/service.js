// The service as it is deployed: nodes on one PostgreSQL and one Redis behind Caddy; or one alone on SQLite.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { answers, freePort, run, start } from './processes.js';

const ROOT = new URL('../../../', import.meta.url).pathname;
const PROGRAM = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target', 'debug/auth-service');
const SECRETS = {
  JWT_ACCESS_SECRET: 'access-secret-of-the-tests-0123456789abcdef',
  JWT_REFRESH_SECRET: 'refresh-secret-of-the-tests-0123456789abcdef',
};

function environment(folder, settings) {
  return {
    APP_ENV: 'test',
    HOST: '127.0.0.1',
    PORT: '0',
    DATA_DIR: folder,
    LOG_FORMAT: 'json',
    BCRYPT_COST: '4',
    RATE_LIMIT_ENABLED: 'false',
    ...SECRETS,
    ...settings,
  };
}

/** One node; its port is free or the given one. */
async function startNode(folder, settings) {
  const env = environment(folder, settings);
  const listening = (printed) => /"address":"([^"]+)"/.exec(printed.split('\n').find((line) => line.includes('"listening"')) ?? '')?.[1];
  const node = await start(PROGRAM, [], {
    env,
    cwd: folder,
    ready: async (printed) => {
      const address = listening(printed);
      return address && (await answers(`http://${address}/health/ready`)) ? address : null;
    },
  });
  return Object.assign(node, { address: node.found, base: `http://${node.found}` });
}

/**
 * One node on SQLite, its page on its own port; `commands` are run before it starts, and what they print is kept.
 * With `accounts` it is on PostgreSQL, with that many accounts and half as many live sessions.
 */
export async function alone(settings = {}, commands = [], accounts = 0) {
  const folder = await mkdtemp(join(tmpdir(), 'auth-browser-'));
  const stops = [() => rm(folder, { recursive: true })];
  const all = accounts ? { ...settings, ...(await database(stops)) } : settings;
  const printed = [];
  for (const words of commands) {
    printed.push(await run(PROGRAM, words, { env: environment(folder, all), cwd: folder }));
  }
  if (accounts) {
    const seed = join(ROOT, 'benches/compare/admin.sql');
    await run('psql', ['-q', '-v', 'ON_ERROR_STOP=1', '-v', `accounts=${accounts}`, '-f', seed, all.DATABASE_URL]);
  }
  const node = await startNode(folder, all);
  stops.push(() => node.stop());
  return {
    base: node.base,
    folder,
    printed,
    async stop() {
      for (const undo of stops.splice(0).reverse()) await undo();
    },
  };
}

/** Two nodes behind Caddy: a port that leads to each, and one that leads to whichever lives, the first if it can. */
export async function behindCaddy(settings = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'auth-browser-'));
  const stops = [() => rm(folder, { recursive: true })];
  const stop = async () => {
    for (const undo of stops.splice(0).reverse()) await undo();
  };
  try {
    const shared = { ...(await database(stops)), TRUSTED_PROXIES: '127.0.0.1/32', ...settings };
    const nodes = [];
    for (let number = 0; number < 2; number += 1) {
      const node = await startNode(folder, shared);
      nodes.push(node);
      stops.push(() => node.stop());
    }
    const ports = await Promise.all([freePort(), freePort(), freePort()]);
    await proxy(folder, nodes, ports, stops);
    const [first, second, any] = ports.map((port) => `http://127.0.0.1:${port}`);
    return { nodes, first, second, any, stop };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

/** A database of this test's own on the server of scripts/test. */
async function database(stops) {
  const { TEST_POSTGRES_URL: server, TEST_REDIS_URL: redis } = process.env;
  if (!server || !redis) throw new Error('TEST_POSTGRES_URL and TEST_REDIS_URL are needed: run scripts/test');
  const name = `browser_${process.pid}_${Date.now()}`;
  await run('psql', ['-qc', `CREATE DATABASE ${name}`, server]);
  stops.push(() => run('psql', ['-qc', `DROP DATABASE ${name} WITH (FORCE)`, server]));
  return { DATABASE_URL: server.replace(/[^/]*$/, name), REDIS_URL: redis };
}

async function proxy(folder, nodes, ports, stops) {
  const [one, two] = nodes.map((node) => node.address);
  const site = (port, upstream) => `http://127.0.0.1:${port} {\n\treverse_proxy ${upstream}\n}\n`;
  const failingOver = `${one} ${two} {\n\t\tlb_policy first\n\t\tlb_try_duration 3s\n\t\tfail_duration 30s\n\t}`;
  const config = `{\n\tadmin off\n\tauto_https off\n}\n`
    + site(ports[0], one) + site(ports[1], two) + site(ports[2], failingOver);
  const file = join(folder, 'Caddyfile');
  await writeFile(file, config);
  const caddy = await start('caddy', ['run', '--adapter', 'caddyfile', '--config', file], {
    env: { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    cwd: folder,
    ready: async () => (await Promise.all(ports.map((port) => answers(`http://127.0.0.1:${port}/health/live`)))).every(Boolean),
  });
  stops.push(() => caddy.stop());
}

/** A device without a browser: signs in and answers what the service did. */
export async function signIn(base, { email, password }, userAgent, deviceName) {
  const answer = await fetch(`${base}/api/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'user-agent': userAgent },
    body: JSON.stringify({ email, password, deviceName }),
  });
  if (!answer.ok) throw new Error(`login: ${answer.status} ${await answer.text()}`);
  return answer.json();
}
