// The other tabs of this browser, over BroadcastChannel. Messages stay within the origin and are
// never stored. Without the API each tab works alone, and the service's grace period for two
// refreshes at once keeps them all signed in.
import { Emitter } from './emitter.js';
import type { Environment } from './environment.js';
import type { Grant, TabMessage } from './session.js';

export class Tabs {
  private readonly channel: BroadcastChannel | undefined;
  private readonly messages = new Emitter<[TabMessage]>();

  readonly onMessage = this.messages.on;

  constructor(environment: Environment, name: string) {
    if (environment.BroadcastChannel === undefined) return;
    this.channel = new environment.BroadcastChannel(name);
    this.channel.onmessage = (event: MessageEvent) => this.messages.emit(event.data as TabMessage);
  }

  tell(message: TabMessage): void {
    this.channel?.postMessage(message);
  }

  /** The next message with a token, or null when none arrives in time. */
  nextToken(withinMs: number): Promise<Grant | null> {
    return new Promise((resolve) => {
      const finish = (grant: Grant | null) => {
        clearTimeout(timer);
        off();
        resolve(grant);
      };
      const timer = setTimeout(finish, withinMs, null);
      const off = this.onMessage((message) => {
        if (message.type === 'token') finish(message.grant);
      });
    });
  }

  close(): void {
    this.channel?.close();
  }
}
