// validate.mjs FILE: holds what a server sent against the schemas that the SDKs carry.
//
// FILE has a line of JSON per message: {"version", "method", "tool", "message"}: the version that it
// must fit, and, of an answer, what was asked. Says each message that does not fit, and ends with 1
// then. With LOOPSY_MCP_SCHEMAS, the folder schema/ of the specification's repository, also against
// the schema.json of the very version.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import * as types from '@modelcontextprotocol/sdk/types.js';
import Ajv from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';

const MODERN = '2026-07-28';
const RESULTS = { // by method: names of definitions
  'initialize': 'InitializeResult', 'server/discover': 'DiscoverResult', 'ping': 'EmptyResult',
  'tools/list': 'ListToolsResult', 'tools/call': 'CallToolResult', 'resources/list': 'ListResourcesResult',
  'resources/templates/list': 'ListResourceTemplatesResult', 'resources/read': 'ReadResourceResult',
  'resources/subscribe': 'EmptyResult', 'resources/unsubscribe': 'EmptyResult',
  'prompts/list': 'ListPromptsResult', 'prompts/get': 'GetPromptResult',
  'subscriptions/listen': 'SubscriptionsListenResult',
};

// The schemas of 2026-07-28 as they are on the wire: the client has them, and does not export them.
async function loadCodec() {
  const main = createRequire(import.meta.url).resolve('@modelcontextprotocol/client');
  const folder = path.dirname(main);
  const file = readdirSync(folder).find((name) => /^src-.*\.mjs$/.test(name));
  const found = Object.values(await import(pathToFileURL(path.join(folder, file)).href));
  return found.find((value) => value?.name === 'codecForVersion')(MODERN);
}

const codec = await loadCodec();
const outputs = new Map(); // tool → its check of structuredContent
const seen = new Set(); // tools that were checked, as text
const specifications = new Map();
const problems = [];

function quiet(Class, more) {
  return new Class({ strict: false, allErrors: true, logger: false, validateFormats: false, ...more });
}

function check(schema, value) {
  const done = schema.safeParse(value);
  return done.success ? [] : done.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
}

// By the specification's own schema of a version.
function checkSpecified(version, name, value) {
  const top = process.env.LOOPSY_MCP_SCHEMAS;
  if (!top || !existsSync(`${top}/${version}/schema.json`))
    return [];
  if (!specifications.has(version)) {
    const schema = JSON.parse(readFileSync(`${top}/${version}/schema.json`));
    const ajv = quiet(schema.$defs ? Ajv2020 : Ajv);
    specifications.set(version, [ajv.addSchema(schema, 'all'), schema.$defs ? '$defs' : 'definitions']);
  }
  const [ajv, where] = specifications.get(version);
  const validate = ajv.getSchema(`all#/${where}/${name}`);
  if (!validate)
    return [`${version} has no ${name}`];
  return validate(value) ? [] : [`${version} ${name}: ${ajv.errorsText(validate.errors)}`];
}

function checkTools(tools) {
  const found = [];
  for (const tool of tools) {
    const text = JSON.stringify(tool);
    if (seen.has(text))
      continue;
    seen.add(text);
    const ajv = quiet(Ajv2020, { strictSchema: true });
    for (const which of ['inputSchema', 'outputSchema'])
      if (tool[which] && !ajv.validateSchema(tool[which]))
        found.push(`${tool.name}: ${which}: ${ajv.errorsText(ajv.errors)}`);
    if (tool.outputSchema)
      outputs.set(tool.name, ajv.compile(tool.outputSchema));
  }
  return found;
}

function checkOutput(version, tool, result) {
  const validate = outputs.get(tool);
  if (!validate || result.isError || version < '2025-06-18')
    return [];
  if (result.structuredContent === undefined)
    return [`${tool} has an outputSchema and gave no structuredContent`];
  return validate(result.structuredContent) ? [] :
    validate.errors.map((error) => `${tool}: structuredContent${error.instancePath} ${error.message}`);
}

function checkResult(version, method, tool, result) {
  const name = RESULTS[method];
  if (!name)
    return [`an answer to ${method}`];
  const found = version === MODERN ? [] : check(types[`${name}Schema`], result);
  if (version === MODERN) {
    const decoded = codec.decodeResult(method, result);
    if (decoded.kind !== 'complete')
      found.push(String(decoded.error?.message ?? decoded.kind));
  }
  if (!found.length && method === 'tools/list')
    found.push(...checkTools(result.tools));
  if (!found.length && method === 'tools/call')
    found.push(...checkOutput(version, tool, result));
  return [...found, ...checkSpecified(version, name, result)];
}

// The error of which no id is known has no shape before 2025-11-25, and must be sent all the same.
function checkError(version, message) {
  if (message.id === undefined && version < '2025-11-25')
    return check(types.JSONRPCErrorResponseSchema, message);
  return [...check(types.JSONRPCErrorResponseSchema, message),
          ...checkSpecified(version, version < '2025-11-25' ? 'JSONRPCError' : 'JSONRPCErrorResponse', message)];
}

function checkNotification(version, message) {
  const found = checkSpecified(version, 'ServerNotification', message);
  if (version !== MODERN)
    return [...check(types.ServerNotificationSchema, message), ...found];
  const done = codec.validateNotification(message.method, message);
  return done.ok ? found : [...found, done.message ?? done.reason];
}

for (const line of readFileSync(process.argv[2], 'utf8').split('\n').filter(Boolean)) {
  const { version, method, tool, message } = JSON.parse(line);
  const found = check(types.JSONRPCMessageSchema, message);
  if ('method' in message)
    found.push(...checkNotification(version, message));
  else if ('error' in message)
    found.push(...checkError(version, message));
  else
    found.push(...checkResult(version, method, tool, message.result));
  problems.push(...found.map((problem) => `${version} ${method}: ${problem}\n  in ${JSON.stringify(message).slice(0, 2000)}`));
}
console.log(problems.join('\n'));
process.exit(problems.length ? 1 : 0);
