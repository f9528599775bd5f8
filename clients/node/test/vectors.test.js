// Every verifier gives the same results for the same tokens.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { AuthError, createVerifier } from '../dist/index.js';

const file = JSON.parse(await readFile(new URL('../../vectors.json', import.meta.url), 'utf8'));
let server;
let verifiers;

before(async () => {
  server = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(file.jwks));
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const { issuer, audience } = file;
  const make = (keys) => createVerifier({ issuer, audience, onUnsure: 'accept', ...keys });
  verifiers = {
    secret: make({ secret: file.secret }),
    secrets: make({ secret: file.secrets }),
    jwks: make({ jwksUrl: `http://127.0.0.1:${server.address().port}/` }),
  };
});

after(() => {
  Object.values(verifiers).forEach((verifier) => verifier.close());
  server.close();
});

for (const { name, verify, token, accepted, status, code } of file.vectors) {
  test(name, async () => {
    const checked = verifiers[verify].verify(token);
    if (accepted) {
      const identity = await checked;
      assert.equal(identity.sessionId, '01a20a5b-847b-755a-8579-4e203a2758dd');
      return;
    }
    await assert.rejects(checked, (error) => {
      assert.ok(error instanceof AuthError, error);
      assert.deepEqual([error.status, error.code, error.wwwAuthenticate], [status, code, 'Bearer error="invalid_token"']);
      return true;
    });
  });
}
