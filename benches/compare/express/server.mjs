// What scripts/bench compares the service with: `GET /session` and `POST /activity` of an Express service
// that stores its sessions in PostgreSQL. It is tuned: no unnecessary layer, prepared statements, a pool,
// one statement each. It checks the same tokens, and reads and writes the same tables.
import express from 'express';
import jwt from 'jsonwebtoken';
import pg from 'pg';

const { PORT, DATABASE_URL, JWT_ACCESS_SECRET } = process.env;
const IDLE_MS = 5 * 60 * 1000;
const pool = new pg.Pool({ connectionString: DATABASE_URL, max: 10 });
// Milliseconds, in a column of eight bytes.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

const LOOK = {
  name: 'look',
  text: `SELECT id, device_name, browser, os, device_type, user_agent, ip_address, created_at, last_activity, expires_at
         FROM sessions WHERE user_id = $1 AND id = $2 AND token = $3 AND ended_at IS NULL`,
};
const TOUCH = {
  name: 'touch',
  text: `UPDATE sessions SET last_activity = GREATEST(last_activity, $4)
         WHERE user_id = $1 AND id = $2 AND token = $3 AND ended_at IS NULL AND last_activity > $4::bigint - ${IDLE_MS}
         RETURNING last_activity, expires_at`,
};

function claims(request) {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ');
  if (scheme !== 'Bearer') return null;
  try {
    return jwt.verify(token, JWT_ACCESS_SECRET, { algorithms: ['HS256'] });
  } catch {
    return null;
  }
}

const time = (millis) => new Date(millis).toISOString();
const refuse = (response) => response.status(401).json({ code: 'token_invalid' });

const app = express();
app.disable('x-powered-by');
app.disable('etag');

app.get('/session', async (request, response) => {
  const caller = claims(request);
  if (!caller) return refuse(response);
  const { rows } = await pool.query({ ...LOOK, values: [caller.sub, caller.sid, caller.stk] });
  const [found] = rows;
  const now = Date.now();
  const idleExpiresAt = found && Math.min(found.last_activity + IDLE_MS, found.expires_at);
  if (!found || idleExpiresAt <= now) return refuse(response);
  response.json({
    session: {
      id: found.id,
      deviceInfo: {
        name: found.device_name,
        browser: found.browser,
        os: found.os,
        deviceType: found.device_type,
        userAgent: found.user_agent,
      },
      ipAddress: found.ip_address,
      createdAt: time(found.created_at),
      lastActivity: time(found.last_activity),
      expiresAt: time(found.expires_at),
      idleExpiresAt: time(idleExpiresAt),
      current: true,
    },
    idleExpiresAt: time(idleExpiresAt),
    remainingSeconds: Math.floor((idleExpiresAt - now) / 1000),
  });
});

app.post('/activity', async (request, response) => {
  const caller = claims(request);
  if (!caller) return refuse(response);
  const { rows } = await pool.query({ ...TOUCH, values: [caller.sub, caller.sid, caller.stk, Date.now()] });
  const [touched] = rows;
  if (!touched) return refuse(response);
  const idleExpiresAt = Math.min(touched.last_activity + IDLE_MS, touched.expires_at);
  response.json({ lastActivity: time(touched.last_activity), idleExpiresAt: time(idleExpiresAt) });
});

app.get('/health', (_request, response) => response.json({ status: 'ok' }));
app.listen(Number(PORT), '127.0.0.1');
