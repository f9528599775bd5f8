// The user's live sessions as this tab knows them: replaced by each snapshot, kept up to date by
// the events in between.
import type { Device, DeviceMessage } from './types.js';

export class DeviceList {
  private readonly byId = new Map<string, Device>();

  /** This browser first, then the most recently active. */
  all(): Device[] {
    return [...this.byId.values()].sort(
      (a, b) => Number(b.current) - Number(a.current) || Date.parse(b.lastActivity) - Date.parse(a.lastActivity),
    );
  }

  get(id: string | undefined): Device | null {
    return (id !== undefined && this.byId.get(id)) || null;
  }

  replace(sessions: Device[], ownId: string | null): void {
    this.byId.clear();
    for (const session of sessions) this.put(session, ownId);
  }

  put(session: Device, ownId: string | null): void {
    this.byId.set(session.id, { ...session, current: session.id === ownId });
  }

  /** Whether there was one to remove. */
  remove(id: string): boolean {
    return this.byId.delete(id);
  }

  /** Applies an event about some device; returns whether the list changed. */
  apply(message: DeviceMessage, ownId: string | null): boolean {
    if (isEnding(message)) return message.sessionId !== undefined && this.remove(message.sessionId);
    if (message.session === undefined) return false;
    this.put(message.session, ownId);
    return true;
  }

  touch(id: string | null, lastActivity: string, idleExpiresAt: string): void {
    const device = id === null ? undefined : this.byId.get(id);
    if (device) this.byId.set(device.id, { ...device, lastActivity, idleExpiresAt });
  }

  clear(): void {
    this.byId.clear();
  }
}

export function isEnding(message: DeviceMessage): boolean {
  return message.type === 'session.deleted' || message.type === 'session.terminated';
}
