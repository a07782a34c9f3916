// SPDX-License-Identifier: Apache-2.0

// An authorization server for the end-to-end tests: npm's oidc-provider, set
// up by one JSON object in the environment variable OIDC_CONFIG:
//
//   issuer     its issuer identifier; it may listen elsewhere, behind a relay
//   scopes     all scopes it knows
//   clients    client metadata, in the words of RFC 7591
//   introspectors  the client ids that may introspect and revoke any token;
//              other clients see only their own
//   person     any client may register itself and send people here to log in;
//              they are this person and agree to everything
//   rotate     each use of a refresh token replaces it; otherwise as oidc-provider likes
//   interactive  whoever logs in types a name into a page first
//   acrs       the authentication contexts that a login can have
//   resources  {address: [scope, ...]}: protected resources that get JWTs
//   mutualTLS  clients may authenticate with certificates, which the relay in
//              front hands on in the header X-Client-Certificate
//
// When it listens it prints one line of JSON, {"port", "control"}. It ends
// when its standard input does, so that it never outlives the test.
//
// Which token a client gets is said by the resource indicator (RFC 8707) of
// its request: urn:e2e:<opaque|jwt>[:<seconds to live>[:<algorithm>]].
// Without one it is opaque.
//
// The control port is for what no client could ask for:
//   POST /token   {client_id, subject, scope, resource, ttl, claims, jkt, x5t}:
//                 an access token of a person, as after a login
//   POST /rotate  new signing keys; the old ones are gone

import http from 'node:http';
import { X509Certificate } from 'node:crypto';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const config = JSON.parse(process.env.OIDC_CONFIG);

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));

// The store that comes with oidc-provider forgets what exceeds a thousand
// entries; the load tests have more tokens than that.
const entries = new Map();
class Store {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload) {
    entries.set(this.key(id), payload);
  }

  async find(id) {
    return entries.get(this.key(id));
  }

  async findByUid(uid) {
    return [...entries.values()].find((payload) => payload.uid === uid);
  }

  async findByUserCode(code) {
    return [...entries.values()].find((payload) => payload.userCode === code);
  }

  async consume(id) {
    entries.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    entries.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const [key, payload] of entries) {
      if (payload.grantId === grantId) {
        entries.delete(key);
      }
    }
  }
}

// The additional claims that POST /token asked for.
const claimsOf = new WeakMap();

const signingAlgorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'];

async function newKeys() {
  return Promise.all(signingAlgorithms.map(async (alg) => {
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    const kid = `${alg}-${Math.random().toString(36).slice(2)}`;
    return { ...await exportJWK(privateKey), alg, use: 'sig', kid };
  }));
}

function resourceServer(resource) {
  if (config.resources?.[resource]) {
    return {
      scope: config.resources[resource].join(' '),
      audience: resource,
      accessTokenFormat: 'jwt',
      jwt: { sign: { alg: 'ES256' } },
    };
  }
  const [, format, ttl, alg] = /^urn:e2e:(opaque|jwt)(?::(\d+)(?::(\w+))?)?$/.exec(resource) ?? [];
  if (!format) {
    return undefined;
  }
  return {
    scope: config.scopes.join(' '),
    audience: resource.split(':').slice(0, 3).join(':'),
    accessTokenFormat: format,
    accessTokenTTL: Number(ttl ?? 3600),
    ...(format === 'jwt' ? { jwt: { sign: { alg: alg ?? 'RS256' } } } : {}),
  };
}

function mayInspect(ctx, client, token) {
  return config.introspectors === undefined
    || config.introspectors.includes(client.clientId)
    || client.clientId === token.clientId;
}

// person has a browser and agrees to everything.
const person = config.person ? {
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
  acrValues: config.acrs ?? [],
  ...(config.rotate ? { rotateRefreshToken: true } : {}),
} : {};

// The page that asks who logs in.
function showLogin(response, wanted) {
  response.setHeader('Content-Type', 'text/html; charset=utf-8');
  response.end(`<!DOCTYPE html><html lang="en"><title>Log in at the provider</title><h1>Log in at the provider</h1>
    <form method="post"><label>Name <input name="name" autofocus></label> <button>Log in</button></form>
    <p>Asked for: ${wanted.map(encodeURIComponent).join(' ') || 'any login'}</p>`);
}

async function submittedName(request) {
  let body = '';
  for await (const chunk of request) {
    body += chunk;
  }
  return new URLSearchParams(body).get('name');
}

// The authentication contexts that a login was asked for, the preferred first.
function wantedACRs({ acr_values: values, claims }) {
  return [...(values ?? '').split(' '), ...(claims ? JSON.parse(claims).id_token?.acr?.values ?? [] : [])]
    .filter((acr, i, all) => config.acrs?.includes(acr) && all.indexOf(acr) === i);
}

async function agree(request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    let name = config.person;
    const wanted = wantedACRs(params);
    if (config.interactive) {
      if (request.method !== 'POST') {
        showLogin(response, wanted);
        return;
      }
      name = await submittedName(request);
    }
    const login = { accountId: name, acr: wanted[0] ?? config.acrs?.[0] };
    await provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
    return;
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope ?? '');
  grant.addOIDCClaims(prompt.details.missingOIDCClaims ?? []);
  for (const [resource, scopes] of Object.entries(config.resources ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  const consent = { grantId: await grant.save() };
  await provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

async function newProvider() {
  const provider = new Provider(config.issuer, {
    adapter: Store,
    clients: config.clients,
    scopes: config.scopes,
    jwks: { keys: await newKeys() },
    cookies: { keys: ['e2e'] },
    clientAuthMethods: [
      'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'none',
      ...(config.mutualTLS ? ['self_signed_tls_client_auth'] : []),
    ],
    ttl: {
      ClientCredentials: (ctx, token) => token.resourceServer?.accessTokenTTL ?? 3600,
      AccessToken: (ctx, token) => token.resourceServer?.accessTokenTTL ?? 3600,
    },
    extraTokenClaims: (ctx, token) => claimsOf.get(token),
    ...person,
    features: {
      ...(config.person ? { registration: { enabled: true } } : {}),
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: mayInspect },
      revocation: { enabled: true, allowedPolicy: mayInspect },
      jwtIntrospection: { enabled: true },
      dPoP: { enabled: true },
      backchannelLogout: { enabled: true },
      claimsParameter: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource) => resourceServer(resource),
      },
      ...(config.mutualTLS ? {
        mTLS: {
          enabled: true,
          selfSignedTlsClientAuth: true,
          getCertificate(ctx) {
            const certificate = ctx.get('X-Client-Certificate');
            return certificate ? new X509Certificate(Buffer.from(certificate, 'base64')) : undefined;
          },
        },
      } : {}),
    },
  });
  // A relay in front of it names itself in the Host header.
  provider.proxy = true;
  provider.on('server_error', (ctx, error) => console.error(error));
  return provider;
}

let provider = await newProvider();

async function personalToken({
  client_id: clientId, subject, scope, resource, ttl, claims, jkt, x5t,
}) {
  const client = await provider.Client.find(clientId);
  const grant = new provider.Grant({ accountId: subject, clientId });
  grant.addOIDCScope(scope ?? '');
  const token = new provider.AccessToken({
    client,
    accountId: subject,
    grantId: await grant.save(3600),
    gty: 'authorization_code',
    scope,
    jkt,
    'x5t#S256': x5t,
    ...(resource ? { resourceServer: new provider.ResourceServer(resource, resourceServer(resource)) } : {}),
    ...(ttl ? { expiresIn: ttl } : {}),
  });
  claimsOf.set(token, claims);
  return { access_token: await token.save(ttl) };
}

const controls = {
  '/token': personalToken,
  async '/rotate'() {
    provider = await newProvider();
    return {};
  },
};

const control = http.createServer(async (request, response) => {
  try {
    let body = '';
    for await (const chunk of request) {
      body += chunk;
    }
    const answer = await controls[request.url](body ? JSON.parse(body) : {});
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(answer));
  } catch (error) {
    console.error(error);
    response.statusCode = 500;
    response.end(String(error));
  }
});

function serve(request, response) {
  if (config.person && request.url.startsWith('/interaction/')) {
    agree(request, response).catch((error) => {
      console.error(error);
      response.destroy();
    });
    return;
  }
  provider.callback()(request, response);
}
const server = http.createServer(serve);

const listen = (s) => new Promise((resolve, reject) => {
  s.on('error', reject);
  s.listen(0, '127.0.0.1', () => resolve(s.address().port));
});
const [port, controlPort] = [await listen(server), await listen(control)];
console.log(JSON.stringify({ port, control: controlPort }));
