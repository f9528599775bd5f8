// Sign-up, login, list, terminate and a refusal, through the types of openapi-typescript; and what a later service may say.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import createClient from 'openapi-fetch';
import type { components, paths } from './generated.js';

const client = createClient<paths>({ baseUrl: process.env['AUTH_URL'] ?? '' });
const person = { email: 'node@example.com', password: 'a long quiet evening' };
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

const laptop = (await client.POST('/signup', { body: { name: 'Node', ...person } })).data;
const phone = (await client.POST('/login', { body: { ...person, deviceName: 'Phone' } })).data;
assert.ok(laptop && phone);
assert.ok('accessToken' in laptop);
const list = await client.GET('/sessions', bearer(phone.accessToken));
assert.equal(list.data?.sessions.length, 2);
const ended = await client.DELETE('/sessions/{id}', { params: { path: { id: laptop.session.id } }, ...bearer(phone.accessToken) });
assert.equal(ended.response.status, 204);
const refused = await client.GET('/session', bearer(laptop.accessToken));
assert.equal(refused.error?.code, 'session_terminated');

// What a later service may say. None of these compiles where the document has a closed list of values.
const later = createClient<paths>({ baseUrl: process.env['FUTURE_URL'] ?? '' });
const code: components['schemas']['ProblemCode'] = 'from_the_future';
const role: components['schemas']['Role'] = 'GUARDIAN';
const deviceType: components['schemas']['DeviceType'] = 'hologram';
assert.equal((await later.GET('/session', bearer('any'))).error?.code, code);
assert.equal((await later.GET('/me', bearer('any'))).data?.user.role, role);
assert.equal((await later.GET('/sessions', bearer('any'))).data?.sessions[0]?.deviceInfo.deviceType, deviceType);
const message: components['schemas']['DeviceMessage'] = JSON.parse(readFileSync(process.env['FUTURE_MESSAGE'] ?? '', 'utf8'));
const unknown: typeof message = { ...message, type: 'session.frozen', reason: 'cold' };
assert.deepEqual(message, unknown);
console.log('ok');
