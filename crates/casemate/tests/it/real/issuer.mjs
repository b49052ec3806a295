// A real issuer of tokens: oidc-provider (panva), with its own pages for logging in and for consent. It signs access tokens
// as JWTs for the resource that the client names (RFC 8707). New keys with every start: starting it anew on its port is a
// rotation. It prints its address once it listens.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const wish = JSON.parse(process.argv[2]);
const require = createRequire(`${wish.packages}/`);
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

function key(kind, options, alg, kid) {
  const { privateKey } = generateKeyPairSync(kind, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, kid, use: 'sig' };
}

const run = `${Date.now()}`;
const keys = [
  key('rsa', { modulusLength: 2048 }, 'RS256', `rsa-${run}`),
  key('ec', { namedCurve: 'P-256' }, 'ES256', `ec-${run}`),
  key('ed25519', {}, 'EdDSA', `ed-${run}`),
];

const server = createServer();
await new Promise(resolve => server.listen(wish.port, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'machine',
    client_secret: 'machine-secret',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
  }],
  cookies: { keys: ['for a test'] },
  // The SDKs register with the scopes that they know of then, and this issuer would hold them to those for ever.
  extraClientMetadata: {
    properties: ['any_scope'],
    validator: (_context, _name, _value, metadata) => { delete metadata.scope; },
  },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA'] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_context, resource) => ({
        scope: wish.scopes.join(' '),
        audience: resource,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: wish.algorithm } },
      }),
    },
  },
  jwks: { keys },
  scopes: wish.scopes,
  ttl: {
    AccessToken: () => 300,
    ClientCredentials: (_context, token) => (token.scope?.split(' ').includes('short') ? 1 : 300),
    Grant: () => 300,
    Interaction: () => 300,
    Session: () => 300,
  },
});
server.on('request', provider.callback());
console.log(JSON.stringify({ issuer }));
