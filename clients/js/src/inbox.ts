// What the service reports about this user's sessions, and what each message means here: the list
// of devices, the idle deadline, the end of this session.
import { DeviceList, isEnding } from './devices.js';
import { reasonOf, type SignedOutReason } from './errors.js';
import type { IdleWatch } from './idle.js';
import type { SignedOutDetail } from './session.js';
import type { Device, DeviceMessage, ServiceConfig } from './types.js';

export interface InboxParts {
  ownId: () => string | null;
  idle: IdleWatch;
  warningSeconds: number;
  changed: (devices: Device[]) => void;
  ended: (reason: SignedOutReason, detail: Partial<SignedOutDetail>) => void;
}

export class Inbox {
  /** The service's clock minus this machine's, in milliseconds. */
  clockOffset = 0;
  private readonly devices = new DeviceList();
  private config: ServiceConfig | null = null;

  constructor(private readonly parts: InboxParts) {}

  heard(message: DeviceMessage): void {
    if (message.type === 'snapshot') return this.snapshot(message);
    const own = message.current === true || message.sessionId === this.parts.ownId();
    if (own && isEnding(message)) return this.ended(message);
    if (own && message.type === 'session.expiring') {
      this.parts.idle.warn(message.remainingSeconds ?? this.parts.warningSeconds);
    }
    if (own && message.type === 'session.extended') this.parts.idle.extend();
    if (this.devices.apply(message, this.parts.ownId())) this.tell();
  }

  replace(sessions: Device[]): Device[] {
    this.devices.replace(sessions, this.parts.ownId());
    this.tell();
    return this.devices.all();
  }

  remove(id: string): void {
    if (this.devices.remove(id)) this.tell();
  }

  removeOthers(): void {
    const own = this.own();
    this.replace(own === null ? [] : [own]);
  }

  /** The service has accepted an activity report; both times are by its clock. */
  active(lastActivity: string, idleExpiresAt: string): void {
    this.devices.touch(this.parts.ownId(), lastActivity, idleExpiresAt);
    this.tell();
    this.observe((Date.parse(idleExpiresAt) - Date.parse(lastActivity)) / 1000);
  }

  /** A deadline that is learned late or again: if it is already near, it is reported now. */
  configured(config: ServiceConfig): void {
    this.config = config;
    const own = this.own();
    if (own !== null) this.observe((Date.parse(own.idleExpiresAt) - Date.now() - this.clockOffset) / 1000);
  }

  clear(): void {
    this.devices.clear();
    this.parts.idle.clear();
  }

  private snapshot(message: DeviceMessage): void {
    const sent = Date.parse(message.timestamp ?? '');
    if (Number.isFinite(sent)) this.clockOffset = sent - Date.now();
    this.replace(message.sessions ?? []);
    const own = this.own();
    if (own !== null) this.observe(message.remainingSeconds ?? (Date.parse(own.idleExpiresAt) - sent) / 1000);
  }

  private ended(message: DeviceMessage): void {
    const reason = message.reason ?? (message.type === 'session.terminated' ? 'terminated' : undefined);
    this.parts.ended(reasonOf(reason), { by: this.devices.get(message.terminatedBySessionId) });
  }

  private observe(remainingSeconds: number): void {
    if (!Number.isFinite(remainingSeconds)) return;
    this.parts.idle.observe(remainingSeconds, this.config === null ? null : this.config.sessionTimeoutMinutes * 60);
  }

  private own(): Device | null {
    return this.devices.get(this.parts.ownId() ?? undefined);
  }

  private tell(): void {
    if (this.parts.ownId() !== null) this.parts.changed(this.devices.all());
  }
}
