// One refresh at a time: within the tab by sharing the promise, across tabs by a Web Lock. The tab
// that refreshes sends the others the new token, and tabs that waited for the lock use it instead
// of refreshing again.
import type { Environment } from './environment.js';
import { grantOf, type Grant, type SessionStore } from './session.js';
import type { Tabs } from './tabs.js';
import type { TokenAnswer } from './types.js';

/** How long to wait for that message: the lock may be granted before it arrives. */
const MESSAGE_LAG_MS = 150;

export interface RefresherParts {
  environment: Environment;
  store: SessionStore;
  tabs: Tabs;
  lockName: string;
  /** POST /refresh with the cookie. */
  ask: () => Promise<TokenAnswer>;
}

export class Refresher {
  private running: Promise<Grant> | null = null;

  constructor(private readonly parts: RefresherParts) {}

  /**
   * A grant whose token differs from `stale`. It is not put into the store: that is up to the
   * caller, as the session may have ended or changed meanwhile.
   */
  refresh(stale: string | null): Promise<Grant> {
    const newer = this.newerThan(stale);
    if (newer !== null) return Promise.resolve(newer);
    this.running ??= this.locked(stale).finally(() => {
      this.running = null;
    });
    return this.running;
  }

  private async locked(stale: string | null): Promise<Grant> {
    const { locks } = this.parts.environment;
    if (locks === undefined) return this.ask();
    const { lockName } = this.parts;
    const atOnce = await locks.request(lockName, { ifAvailable: true }, (lock) => (lock ? this.ask() : null));
    if (atOnce !== null) return atOnce;
    return locks.request(lockName, () => this.afterAnother(stale));
  }

  /** Another tab held the lock, so most likely it has refreshed already. */
  private async afterAnother(stale: string | null): Promise<Grant> {
    const known = this.newerThan(stale) ?? (await this.parts.tabs.nextToken(MESSAGE_LAG_MS));
    return known ?? this.ask();
  }

  private async ask(): Promise<Grant> {
    const grant = grantOf(await this.parts.ask());
    this.parts.tabs.tell({ type: 'token', grant });
    return grant;
  }

  private newerThan(stale: string | null): Grant | null {
    const { grant } = this.parts.store;
    return grant !== null && grant.accessToken !== stale ? grant : null;
  }
}
