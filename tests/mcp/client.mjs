// client.mjs SDK MODE COMMAND [ARGUMENT...]: a client made with an SDK, driven by lines of JSON.
//
// SDK is 1 (@modelcontextprotocol/sdk) or 2 (@modelcontextprotocol/client); MODE, of 2 only, is
// legacy, auto or a version to be pinned. COMMAND is the server; it gets our whole environment. First
// comes a line with what was agreed, or with an error. Then each line {"id", "do", "params",
// "options"} is answered by {"id", "result"} or {"id", "error"}, in the order in which they end;
// {"notification"} and {"token", "progress"} come between. End of input closes the client.
import { createInterface } from 'node:readline';

const [sdk, mode, command, ...args] = process.argv.slice(2);
const info = { name: 'loopsy-tests', version: '1' };
const UPDATED = 'notifications/resources/updated';

function say(object) {
  process.stdout.write(JSON.stringify(object) + '\n');
}

function onUpdated(notification) {
  say({ notification: notification.method, params: notification.params });
}

async function makeFirst() {
  const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
  const { StdioClientTransport } = await import('@modelcontextprotocol/sdk/client/stdio.js');
  const types = await import('@modelcontextprotocol/sdk/types.js');
  const client = new Client(info);
  client.setNotificationHandler(types.ResourceUpdatedNotificationSchema, onUpdated);
  return {
    client, Transport: StdioClientTransport,
    callTool: (params, options) => client.callTool(params, undefined, options),
    version: (transport) => transport.protocolVersion,
  };
}

async function makeSecond() {
  const { Client } = await import('@modelcontextprotocol/client');
  const { StdioClientTransport } = await import('@modelcontextprotocol/client/stdio');
  const negotiation = mode === 'legacy' || mode === 'auto' ? mode : { pin: mode };
  const client = new Client(info, { versionNegotiation: { mode: negotiation } });
  client.setNotificationHandler(UPDATED, onUpdated);
  return {
    client, Transport: StdioClientTransport,
    callTool: (params, options) => client.callTool(params, options),
    version: () => client.getNegotiatedProtocolVersion(),
  };
}

const made = await (sdk === '1' ? makeFirst() : makeSecond());
const { client } = made;
const transport = new made.Transport({ command, args, env: process.env, stderr: 'inherit' });
// What the first SDK was told by the server it hands on to the transport.
transport.setProtocolVersion = (version) => { transport.protocolVersion = version; };
const running = new Map(); // AbortControllers
const streams = new Map(); // subscriptions

const methods = {
  ping: (params, options) => client.ping(options),
  listTools: (params, options) => client.listTools(params, options),
  callTool: made.callTool,
  listResources: (params, options) => client.listResources(params, options),
  listResourceTemplates: (params, options) => client.listResourceTemplates(params, options),
  readResource: (params, options) => client.readResource(params, options),
  listPrompts: (params, options) => client.listPrompts(params, options),
  getPrompt: (params, options) => client.getPrompt(params, options),
  subscribe: (params, options) => client.subscribeResource(params, options),
  unsubscribe: (params, options) => client.unsubscribeResource(params, options),
  async listen(params) {
    const stream = await client.listen(params);
    streams.set(streams.size, stream);
    return { stream: streams.size - 1, honored: stream.honoredFilter };
  },
  async unlisten({ stream }) {
    await streams.get(stream).close();
    return { closed: await streams.get(stream).closed };
  },
  abort({ target }) {
    running.get(target).abort('enough');
    return {};
  },
};

async function perform({ id, do: name, params, options = {} }) {
  const controller = new AbortController();
  running.set(id, controller);
  if (options.progress)
    options.onprogress = (progress) => say({ token: id, ...progress });
  try {
    say({ id, result: await methods[name](params, { ...options, signal: controller.signal }) });
  } catch (error) {
    say({ id, error: { message: String(error?.message ?? error), code: error?.code, data: error?.data } });
  }
  running.delete(id);
}

try {
  await client.connect(transport);
} catch (error) {
  say({ failed: String(error?.message ?? error), code: error?.code });
  process.exit(1);
}
say({
  version: made.version(transport), capabilities: client.getServerCapabilities(),
  server: client.getServerVersion(), instructions: client.getInstructions(), pid: transport.pid,
});
for await (const line of createInterface({ input: process.stdin }))
  perform(JSON.parse(line)); // side by side
await client.close();
