// SPDX-License-Identifier: Apache-2.0

// Verifies JWTs as an upstream in JavaScript does, with npm's jose: one token a
// line on standard input, the address of the key set, the issuer and the
// accepted algorithm as arguments. It prints one line of JSON for each token:
// {"kid", "claims"}, or {"error"}.

import { createInterface } from 'node:readline';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const [address, issuer, algorithm] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL(address));

for await (const token of createInterface({ input: process.stdin })) {
  let result;
  try {
    const { payload, protectedHeader } = await jwtVerify(token, keys, {
      issuer,
      algorithms: [algorithm],
      requiredClaims: ['iat', 'exp', 'jti'],
    });
    result = { kid: protectedHeader.kid, claims: payload };
  } catch (error) {
    result = { error: `${error.code}: ${error.message}` };
  }
  console.log(JSON.stringify(result));
}
