// SPDX-License-Identifier: Apache-2.0

// An MCP client that knows nothing but the address of an MCP server, its only
// argument. npm's @modelcontextprotocol/sdk finds the authorization server,
// registers and gets a token; what is done here is what a browser would do, and
// the person in front of it. It prints one line of JSON:
// {"tools", "text", "visited"}: the names of the tools, what the tool `whoami`
// says and the addresses that were asked, in order.

import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const address = new URL(process.argv[2]);
const redirectUrl = 'http://127.0.0.1/callback';

const visited = [];
async function recordingFetch(input, init) {
  const response = await fetch(input, init);
  visited.push(`${init?.method ?? 'GET'} ${new URL(input).pathname} ${response.status}`);
  return response;
}

// browse follows redirects with cookies until it is sent back to the client,
// and returns the authorization code.
async function browse(start) {
  const cookies = new Map();
  let next = start;
  for (let i = 0; i < 20; i += 1) {
    const response = await fetch(next, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      cookies.set(name, value);
    }
    const location = response.headers.get('location');
    if (!location) {
      throw new Error(`${next} answered ${response.status}: ${await response.text()}`);
    }
    next = new URL(location, next);
    if (next.href.startsWith(redirectUrl)) {
      const code = next.searchParams.get('code');
      if (!code) {
        throw new Error(`sent back with ${next.search}`);
      }
      return code;
    }
  }
  throw new Error('no end of redirects');
}

let code;
const saved = {};
const provider = {
  redirectUrl,
  clientMetadata: {
    client_name: 'e2e',
    redirect_uris: [redirectUrl],
    application_type: 'native',
    grant_types: ['authorization_code'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  clientInformation: () => saved.client,
  saveClientInformation: (client) => { saved.client = client; },
  tokens: () => saved.tokens,
  saveTokens: (tokens) => { saved.tokens = tokens; },
  codeVerifier: () => saved.verifier,
  saveCodeVerifier: (verifier) => { saved.verifier = verifier; },
  async redirectToAuthorization(url) { code = await browse(url); },
};

const connect = async () => {
  const client = new Client({ name: 'e2e', version: '1.0.0' });
  const transport = new StreamableHTTPClientTransport(address, { authProvider: provider, fetch: recordingFetch });
  try {
    await client.connect(transport);
  } catch (error) {
    if (!(error instanceof UnauthorizedError) || !code) {
      throw error;
    }
    await transport.finishAuth(code);
    return null;
  }
  return client;
};

const client = await connect() ?? await connect();
const { tools } = await client.listTools();
const { content } = await client.callTool({ name: 'whoami', arguments: {} });
await client.close();
console.log(JSON.stringify({ tools: tools.map(({ name }) => name), text: content[0].text, visited }));
