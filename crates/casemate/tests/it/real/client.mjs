// A client made of the official TypeScript SDKs: 1.x for the legacy era, 2.x for the modern one. It does what `Seen`
// in sdks.rs lists, and prints that as JSON.

import assert from 'node:assert';
import { connect, sdk, wish } from './sdk.mjs';

const asked = [];
const progress = [];
const client = sdk.make({ capabilities: { elicitation: {} } });
sdk.onQuestion(client, question => {
  asked.push(question.params.message);
  return { action: 'accept', content: { name: 'Vauban', integer: 7 } };
});
const revision = await connect(client);

async function call(tool, args, options) {
  const result = await sdk.call(client, { name: wish.prefix + tool, arguments: args }, options);
  assert(!result.isError, JSON.stringify(result));
  return result;
}

const { tools } = await client.listTools();
const echo = await call('echo', { message: 'hi' });
const weather = await call('get-structured-content', { location: 'Chicago' });
const onprogress = report => progress.push([report.progress, report.total]);
await call('trigger-long-running-operation', { duration: 0.6, steps: 2 }, { onprogress });
const { resources } = await client.listResources();
const listed = resources.find(one => one.name === 'architecture.md');
const document = (await client.readResource({ uri: listed.uri })).contents[0];
const { resourceTemplates } = await client.listResourceTemplates();
const template = resourceTemplates.find(one => one.uriTemplate.includes('/text/'));
const filled = template.uriTemplate.replace('{resourceId}', '7');
const dynamic = (await client.readResource({ uri: filled })).contents[0];
const prompt = await client.getPrompt({ name: `${wish.prefix}args-prompt`, arguments: { city: 'Bern' } });
const completion = await client.complete({
  ref: { type: 'ref/prompt', name: `${wish.prefix}completable-prompt` },
  argument: { name: 'department', value: 'S' },
});
const answered = wish.question && (await sdk.call(client, { name: wish.question, arguments: {} }));
await client.close();

console.log(JSON.stringify({
  revision,
  tools: tools.map(tool => tool.name),
  echo: echo.content[0].text,
  structured: weather.structuredContent,
  document_uri_kept: document.uri === listed.uri,
  document: document.text,
  dynamic: dynamic.text,
  prompt: prompt.messages[0].content.text,
  completion: completion.completion.values,
  progress,
  asked,
  answered: answered && answered.content.map(part => part.text).join('\n'),
}));
