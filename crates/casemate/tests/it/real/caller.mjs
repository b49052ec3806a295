// A client made of the official TypeScript SDKs that calls what it is told to, and prints what came back as JSON.

import { connect, sdk, wish } from './sdk.mjs';

const asked = [];
const client = sdk.make({ capabilities: { elicitation: {}, sampling: {} } });
sdk.onQuestion(client, question => {
  asked.push(question.params.message);
  return { action: 'accept', content: { name: 'Vauban', integer: 7 } };
});
sdk.onSampling(client, question => {
  asked.push(question.params.messages[0].content.text);
  return { role: 'assistant', content: { type: 'text', text: 'a star fort' }, model: 'none' };
});
const revision = await connect(client);
const { tools } = await client.listTools();

// The text of a result of which the whole is kept, out of all its parts.
async function kept(result) {
  const link = result.content.find(part => part.type === 'resource_link');
  if (!link) return null;
  const base = link.uri.slice(0, link.uri.lastIndexOf('/') + 1);
  let text = '';
  for (let number = 1, parts = 1; number <= parts; number++) {
    const part = await client.readResource({ uri: base + number });
    text += part.contents.map(piece => piece.text).join('');
    parts = part._meta['io.casemate/result'].parts;
  }
  return text;
}

const answers = [];
for (const { name, arguments: args } of wish.calls) {
  const result = await sdk.call(client, { name, arguments: args });
  const texts = result.content.map(part => part.text ?? '');
  answers.push({ text: texts.join('\n'), is_error: result.isError === true, kept: await kept(result) });
}
await client.close();

console.log(JSON.stringify({ revision, tools: tools.map(tool => tool.name), answers, asked }));
