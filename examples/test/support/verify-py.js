// verify.py as a function.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { VERIFY_PY } from './service.js';

export function verifyPy(env) {
  const child = spawn(...VERIFY_PY, { env: { PATH: process.env.PATH, ...env }, stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async verify(token) {
      child.stdin.write(`${token}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`verify.py ended with ${await ended}`);
      return JSON.parse(value);
    },
    async stop() {
      child.stdin.end();
      await ended;
    },
  };
}
