// Real servers through the official TypeScript SDKs: see xtask/src/suite/peers.rs, which starts this.
import { createRequire } from 'node:module';

const plan = JSON.parse(process.argv[2]);
// This file lies outside of the folder that the packages are installed into.
const packages = createRequire(`${plan.packages}/package.json`);

async function visit(what, client, transport) {
  await client.connect(transport);
  const names = new Set();
  let cursor;
  do {
    const page = await client.listTools({ cursor });
    for (const tool of page.tools) names.add(tool.name);
    cursor = page.nextCursor;
  } while (cursor);
  for (const call of plan.calls) {
    if (!names.has(call.tool)) throw new Error(`${call.tool} is not among ${[...names].sort()}`);
    const result = await client.callTool({ name: call.tool, arguments: call.arguments });
    const text = result.content.map((part) => part.text ?? '').join(' ');
    if (result.isError || !text.includes(call.contains)) throw new Error(`${call.tool}: ${text}`);
  }
  await client.close();
  console.log(`${what}: ${names.size} tools, ${plan.calls.length} calls`);
}

const http = (Transport) =>
  new Transport(new URL(plan.url), { requestInit: { headers: { Authorization: `Bearer ${plan.key}` } } });
const stdio = (Transport) =>
  new Transport({ command: plan.connect[0], args: plan.connect.slice(1), env: { CASEMATE_HOME: plan.home } });
const self = { name: 'casemate-xtask', version: '1.0.0' };

{
  const { Client } = packages('@modelcontextprotocol/sdk/client/index.js');
  const { StreamableHTTPClientTransport } = packages('@modelcontextprotocol/sdk/client/streamableHttp.js');
  const { StdioClientTransport } = packages('@modelcontextprotocol/sdk/client/stdio.js');
  await visit('TypeScript SDK 1 over http', new Client(self), http(StreamableHTTPClientTransport));
  await visit('TypeScript SDK 1 over stdio', new Client(self), stdio(StdioClientTransport));
}
{
  const { Client, StreamableHTTPClientTransport } = packages('@modelcontextprotocol/client');
  const { StdioClientTransport } = packages('@modelcontextprotocol/client/stdio');
  for (const [era, mode] of [['legacy', 'legacy'], ['auto', 'auto'], ['2026-07-28', { pin: '2026-07-28' }]]) {
    const client = () => new Client(self, { versionNegotiation: { mode } });
    await visit(`TypeScript SDK 2 over http, ${era}`, client(), http(StreamableHTTPClientTransport));
    await visit(`TypeScript SDK 2 over stdio, ${era}`, client(), stdio(StdioClientTransport));
  }
}
