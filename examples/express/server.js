// A service that accepts the auth service's access tokens. It verifies them by itself, refuses ended sessions as soon as
// it hears of them, and asks the auth service where it cannot know.
import express from 'express';
import { EndedSessions } from './ended-sessions.js';
import { AUTH_URL, Refused, verify } from './tokens.js';

const { PORT = '5001', REDIS_URL = 'redis://localhost:6379' } = process.env;
const endedSessions = new EndedSessions();
endedSessions.follow(REDIS_URL);

/** Asks the auth service whether the session is live; to it that is no activity of the person. */
async function ask(token, claims) {
  const asked = Date.now();
  const answer = await fetch(`${AUTH_URL}/session`, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(2000),
  });
  const body = await answer.json();
  if (answer.status === 401) throw new Refused(body.code);
  if (!answer.ok) throw new Error(`the auth service answers ${answer.status}`);
  endedSessions.confirm(claims, asked);
}

/** Lets a request pass that carries a good token of a live session. `always`: asks the auth service whatever is known. */
const signedIn = ({ always = false } = {}) => async (request, _response, next) => {
  const [, token] = /^Bearer +(\S+)$/i.exec(request.get('authorization') ?? '') ?? [];
  if (!token) throw new Refused('token_missing');
  const claims = await verify(token);
  const standing = endedSessions.standing(claims);
  if (standing === 'ended') throw new Refused('session_ended');
  if (always || standing === 'unsure') await ask(token, claims);
  request.caller = { user: claims.sub, session: claims.sid, role: claims.role };
  next();
};

const app = express();
app.get('/health', (_request, response) => response.json({ status: 'ok', eventsUpToDate: endedSessions.upToDate }));
app.get('/orders', signedIn(), (request, response) => response.json({ caller: request.caller, orders: [] }));
// Here a session that ended a moment ago would cost more than a question.
app.post('/payments', signedIn({ always: true }), (request, response) => {
  response.status(201).json({ caller: request.caller });
});
app.use((error, _request, response, _next) => {
  if (error instanceof Refused) {
    // RFC 6750: who sent no token is told no error code.
    const challenge = error.code === 'token_missing' ? 'Bearer' : 'Bearer error="invalid_token"';
    return response.status(401).set('www-authenticate', challenge).json({ code: error.code });
  }
  // Whether the session is live could not be found out. That is no reason to let anybody in, nor to sign anybody out.
  console.error(`cannot tell: ${error.message}`);
  response.status(503).set('retry-after', '1').json({ code: 'unavailable' });
});
const server = app.listen(Number(PORT), '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(`listening on 127.0.0.1:${server.address().port}`);
});
