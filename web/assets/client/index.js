// The package's public API: what an application may import. Everything else in this directory is
// internal. Reading order: client, account, session, refresh, authorized, live, transports,
// activity, idle.
export { createAuthClient } from './client.js';
export { AuthError, isSessionOver, reasonOf } from './errors.js';
