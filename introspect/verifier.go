// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-gluu/gateway/internal/clientlimit"
	"github.com/caddy-gluu/gateway/internal/dpop"
	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// verifier verifies the tokens of one authorization server. Like the server
// itself it stays when a configuration is reloaded with the same settings.
type verifier struct {
	server       *provider.Server
	source       digest // of its metadata and keys
	metrics      *lookupMetrics
	singleFlight singleflight.Group // tokens that are being verified
	cacheKeys    tokencache.Hasher
	proofs       *dpop.Checker
	clients      clientLimits
}

func newVerifier(s *provider.Server, source digest) *verifier {
	return &verifier{
		server:    s,
		source:    source,
		metrics:   newLookupMetrics(s.Name()),
		cacheKeys: tokencache.NewHasher(),
		proofs:    newProofs(s),
		clients:   clientLimits{clientlimit.New()},
	}
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
func (v *verifier) Destruct() error {
	v.server.Close()
	_, err := proofMemory.Delete(proofMemoryKey)
	return err
}

// presented is a token as a client sent it. It is taken apart at most once, when
// that is first asked for, and handed down.
type presented struct {
	raw      string
	most     int    // bytes that a token may have
	question string // names the token, as what the server is asked about
	insist   bool   // ask whatever the circuit breaker says

	// atHand has the key that the token names, nil if keys must be waited for.
	atHand jwtcheck.KeySet

	parsed bool
	jwt    *jwtcheck.JWT
	err    error

	read  bool
	claim claimed
}

func (p *Provider) presented(raw string, key tokencache.Key) *presented {
	return &presented{raw: raw, most: p.maxToken, question: string(key[:])}
}

// parse returns the token as a JWT, an error if it is not a signed one. Nothing
// in it has been verified.
func (t *presented) parse() (*jwtcheck.JWT, error) {
	if !t.parsed {
		t.jwt, t.err = jwtcheck.Parse(t.raw, t.most)
		t.parsed = true
	}
	return t.jwt, t.err
}

// claimed returns what the token says about itself, unverified.
func (t *presented) claimed() claimed {
	if !t.read {
		t.claim = t.readClaimed()
		t.read = true
	}
	return t.claim
}

// readClaimed takes the claims of a well-formed JWT as they were parsed, and
// everything else apart leniently.
func (t *presented) readClaimed() claimed {
	if jwt, err := t.parse(); err == nil {
		if claims, err := jwt.Claims(); err == nil {
			if c, ok := claimedIn(claims); ok {
				return c
			}
		}
	}
	return readClaimed(t.raw)
}

// claimsAny reports whether the token says, unverified, that it is a JWT of one of
// these issuers. It is what `verify auto` goes by: a token that lies about it is
// checked against the keys of the issuer that it names, and one that is odd in any
// other way is refused there.
func (t *presented) claimsAny(issuers provider.Issuers) bool {
	return slices.ContainsFunc(t.claimed().issuers, issuers.Claim)
}

// isJWT reports whether the token is a signed JWT of any issuer.
func (t *presented) isJWT() bool {
	_, err := t.parse()
	return err == nil
}
