// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/dpop"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// bindingVerifier can check bindings, at testNow.
func bindingVerifier() *Verifier {
	return &Verifier{proofs: dpop.New(dpop.NewMemory(time.Time{}), func() time.Time { return testNow }, false)}
}

// withProof is a request with a valid proof, which the key of a client has signed.
func withProof(t *testing.T, key jose.PrivateKey, raw, jti string) *http.Request {
	t.Helper()
	sum := sha256.Sum256([]byte(raw))
	payload, err := json.Marshal(map[string]any{
		"htm": "GET", "htu": "https://api.example.com/todos", "iat": testNow.Unix(),
		"jti": jti, "ath": base64.RawURLEncoding.EncodeToString(sum[:]),
	})
	if err != nil {
		t.Fatal(err)
	}
	proof, err := jose.SignWithHeader(payload, key, "ES256", map[string]any{"typ": "dpop+jwt", "jwk": key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	r := todos()
	r.Header.Set("DPoP", proof)
	return r
}

func todos() *http.Request {
	return httptest.NewRequest(http.MethodGet, "https://api.example.com/todos", nil)
}

// S-42: a bound token is not a bearer token, and a bearer token not a bound one.
func TestSec_S42_Downgrade(t *testing.T) {
	const raw = "opaque-token-of-alice"
	key, err := jose.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	bound := &token.Token{Confirmation: &token.Confirmation{JKT: key.Public().Thumbprint()}}
	unknown := &token.Token{Confirmation: &token.Confirmation{}}
	for name, test := range map[string]struct {
		verified *token.Token
		scheme   string
		proof    bool
		reason   token.Reason // "": accepted
		asks     string       // the scheme of the challenge
	}{
		"bound, DPoP, proof":        {bound, "DPoP", true, "", ""},
		"bound, dpop, proof":        {bound, "dpop", true, "", ""},
		"bound, DPoP, no proof":     {bound, "DPoP", false, token.Bound, "DPoP"},
		"bound, Bearer, proof":      {bound, "Bearer", true, token.Bound, "DPoP"},
		"bound, BEARER, proof":      {bound, "BEARER", true, token.Bound, "DPoP"},
		"bound, bearer, no proof":   {bound, "bearer", false, token.Bound, "DPoP"},
		"bound, no scheme, proof":   {bound, "", true, token.Bound, "DPoP"},
		"bound, Basic, proof":       {bound, "Basic", true, token.Bound, "DPoP"},
		"unbound, Bearer":           {&token.Token{}, "Bearer", false, "", ""},
		"unbound, DPoP, proof":      {&token.Token{}, "DPoP", true, token.Invalid, "DPoP"},
		"unknown binding, Bearer":   {unknown, "Bearer", true, token.Bound, ""},
		"unknown binding and DPoP":  {unknown, "DPoP", true, token.Bound, ""},
		"unknown binding, no proof": {unknown, "DPoP", false, token.Bound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := withProof(t, key, raw, name)
			if !test.proof {
				r.Header.Del("DPoP")
			}
			err := bindingVerifier().CheckBinding(r, test.verified, test.scheme, raw)
			if test.reason == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			refusal, ok := errors.AsType[*token.Error](err)
			if !ok || refusal.Reason != test.reason || refusal.Scheme != test.asks {
				t.Fatalf("got %+v, want %s with the scheme %q", err, test.reason, test.asks)
			}
			if missing := test.scheme == "DPoP" && !test.proof && test.verified == bound; missing == (refusal.Code == dpop.CodeInvalidToken) {
				t.Errorf("got the code %s", refusal.Code)
			}
		})
	}
}
