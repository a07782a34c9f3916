// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/clientauth"
)

// HashSecret returns the argon2id hash of a client secret under a random
// salt, as a PHC string ($argon2id$v=19$m=...,t=...,p=...$salt$hash). It fails
// for an empty secret and for one of more than 1,024 bytes.
func HashSecret(secret []byte) (string, error) { return clientauth.Hash(secret) }

// pooledVerifier makes a Verifier fit for a pool.
type pooledVerifier struct{ *clientauth.Verifier }

// Destruct implements caddy.Destructor.
func (pooledVerifier) Destruct() error { return nil }

// verifiers outlive a reload, so that it does not cost a hash for each client.
var verifiers = caddy.NewUsagePool()
