// node_server.mjs TOOLS COMMAND...: a server of the same shape as `loopsyctl mcp`, as one makes it
// with the SDK; tests/bench measures it beside ours. TOOLS is a file with our list of tools; COMMAND
// runs a program on the peer, and is started once for each loopsy_execute. The other tools are there
// and do nothing.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { McpServer, fromJsonSchema } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';

const [file, command, ...before] = process.argv.slice(2);
const { tools } = JSON.parse(readFileSync(file));

function run(words) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...before, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { stdout: '', stderr: '' };
    for (const name of Object.keys(said))
      child[name].setEncoding('utf8').on('data', (data) => { said[name] += data; });
    child.on('error', reject);
    child.on('close', (exit_status) => resolve({ exit_status, ...said }));
  });
}

async function execute({ argv }) {
  const done = await run(argv);
  return { content: [{ type: 'text', text: JSON.stringify(done) }], structuredContent: done };
}

async function nothing() {
  return { content: [], isError: true };
}

serveStdio(() => {
  const server = new McpServer({ name: 'node', version: '1' });
  for (const { name, title, description, inputSchema, annotations } of tools)
    server.registerTool(name, { title, description, annotations, inputSchema: fromJsonSchema(inputSchema) },
                        name === 'loopsy_execute' ? execute : nothing);
  return server;
});
