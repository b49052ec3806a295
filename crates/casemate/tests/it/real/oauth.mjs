// The official TypeScript SDK as a client that knows nothing but the endpoint: it is refused, finds the issuer, registers,
// logs in (as a person would, in a browser), and calls. Then it needs a scope that it does not have, and gets it.

import assert from 'node:assert';
import { createRequire } from 'node:module';

const wish = JSON.parse(process.argv[2]);
const require = createRequire(`${wish.packages}/`);
const sdk = wish.era === 'modern'
  ? require('@modelcontextprotocol/client')
  : {
      ...require('@modelcontextprotocol/sdk/client/index.js'),
      ...require('@modelcontextprotocol/sdk/client/streamableHttp.js'),
      ...require('@modelcontextprotocol/sdk/client/auth.js'),
    };

const REDIRECT = 'http://127.0.0.1:9/callback';
const asked = [];
const kept = {};
const provider = {
  redirectUrl: REDIRECT,
  clientMetadata: {
    client_name: 'a test',
    application_type: 'native',
    redirect_uris: [REDIRECT],
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code'],
    response_types: ['code'],
  },
  clientInformation: () => kept.client,
  saveClientInformation: client => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: tokens => { kept.tokens = tokens; },
  saveCodeVerifier: verifier => { kept.verifier = verifier; },
  codeVerifier: () => kept.verifier,
  discoveryState: () => kept.discovery,
  saveDiscoveryState: discovery => { kept.discovery = discovery; },
  redirectToAuthorization: url => {
    kept.url = url;
    asked.push({ scope: url.searchParams.get('scope'), resource: url.searchParams.get('resource') });
  },
};

// What a person does in a browser: fills in the forms of the issuer until it sends them back.
async function browse(url) {
  const cookies = new Map();
  let options = {};
  for (let step = 0; step < 20; step += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(url, { ...options, redirect: 'manual', headers: { ...options.headers, cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [pair] = line.split(';');
      cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
    }
    options = {};
    if (answer.status >= 300 && answer.status < 400) {
      url = new URL(answer.headers.get('location'), url);
      if (url.href.startsWith(REDIRECT)) return url.searchParams;
      continue;
    }
    const page = await answer.text();
    assert.strictEqual(answer.status, 200, page);
    url = new URL(/action="([^"]+)"/.exec(page)[1], url);
    const form = new URLSearchParams({ prompt: /name="prompt" value="([^"]+)"/.exec(page)[1] });
    if (form.get('prompt') === 'login') {
      form.set('login', 'alice');
      form.set('password', 'any');
    }
    options = { method: 'POST', body: form, headers: { 'content-type': 'application/x-www-form-urlencoded' } };
  }
  throw new Error('the issuer does not let go');
}

async function authorize(transport) {
  const back = await browse(kept.url);
  assert(back.get('code'), `${back}`);
  if (wish.era === 'modern') await transport.finishAuth(back);
  else await transport.finishAuth(back.get('code'));
}

const negotiation = wish.era === 'modern' ? { versionNegotiation: { mode: 'auto' } } : {};
const open = () => new sdk.StreamableHTTPClientTransport(new URL(wish.url), { authProvider: provider });
const make = () => new sdk.Client({ name: 'oauth', version: '1' }, { capabilities: {}, ...negotiation });

let transport = open();
let client = make();
await assert.rejects(client.connect(transport), sdk.UnauthorizedError);
await authorize(transport);

transport = open();
client = make();
await client.connect(transport);
const tools = (await client.listTools()).tools.map(tool => tool.name);
const call = (name, args) => client.callTool({ name, arguments: args });
const echo = (await call('fixture__echo', { message: 'hi' })).content[0].text;

// Not in the first scope: the SDK goes to the issuer again by itself.
await assert.rejects(call('fixture__test_simple_text', {}), sdk.UnauthorizedError);
await authorize(transport);
const added = (await call('fixture__test_simple_text', {})).content[0].text;
const more = (await client.listTools()).tools.length;
await client.close();

console.log(JSON.stringify({ asked, tools, echo, added, more }));
