// Consumers that a test starts, and how far they have read.
import { spawn } from 'node:child_process';
import { CONSUMERS, STREAM, eventually } from './service.js';

export const KINDS = Object.keys(CONSUMERS);

/** A consumer of that kind, not started yet, with its own group and `env` besides GROUP and REDIS_URL. */
export function consumer(here, kind, group, env = {}) {
  const [command, args] = CONSUMERS[kind];
  const settings = { PATH: process.env.PATH, REDIS_URL: here.redisUrl, GROUP: group, ...env };
  const printed = [];
  let complaints = '';
  let child;
  let ended;
  let killAfter = Infinity;
  const self = {
    /** The events it has printed, over all its runs. */
    events: () => printed.map((line) => JSON.parse(line)),
    complaints: () => complaints,
    start() {
      child = spawn(command, args, { env: settings, stdio: ['ignore', 'pipe', 'pipe'] });
      let rest = '';
      child.stdout.on('data', (chunk) => {
        const lines = `${rest}${chunk}`.split('\n');
        rest = lines.pop();
        printed.push(...lines);
        if (printed.length >= killAfter) child.kill('SIGKILL');
      });
      child.stderr.on('data', (chunk) => (complaints += chunk));
      ended = new Promise((resolve, reject) => {
        child.once('close', (code, signal) => resolve(code ?? signal));
        child.once('error', reject);
      });
    },
    /** Kills it, without a warning, as soon as it has printed that many. */
    async killedAfter(count) {
      killAfter = count;
      self.start();
      const how = await ended;
      killAfter = Infinity;
      return how;
    },
    /** Its exit code, or the signal that ended it. */
    async stop() {
      child?.kill('SIGTERM');
      return ended;
    },
    /** Waits until everything was delivered to the group and acknowledged. */
    caughtUp: () => eventually(`${kind} has caught up; it said: ${complaints}`, async () => {
      const [stream, groups] = await Promise.all([here.redis.xInfoStream(STREAM), here.redis.xInfoGroups(STREAM)]);
      const mine = groups.find(({ name }) => name === group);
      return mine?.pending === 0 && mine['last-delivered-id'] === stream['last-generated-id'];
    }),
  };
  here.onStop(() => self.stop());
  return self;
}
