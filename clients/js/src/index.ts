// The package's public API: what an application may import. Everything else in this directory is
// internal. Reading order: client, account, session, refresh, authorized, live, transports,
// activity, idle.
export { createAuthClient } from './client.js';
export type { Account, Proof } from './account.js';
export type { AuthClient, AuthClientOptions, Credentials, Registration, SignIn, StepAnswer } from './client.js';
export { AuthError, isSessionOver, reasonOf } from './errors.js';
export type { FieldError, LoginStep, SignedOutReason } from './errors.js';
export type { ConnectionStatus } from './live.js';
export type { SignedOutDetail } from './session.js';
export type { Environment } from './environment.js';
export type {
  Device, DeviceInfo, DeviceMessage, Factors, MailRequest, Passkey, ServiceConfig, TotpSecret, User,
} from './types.js';
