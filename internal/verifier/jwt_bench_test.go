// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/tokencache"
	"github.com/caddy-gluu/gateway/jose"
)

// BenchmarkVerifyJWT is what a token costs at first sight, from the string to
// the Token. BenchmarkBareSignature beside it is the check of its signature
// alone. The design allows twice that.
func BenchmarkVerifyJWT(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			raw := benchToken(b, alg)
			v := testVerifier(keysFor("RS256", "ES256", "EdDSA"), "api")
			b.ReportAllocs()
			for b.Loop() {
				// As `verify auto` does.
				sent := &presented{raw: raw, most: provider.DefaultMaxToken}
				if !sent.claimsAny(provider.IssuersOf([]string{testIssuer}, nil)) {
					b.Fatal("not taken for a JWT")
				}
				if _, err := v.verifyAccessToken(b.Context(), sent); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBareSignature(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			jws, err := jose.Parse(benchToken(b, alg), provider.DefaultMaxToken)
			if err != nil {
				b.Fatal(err)
			}
			key := providertest.IssuerKeys()[alg].Public()
			b.ReportAllocs()
			for b.Loop() {
				if err := jws.Verify(key, alg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchToken has the claims of a token of Keycloak, about 800 bytes of them.
func benchToken(b *testing.B, alg string) string {
	return signToken(b, alg, nil, goodClaims(claims{
		"aud":                []string{"api", "account"},
		"sub":                "f1d0b5a2-31b8-4a2a-9f3b-2f4a2b1c0d9e",
		"jti":                "6e1f4c1c-9f1f-4a7e-bb53-b7c6b0b1e6f1",
		"typ":                "Bearer",
		"azp":                "app",
		"sid":                "0b6f0c6e-2f7b-4cbb-a7a2-5a6b3d5b0c55",
		"acr":                "1",
		"allowed-origins":    []string{"https://app.example.com"},
		"realm_access":       claims{"roles": []string{"offline_access", "uma_authorization", "employee"}},
		"resource_access":    claims{"account": claims{"roles": []string{"manage-account", "view-profile"}}},
		"scope":              "openid email profile todos:read todos:write",
		"email_verified":     true,
		"name":               "Alice Example",
		"preferred_username": "alice",
		"email":              "alice@example.com",
	}))
}

// BenchmarkFirstSight is Verify for a token that this process has not seen: a look
// into the cache, the JWT, its signature, and its place in the cache.
func BenchmarkFirstSight(b *testing.B) {
	server := providertest.NewServer(b)
	issuer := newTokenIssuer(b, server.URL, "k1")
	server.On("/jwks", issuer.serveKeys)
	p := providerFor(b, provider.Config{Issuer: server.URL, Verify: "jwt"}, tokencache.Settings{})
	p.server.AwaitMetadata(b.Context())
	tokens := make([]string, 256)
	for i := range tokens {
		tokens[i] = issuer.sign(b, time.Now().Add(time.Hour), map[string]any{"jti": strconv.Itoa(i), "filler": strings.Repeat("x", 400)})
	}
	if _, err := p.Verify(b.Context(), tokens[0]); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if i%len(tokens) == 0 {
			b.StopTimer()
			if _, err := p.cache.Forget(b.Context(), tokencache.All(), nil); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		if _, err := p.Verify(b.Context(), tokens[i%len(tokens)]); err != nil {
			b.Fatal(err)
		}
	}
}
