// SPDX-License-Identifier: Apache-2.0

// The OpenID Provider of the example: npm's oidc-provider, in memory. Any name
// logs in, with any password.
//
//   PORT     where it listens, on 127.0.0.1. Default: 18681
//   GATEWAY  where browsers reach the gateway. Default: http://localhost:18680

import { Provider } from 'oidc-provider';

const port = Number(process.env.PORT ?? 18681);
const gateway = process.env.GATEWAY ?? 'http://localhost:18680';
const issuer = `http://127.0.0.1:${port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'web',
    client_secret: 'web-secret',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [`${gateway}/callback`],
    post_logout_redirect_uris: [`${gateway}/goodbye`],
    backchannel_logout_uri: `${gateway}/backchannel-logout`,
    backchannel_logout_session_required: true,
  }],
  claims: { openid: ['sub'], email: ['email'], profile: ['name'] },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: id, email: `${id}@example.com` }),
  }),
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
  cookies: { keys: ['only for this example'] },
  features: {
    backchannelLogout: { enabled: true },
    devInteractions: { enabled: true }, // pages for tries; not for production
  },
});

const server = provider.listen(port, '127.0.0.1', () => {
  console.log(JSON.stringify({ issuer, gateway }));
});
server.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
