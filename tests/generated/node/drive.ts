// Sign-up, login, list, terminate and a refusal, through the types of openapi-typescript.
import assert from 'node:assert/strict';
import createClient from 'openapi-fetch';
import type { paths } from './generated.js';

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
console.log('ok');
