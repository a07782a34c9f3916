// SPDX-License-Identifier: Apache-2.0

// Clients of the embedded authorization server, as people write them: npm's openid-client
// and oauth4webapi. Arguments: the issuer, and the Authorization header of the person. What
// is done here beside is what a browser would do. It prints one line of JSON for each library.

import * as oauth from 'oauth4webapi';
import * as client from 'openid-client';

const [issuer, person] = process.argv.slice(2);
const callback = 'http://127.0.0.1/callback';

// browse opens an address as the person, presses Allow and returns where the client is called
// back.
async function browse(address) {
  const headers = { authorization: person };
  const page = await fetch(address, { headers, redirect: 'manual' });
  const html = await page.text();
  const action = /<form method="post" action="([^"]+)"/.exec(html);
  const token = /name="token" value="([^"]+)"/.exec(html);
  if (!action || !token) {
    throw new Error(`${address} answered ${page.status}: ${html}`);
  }
  const decided = await fetch(action[1], {
    method: 'POST',
    redirect: 'manual',
    headers: { ...headers, origin: new URL(issuer).origin, cookie: page.headers.getSetCookie().map((c) => c.split(';')[0]).join('; ') },
    body: new URLSearchParams({ token: token[1], decision: 'allow' }),
  });
  return new URL(decided.headers.get('location'));
}

async function withOpenIDClient() {
  const insecure = { execute: [client.allowInsecureRequests] };
  const config = await client.discovery(new URL(issuer), 'web', undefined, client.ClientSecretBasic('web-secret'), insecure);
  const verifier = client.randomPKCECodeVerifier();
  const nonce = client.randomNonce();
  const state = client.randomState();
  const parameters = {
    redirect_uri: callback, scope: 'openid todos:read', nonce, state,
    code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  };
  const address = await client.buildAuthorizationUrlWithPAR(config, parameters);
  const tokens = await client.authorizationCodeGrant(config, await browse(address), {
    pkceCodeVerifier: verifier, expectedNonce: nonce, expectedState: state, idTokenExpected: true,
  });
  const claims = tokens.claims();
  const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
  const renewed = await client.refreshTokenGrant(config, tokens.refresh_token);
  const told = await client.tokenIntrospection(config, renewed.access_token);
  await client.tokenRevocation(config, renewed.refresh_token);
  const after = await client.tokenIntrospection(config, renewed.access_token);
  return { library: 'openid-client', sub: claims.sub, userinfo: userinfo.sub, scope: renewed.scope, active: told.active, revoked: !after.active };
}

async function withOAuth4WebAPI() {
  const options = { [oauth.allowInsecureRequests]: true };
  const server = await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), { ...options, algorithm: 'oauth2' }));
  const registered = await oauth.processDynamicClientRegistrationResponse(
    await oauth.dynamicClientRegistrationRequest(
      server,
      { client_name: 'Registered', redirect_uris: [callback], token_endpoint_auth_method: 'none', grant_types: ['authorization_code', 'refresh_token'] },
      options,
    ),
  );
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const address = new URL(server.authorization_endpoint);
  address.search = new URLSearchParams({
    client_id: registered.client_id, response_type: 'code', redirect_uri: callback, scope: 'todos:read', state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  });
  const back = oauth.validateAuthResponse(server, registered, await browse(address), state);
  const tokens = await oauth.processAuthorizationCodeResponse(
    server, registered,
    await oauth.authorizationCodeGrantRequest(server, registered, oauth.None(), back, callback, verifier, options),
  );
  const renewed = await oauth.processRefreshTokenResponse(
    server, registered,
    await oauth.refreshTokenGrantRequest(server, registered, oauth.None(), tokens.refresh_token, options),
  );
  return { library: 'oauth4webapi', scope: renewed.scope, expires: renewed.expires_in, rotated: renewed.refresh_token !== tokens.refresh_token };
}

console.log(JSON.stringify([await withOpenIDClient(), await withOAuth4WebAPI()]));
