// The browser's APIs: what several tabs share (locks, channels), and per tab the sockets, streams
// and events that a test drives by hand.
import type { Environment } from '../../src/environment.js';

/** What the tabs of one browser have in common. */
export class FakeBrowser {
  readonly channels = new Set<FakeChannel>();
  private held: Promise<unknown> | null = null;

  readonly locks = {
    request: async (_name: string, ...rest: unknown[]) => {
      const work = rest.at(-1) as (lock: object | null) => unknown;
      const options = rest.length > 1 ? (rest[0] as { ifAvailable?: boolean }) : {};
      if (options.ifAvailable && this.held !== null) return work(null);
      while (this.held !== null) await this.held.catch(() => undefined);
      const run = Promise.resolve(work({}));
      const held = run.then(() => undefined, () => undefined);
      this.held = held;
      try {
        return await run;
      } finally {
        this.held = null;
      }
    },
  } as unknown as LockManager;

  get BroadcastChannel(): typeof BroadcastChannel {
    const browser = this;
    return class extends FakeChannel {
      constructor(name: string) {
        super(browser, name);
      }
    } as unknown as typeof BroadcastChannel;
  }
}

/** Delivers like the real one: later, as copies, and not to the sender. */
class FakeChannel {
  onmessage: ((event: { data: unknown }) => void) | null = null;

  constructor(
    private readonly browser: FakeBrowser,
    readonly name: string,
  ) {
    browser.channels.add(this);
  }

  postMessage(data: unknown): void {
    const copy = structuredClone(data);
    setTimeout(() => {
      for (const other of this.browser.channels) if (other !== this && other.name === this.name) other.onmessage?.({ data: copy });
    }, 1);
  }

  close(): void {
    this.browser.channels.delete(this);
  }
}

export class FakeSocket {
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  closedByPage = false;
  readonly url: string;

  constructor(url: string | URL) {
    this.url = String(url);
  }

  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  end(code = 1006, reason = ''): void {
    this.onclose?.({ code, reason });
  }

  close(): void {
    this.closedByPage = true;
  }
}

export class FakeSource extends EventTarget {
  onerror: (() => void) | null = null;
  closedByPage = false;
  readonly url: string;

  constructor(url: string | URL) {
    super();
    this.url = String(url);
  }

  say(message: { type: string }): void {
    this.dispatchEvent(new MessageEvent(message.type, { data: JSON.stringify(message) }));
  }

  close(): void {
    this.closedByPage = true;
  }
}

/** Calls its listeners with a trusted event, as real user input would. */
export class FakeInput {
  visibilityState = 'visible';
  private readonly listeners = new Map<string, Set<(event: Event) => void>>();

  addEventListener(type: string, listener: (event: Event) => void): void {
    this.listeners.set(type, (this.listeners.get(type) ?? new Set()).add(listener));
  }

  removeEventListener(type: string, listener: (event: Event) => void): void {
    this.listeners.get(type)?.delete(listener);
  }

  fire(type: string, isTrusted = true): void {
    for (const listener of [...(this.listeners.get(type) ?? [])]) listener({ type, isTrusted } as Event);
  }
}

/** One tab: its environment, and what a test can do to it. */
export class FakeTab {
  readonly window = new FakeInput();
  readonly document = new FakeInput();
  readonly sockets: FakeSocket[] = [];
  readonly sources: FakeSource[] = [];

  constructor(readonly browser = new FakeBrowser()) {}

  get socket(): FakeSocket {
    return this.sockets.at(-1)!;
  }

  get source(): FakeSource {
    return this.sources.at(-1)!;
  }

  environment(fetch: typeof globalThis.fetch): Partial<Environment> {
    const { sockets, sources } = this;
    return {
      fetch,
      href: 'https://app.test/page',
      locks: this.browser.locks,
      BroadcastChannel: this.browser.BroadcastChannel,
      window: this.window as unknown as EventTarget,
      document: this.document as unknown as Environment['document'],
      random: () => 0.5,
      WebSocket: class extends FakeSocket {
        constructor(url: string | URL) {
          super(url);
          sockets.push(this);
        }
      } as unknown as typeof WebSocket,
      EventSource: class extends FakeSource {
        constructor(url: string | URL) {
          super(url);
          sources.push(this);
        }
      } as unknown as typeof EventSource,
    };
  }
}
