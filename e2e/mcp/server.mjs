// SPDX-License-Identifier: Apache-2.0

// An MCP server with one tool and no idea of authorization: that is the
// gateway's task. The tool says who the gateway says is calling.
//
// When it listens it prints one line of JSON, {"port"}. It ends when its
// standard input does.

import http from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));

const server = http.createServer(async (request, response) => {
  const mcp = new McpServer({ name: 'e2e', version: '1.0.0' });
  mcp.registerTool('whoami', { description: 'Who is calling' }, async () => ({
    content: [{ type: 'text', text: String(request.headers['x-authenticated-userid']) }],
  }));
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  response.on('close', () => {
    transport.close();
    mcp.close();
  });
  await mcp.connect(transport);
  await transport.handleRequest(request, response);
});

server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
