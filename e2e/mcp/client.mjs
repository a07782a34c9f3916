// SPDX-License-Identifier: Apache-2.0

// An MCP client that knows nothing but the address of an MCP server, its first
// argument. npm's @modelcontextprotocol/sdk finds the authorization server,
// registers and gets a token; what is done here is what a browser would do, and
// the person in front of it, whose Authorization header may be the second argument.
// It prints one line of JSON: {"tools", "text", "visited", "asked", "granted"}: the
// names of the tools, what the tool `whoami` says, the addresses that were asked, in
// order, the authorization request and the answer with the token.
//
// The third argument may be the address of a metadata document of the client. Then it
// stops at the authorization request and prints {"visited", "asked"}.

import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [, , mcp, person, clientMetadataUrl] = process.argv;
const address = new URL(mcp);
const redirectUrl = 'http://127.0.0.1/callback';

const visited = [];
async function recordingFetch(input, init) {
  const response = await fetch(input, init);
  visited.push(`${init?.method ?? 'GET'} ${new URL(input).pathname} ${response.status}`);
  return response;
}

// consentForm is what to send if a page asks the person, who says yes.
function consentForm(html) {
  const action = /<form method="post" action="([^"]+)"/.exec(html);
  const token = /name="token" value="([^"]+)"/.exec(html);
  return action && token && { to: action[1], body: new URLSearchParams({ token: token[1], decision: 'allow' }) };
}

// browse follows redirects with cookies until it is sent back to the client,
// and returns the authorization code.
async function browse(start) {
  const cookies = new Map();
  let next = start;
  let form;
  for (let i = 0; i < 20; i += 1) {
    const headers = { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
    if (person) {
      headers.authorization = person;
    }
    if (form) {
      headers.origin = new URL(next).origin;
    }
    const response = await fetch(next, { redirect: 'manual', headers, method: form ? 'POST' : 'GET', body: form });
    form = undefined;
    for (const cookie of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      cookies.set(name, value);
    }
    const location = response.headers.get('location');
    if (!location) {
      const html = await response.text();
      const asked = consentForm(html);
      if (!asked) {
        throw new Error(`${next} answered ${response.status}: ${html}`);
      }
      next = new URL(asked.to, next);
      form = asked.body;
      continue;
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
  clientMetadataUrl,
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
  async redirectToAuthorization(url) {
    saved.asked = Object.fromEntries(url.searchParams);
    if (!clientMetadataUrl) {
      code = await browse(url);
    }
  },
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

if (clientMetadataUrl) {
  await connect().catch(() => {}); // nobody is there to give it a code
  console.log(JSON.stringify({ visited, asked: saved.asked }));
  process.exit(0);
}
const client = await connect() ?? await connect();
const { tools } = await client.listTools();
const { content } = await client.callTool({ name: 'whoami', arguments: {} });
await client.close();
console.log(JSON.stringify({ tools: tools.map(({ name }) => name), text: content[0].text, visited, asked: saved.asked, granted: saved.tokens }));
