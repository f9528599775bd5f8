// Node: jose, jsonwebtoken, express-jwt, express-oauth2-jwt-bearer; oauth4webapi queries the service
// (RFC 8414, 7662, 7009).
import { createInterface } from 'node:readline';
import { expressjwt } from 'express-jwt';
import { auth } from 'express-oauth2-jwt-bearer';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import jsonwebtoken from 'jsonwebtoken';
import jwksRsa from 'jwks-rsa';
import * as oauth from 'oauth4webapi';

const missing = ['ISSUER', 'AUDIENCE', 'API_KEY_ID', 'API_KEY_SECRET'].filter((name) => !process.env[name]);
if (missing.length > 0) {
  console.error(`not set: ${missing.join(', ')}; see examples/libraries/README.md`);
  process.exit(1);
}
const { ISSUER: issuer, AUDIENCE: audience, API_KEY_ID: id, API_KEY_SECRET: secret } = process.env;
const jwksUri = `${issuer}/.well-known/jwks.json`;

const keys = createRemoteJWKSet(new URL(jwksUri));
const jose = (token) => jwtVerify(token, keys, { issuer, audience, algorithms: ['ES256'], typ: 'at+jwt' });

const client = jwksRsa({ jwksUri, cache: true, rateLimit: true });
const withJsonwebtoken = async (token) => {
  const { header } = jsonwebtoken.decode(token, { complete: true });
  if (header.typ?.toLowerCase() !== 'at+jwt') throw new Error('not an access token'); // the library does not check it
  const key = (await client.getSigningKey(header.kid)).getPublicKey();
  return jsonwebtoken.verify(token, key, { issuer, audience, algorithms: ['ES256'] });
};

const middleware = (handler) => (token) => new Promise((accept, refuse) => {
  const headers = { authorization: `Bearer ${token}`, host: 'orders.example' };
  const request = { headers, method: 'GET', protocol: 'https', originalUrl: '/', query: {}, is: () => false, get: (name) => headers[name.toLowerCase()] };
  handler(request, {}, (error) => (error ? refuse(error) : accept()));
});
const withExpressJwt = middleware(expressjwt({
  secret: jwksRsa.expressJwtSecret({ jwksUri, cache: true, rateLimit: true }),
  issuer,
  audience,
  algorithms: ['ES256'],
  // The library does not check `typ`.
  isRevoked: (_request, { header }) => header.typ?.toLowerCase() !== 'at+jwt',
}));
// `strict` checks `typ` and the claims of RFC 9068.
const withOauth2JwtBearer = middleware(auth({ issuerBaseURL: issuer, audience, tokenSigningAlg: 'ES256', strict: true }));

const insecure = { [oauth.allowInsecureRequests]: true }; // for http: on this machine
const discovered = await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oauth2', ...insecure });
const server = await oauth.processDiscoveryResponse(new URL(issuer), discovered);
const introspect = async (token) => {
  const answer = await oauth.introspectionRequest(server, { client_id: id }, oauth.ClientSecretBasic(secret), token, insecure);
  const { active } = await oauth.processIntrospectionResponse(server, { client_id: id }, answer);
  if (!active) throw new Error('not active');
};
const revoke = async (token) => {
  const answer = await oauth.revocationRequest(server, { client_id: id }, oauth.None(), token, insecure);
  await oauth.processRevocationResponse(answer);
};

const libraries = {
  oauth4webapi: introspect,
  jose,
  jsonwebtoken: withJsonwebtoken,
  'express-jwt': withExpressJwt,
  'express-oauth2-jwt-bearer': withOauth2JwtBearer,
};
for await (const line of createInterface({ input: process.stdin })) {
  const [token, command] = line.split(' ').reverse();
  if (command === 'revoke') {
    console.log(`oauth4webapi ${await revoke(token).then(() => 'accepted', (error) => `refused ${error.message}`)}`);
    continue;
  }
  for (const [name, verify] of Object.entries(libraries)) {
    const verdict = await verify(token).then(() => 'accepted', (error) => `refused ${error.message}`);
    console.log(`${name} ${verdict.split('\n')[0]}`);
  }
}
