// A service that accepts the auth service's access tokens, with Express.
import { createVerifier } from 'auth-service-verifier';
import { requireSession } from 'auth-service-verifier/express';
import express from 'express';

const {
  PORT = '5001', AUTH_URL = 'http://localhost:4001', REDIS_URL = 'redis://localhost:6379',
  JWT_ISSUER = 'auth-service', JWT_AUDIENCE, JWT_ACCESS_SECRET, AUTH_API_KEY, REVOCATIONS_URL,
} = process.env;

const verifier = createVerifier({
  issuer: JWT_ISSUER,
  ...(JWT_AUDIENCE && { audience: JWT_AUDIENCE }),
  ...(JWT_ACCESS_SECRET ? { secret: JWT_ACCESS_SECRET } : { jwksUrl: `${AUTH_URL}/.well-known/jwks.json` }),
  // Session endings are followed over HTTP if there is an API key, otherwise over Redis.
  ...(AUTH_API_KEY ? { apiKey: AUTH_API_KEY, revocationsUrl: REVOCATIONS_URL } : { redisUrl: REDIS_URL }),
  serviceUrl: AUTH_URL,
});
verifier.on('ended', ({ sessionId, reason }) => console.log(`ended: ${sessionId} (${reason})`));

const app = express();
const view = ({ userId, sessionId, role }) => ({ user: userId, session: sessionId, role });
app.get('/health', (_request, response) => response.json({ status: 'ok', eventsUpToDate: verifier.status.upToDate }));
app.get('/orders', requireSession(verifier), (request, response) => {
  response.json({ caller: view(request.auth), orders: [] });
});
// Accepting a session that has just ended would cost more here than a query to the auth service.
app.post('/payments', requireSession(verifier, { exact: true }), (request, response) => {
  response.status(201).json({ caller: view(request.auth) });
});
const server = app.listen(Number(PORT), '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(`listening on 127.0.0.1:${server.address().port}`);
});
