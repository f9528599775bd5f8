// The service's wire types, as far as this client reads them. Nothing here runs.

export interface DeviceInfo {
  name: string | null;
  browser: string | null;
  os: string | null;
  deviceType: string | null;
  userAgent: string | null;
}

/** One live session of the user, which users call a device. Times are RFC 3339. */
export interface Device {
  id: string;
  deviceInfo: DeviceInfo;
  ipAddress: string | null;
  createdAt: string;
  lastActivity: string;
  expiresAt: string;
  idleExpiresAt: string;
  /** Whether it is this browser's session. */
  current: boolean;
}

export interface User {
  id: string;
  name: string;
  email: string;
  role: string;
  emailVerified?: boolean;
  emailVerifiedAt?: string | null;
  lastActivityAt: string | null;
  createdAt: string;
  updatedAt: string;
}

export interface ServiceConfig {
  sessionTimeoutMinutes: number;
  sessionLifetimeHours: number;
  maxSessionsPerUser: number;
  maxSessionsPolicy: string;
  accessTokenExpirySeconds: number;
  refreshTokenExpirySeconds: number;
  passwordMinLength: number;
  /** What is enabled: `mail`, `verified_email`, `totp`, `passkeys`, `remember`, `account_deletion`. */
  features?: string[];
}

/** A mail with a code is on its way. `expiresIn` is in seconds. */
export interface MailRequest {
  requestId: string;
  expiresIn: number;
}

export interface Passkey {
  id: string;
  name: string | null;
  addedAt: string;
  lastUsedAt: string | null;
  synced: boolean;
}

export interface Factors {
  password: boolean;
  totp: { addedAt: string; lastUsedAt: string | null } | null;
  recoveryCodes: { left: number } | null;
  passkeys: Passkey[];
}

export interface TotpSecret {
  secret: string;
  otpauthUri: string;
  expiresIn: number;
}

/** What login, signup and refresh have in common. `expiresIn` is in seconds. */
export interface TokenAnswer {
  accessToken: string;
  expiresIn: number;
  session: Device;
}

export interface SignInAnswer extends TokenAnswer {
  user: User;
  evictedSessionIds?: string[];
  recoveryCodes?: string[];
}

/** A message on the live connection. */
export interface DeviceMessage {
  type: string;
  sessionId?: string;
  /** Why a session ended. */
  reason?: string;
  session?: Device;
  /** Every live session; only in a `snapshot`. */
  sessions?: Device[];
  /** Seconds until the idle timeout; in `session.expiring`, and in the snapshots that polling creates. */
  remainingSeconds?: number;
  /** The session that ended this one, if it was ended by a device. */
  terminatedBySessionId?: string;
  /** Whether `sessionId` is the receiver's own. */
  current?: boolean;
  timestamp?: string;
}
