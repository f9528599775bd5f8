// A line to a server: a TCP proxy that a test can cut, silence and mend.
import { connect, createServer } from 'node:net';

export async function line(url) {
  const { hostname, port } = new URL(url);
  const connections = new Set();
  let state = 'whole';

  const server = createServer((near) => {
    near.on('error', () => {});
    if (state === 'cut') return near.destroy();
    const far = connect(Number(port), hostname);
    const connection = { near, far, dead: state === 'silent' };
    connections.add(connection);
    far.on('error', () => {});
    far.once('close', () => connections.delete(connection));
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on('data', (chunk) => connection.dead || to.write(chunk));
      from.once('close', () => to.destroy());
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

  const drop = () => connections.forEach(({ near }) => near.destroy());
  return {
    url: url.replace(`${hostname}:${port}`, `${hostname}:${server.address().port}`),
    /** Where its connections come from, as the server sees them. */
    farEnds: () => [...connections].map(({ far }) => `${far.localAddress}:${far.localPort}`),
    /** Breaks the connections, and refuses new ones. */
    cut() {
      state = 'cut';
      drop();
    },
    /** Connections remain and new ones can be made, but nothing gets through. */
    silence() {
      state = 'silent';
      for (const connection of connections) connection.dead = true;
    },
    /** New connections work. One that was silent remains so: its ends do not notice. */
    mend: () => (state = 'whole'),
    async close() {
      drop();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
