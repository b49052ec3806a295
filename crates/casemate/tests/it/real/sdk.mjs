// The official TypeScript SDKs, in one form: 1.x for the legacy era, 2.x for the modern one.

import { createRequire } from 'node:module';

export const wish = JSON.parse(process.argv[2]);
// The packages lie in the cache, not above this file.
const require = createRequire(`${wish.packages}/`);

function legacy() {
  const { Client } = require('@modelcontextprotocol/sdk/client/index.js');
  const { StdioClientTransport } = require('@modelcontextprotocol/sdk/client/stdio.js');
  const { StreamableHTTPClientTransport } = require('@modelcontextprotocol/sdk/client/streamableHttp.js');
  const { CreateMessageRequestSchema, ElicitRequestSchema } = require('@modelcontextprotocol/sdk/types.js');
  return {
    make: options => new Client({ name: 'typescript-1', version: '1' }, options),
    onQuestion: (client, answer) => client.setRequestHandler(ElicitRequestSchema, answer),
    onSampling: (client, answer) => client.setRequestHandler(CreateMessageRequestSchema, answer),
    call: (client, params, options) => client.callTool(params, undefined, options),
    StdioClientTransport,
    StreamableHTTPClientTransport,
  };
}

function modern() {
  const { Client, StreamableHTTPClientTransport } = require('@modelcontextprotocol/client');
  const { StdioClientTransport } = require('@modelcontextprotocol/client/stdio');
  // It probes, as a client does that does not know the server; or it knows what it wants and takes nothing else.
  const mode = wish.pinned ? { pin: '2026-07-28' } : 'auto';
  return {
    make: options => new Client({ name: 'typescript-2', version: '1' }, { ...options, versionNegotiation: { mode } }),
    onQuestion: (client, answer) => client.setRequestHandler('elicitation/create', answer),
    onSampling: (client, answer) => client.setRequestHandler('sampling/createMessage', answer),
    call: (client, params, options) => client.callTool(params, options),
    StdioClientTransport,
    StreamableHTTPClientTransport,
  };
}

export const sdk = { legacy, modern }[wish.era]();

function transport() {
  if (wish.command) {
    const [command, ...args] = wish.command;
    return new sdk.StdioClientTransport({ command, args, env: wish.env });
  }
  const headers = { Authorization: `Bearer ${wish.key}` };
  return new sdk.StreamableHTTPClientTransport(new URL(wish.url), { requestInit: { headers } });
}

// Connects a client, and says which revision it speaks.
export async function connect(client) {
  // 1.x tells the revision to its transport and nobody else.
  let revision;
  const wire = transport();
  const told = wire.setProtocolVersion?.bind(wire);
  wire.setProtocolVersion = version => {
    revision = version;
    told?.(version);
  };
  await client.connect(wire);
  return client.getNegotiatedProtocolVersion?.() ?? revision;
}
