// The two Redis clients that can be used, as the one thing that is needed of them: reading a
// stream. A connection that breaks or falls silent is replaced rather than repaired, so that it is
// known where reading resumes.

/** A connection that is silent for this long, in ms, is considered dead. */
const SILENCE_MS = 2000;

export interface Entry {
  /** `<milliseconds>-<number>`, by the clock of Redis. */
  id: string;
  /** The event as JSON. */
  data: string;
}

export interface StreamReader {
  /** The oldest entry, or nothing if the stream is empty. */
  oldest(): Promise<Entry | undefined>;
  /** Whether the entry is still there, and those after it; waits up to `waitMs` where there are none. */
  after(id: string, count: number, waitMs: number): Promise<{ held: boolean; entries: Entry[] }>;
  close(): void;
}

/** Connects with the installed client: `redis`, else `ioredis`. */
export async function connect(url: string, stream: string): Promise<StreamReader> {
  const nodeRedis = await installed(() => import('redis'));
  if (nodeRedis) return withNodeRedis(nodeRedis, url, stream);
  const ioredis = await installed(() => import('ioredis'));
  if (ioredis) return withIoredis(ioredis, url, stream);
  throw new Error('install `redis` or `ioredis` to follow the events of the auth service');
}

async function installed<T>(load: () => Promise<T>): Promise<T | undefined> {
  try {
    return await load();
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

export async function withNodeRedis(module: typeof import('redis'), url: string, stream: string): Promise<StreamReader> {
  const client = module.createClient({
    url,
    socket: { reconnectStrategy: false, connectTimeout: SILENCE_MS, socketTimeout: SILENCE_MS },
  });
  client.on('error', () => {}); // every command fails with it
  await client.connect();
  const entry = ({ id, message }: { id: string; message: Record<string, string> }): Entry => ({ id, data: message['data'] ?? '{}' });
  return {
    async oldest() {
      return ((await client.xRange(stream, '-', '+', { COUNT: 1 })) ?? []).map(entry)[0];
    },
    async after(id, count, waitMs) {
      const [held, found] = await Promise.all([
        client.xRange(stream, id, id),
        client.xRead({ key: stream, id }, { COUNT: count, BLOCK: waitMs }) as Promise<{ messages: { id: string; message: Record<string, string> }[] }[] | null>,
      ]);
      return { held: (held ?? []).length > 0, entries: (found?.[0]?.messages ?? []).map(entry) };
    },
    close: () => client.destroy(),
  };
}

export async function withIoredis(module: { Redis: typeof import('ioredis').Redis }, url: string, stream: string): Promise<StreamReader> {
  const client = new module.Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
    connectTimeout: SILENCE_MS,
    commandTimeout: SILENCE_MS,
    maxRetriesPerRequest: 0,
  });
  client.on('error', () => {}); // every command fails with it
  await client.connect();
  const entry = ([id, fields]: [string, string[]]): Entry => ({ id, data: fields[fields.indexOf('data') + 1] ?? '{}' });
  return {
    async oldest() {
      return ((await client.xrange(stream, '-', '+', 'COUNT', 1)) ?? []).map(entry)[0];
    },
    async after(id, count, waitMs) {
      const [held, found] = await Promise.all([
        client.xrange(stream, id, id),
        client.xread('COUNT', count, 'BLOCK', waitMs, 'STREAMS', stream, id),
      ]);
      return { held: (held ?? []).length > 0, entries: (found?.[0]?.[1] ?? []).map(entry) };
    },
    close: () => client.disconnect(),
  };
}
