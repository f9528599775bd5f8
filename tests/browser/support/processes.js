// Programs that a test starts: each is ended with the test, and what it printed is shown when it fails to start.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** Long enough for a machine at its limits; only what hangs reaches it. */
const START_MS = 90_000;
const LOG_KEPT = 64 * 1024;

/** Starts a program; `ready` is asked until it answers something, with what was printed so far. */
export async function start(command, args, { env, cwd, ready }) {
  const child = spawn(command, args, { cwd, env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  const keep = (chunk) => (printed = (printed + chunk).slice(-LOG_KEPT));
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const ended = new Promise((resolve) => {
    child.once('exit', resolve);
    child.once('error', (cause) => resolve(keep(`${cause}\n`)));
  });
  let over = false;
  ended.then(() => (over = true));
  const program = {
    printed: () => printed,
    async stop(signal = 'SIGTERM') {
      if (!over) child.kill(signal);
      await ended;
    },
  };
  const until = Date.now() + START_MS;
  while (!over && Date.now() < until) {
    const found = await ready(printed);
    if (found) return Object.assign(program, { found });
    await pause(25);
  }
  await program.stop('SIGKILL');
  throw new Error(`${command} did not start:\n${printed}`);
}

/** Runs a program to its end and gives what it printed. */
export async function run(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (printed += chunk));
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${command} ended with ${code}:\n${printed}`);
  return printed;
}

/** A port that was free just now. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Returns in another second of the clock than it was called: times are shown to the second. */
export async function anotherSecond() {
  const second = () => Math.floor(Date.now() / 1000);
  for (const now = second(); now === second();) await pause(10);
}

export async function answers(url) {
  return fetch(url).then((answer) => answer.ok, () => false);
}
