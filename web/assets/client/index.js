// The package's public face: what an application may import. Everything else in this folder is internal.
// Reading order: client, account, session, refresh, authorized, live, transports, activity, idle.
export { createAuthClient } from './client.js';
export { AuthError, isSessionOver, reasonOf } from './errors.js';
