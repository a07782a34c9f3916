// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-gluu/gateway/internal/clientlimit"
	"github.com/caddy-gluu/gateway/internal/dpop"
	"github.com/caddy-gluu/gateway/internal/localserver"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// Verifier verifies the tokens of one authorization server. Like the server itself
// it stays when a configuration is reloaded with the same settings.
type Verifier struct {
	server       *provider.Server
	metrics      *lookupMetrics
	singleFlight singleflight.Group // tokens that are being verified
	cacheKeys    tokencache.Hasher
	proofs       *dpop.Checker
	clients      clientLimits
}

// New returns the verifier of a server, which it closes with itself.
func New(s *provider.Server) *Verifier {
	return &Verifier{
		server:    s,
		metrics:   newLookupMetrics(s.Name()),
		cacheKeys: tokencache.NewHasher(),
		proofs:    newProofs(s),
		clients:   clientLimits{clientlimit.New()},
	}
}

// Server returns what is known about the authorization server itself.
func (v *Verifier) Server() *provider.Server { return v.server }

// Lookups returns how many tokens were looked up in the cache, by the result: hit,
// negative_hit, stale or miss.
func (v *Verifier) Lookups() map[string]uint64 { return v.metrics.lookups() }

// CacheKey returns the key of a token in the cache.
func (v *Verifier) CacheKey(raw string) tokencache.Key { return v.cacheKeys.Key(raw) }

// NextNonce returns the nonce that the next DPoP proof should contain, for the
// DPoP-Nonce field of any answer (RFC 9449, section 8.2); "" if this provider
// does not require one.
func (v *Verifier) NextNonce() string { return v.proofs.NextNonce() }

// Lookup is a verifier under one configuration.
type Lookup struct {
	*Verifier
	cache     *tokencache.Cache
	maxToken  int                                // bytes of a token
	local     func() (localserver.Server, error) // nil: the server is another process
	isForeign func(issuer string) bool           // nil: there is no other provider
}

// Terms are what a configuration brings to a lookup.
type Terms struct {
	Cache    *tokencache.Cache
	MaxToken int // bytes of a token

	// Local returns the authorization server, if it is in this process.
	Local func() (localserver.Server, error)

	// IsForeign reports whether an issuer is that of another provider of the
	// configuration.
	IsForeign func(issuer string) bool
}

// Under returns the verifier under the terms of a configuration.
func (v *Verifier) Under(t Terms) *Lookup {
	return &Lookup{Verifier: v, cache: t.Cache, maxToken: t.MaxToken, local: t.Local, isForeign: t.IsForeign}
}

func newProofs(s *provider.Server) *dpop.Checker {
	memory, _, _ := proofMemory.LoadOrNew(proofMemoryKey, func() (caddy.Destructor, error) {
		return sharedMemory{dpop.NewMemory(time.Now())}, nil
	})
	return dpop.New(memory.(sharedMemory).Memory, func() time.Time { return s.Now() }, s.Config().DPoPNonce)
}

// proofMemory holds the one memory of DPoP proofs, for as long as there is any
// verifier: a proof must not be good again because a reload changes its provider.
var proofMemory = caddy.NewUsagePool()

const proofMemoryKey = "proofs"

type sharedMemory struct{ *dpop.Memory }

// Destruct implements caddy.Destructor.
func (sharedMemory) Destruct() error { return nil }

// Destruct implements caddy.Destructor: no configuration has the server any
// more.
func (v *Verifier) Destruct() error {
	v.server.Close()
	_, err := proofMemory.Delete(proofMemoryKey)
	return err
}
