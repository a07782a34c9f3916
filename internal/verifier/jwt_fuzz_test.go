// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// Two fuzzers in one: raw is verified as it is, which must never succeed; and
// as header and claims that the issuer did sign, where nothing may be accepted
// that lacks what every token must have.
func FuzzVerify(f *testing.F) {
	good, _ := json.Marshal(goodClaims(nil))
	f.Add(signToken(f, "ES256", nil, good)+"A", string(good), "at+jwt")
	f.Add("e30.e30.e30", `{"iss":"`+testIssuer+`","exp":1e10,"aud":["api"],"scp":["a"]}`, "")
	f.Add(strings.Repeat(".", 100), `{"iss":"`+testIssuer+`","exp":99999999999,"nbf":1,"cnf":{"jkt":"a"}}`, "application/JWT")
	f.Add(b64(`{"alg":"none"}`)+"."+b64(`{"iss":"`+testIssuer+`"}`)+".", `{"iss":1}`, "dpop+jwt")
	f.Fuzz(func(t *testing.T, raw, payload, typ string) {
		v := testVerifier(keysFor("ES256"))
		if claimsIssuer(testIssuer, raw) && len(raw) > provider.DefaultMaxToken {
			t.Fatal("too long a token was looked at")
		}
		if verified, err := v.verify(t.Context(), raw); err == nil {
			t.Fatalf("accepted without a signature: %+v", verified)
		}
		signed, err := jose.Sign([]byte(payload), providertest.IssuerKeys()["ES256"], "ES256", "ES256", typ)
		if err != nil {
			return // what cannot be signed cannot be a token
		}
		verified, err := v.verify(t.Context(), signed)
		if err != nil {
			return
		}
		var c map[string]json.RawMessage
		if err := json.Unmarshal([]byte(payload), &c); err != nil {
			t.Fatalf("accepted claims that are not JSON: %q", payload)
		}
		var iss string
		var exp float64
		if json.Unmarshal(c["iss"], &iss) != nil || iss != testIssuer || json.Unmarshal(c["exp"], &exp) != nil || exp <= float64(testNow.Unix()) {
			t.Fatalf("accepted with iss %s and exp %s", c["iss"], c["exp"])
		}
		if verified.Expired(testNow) || !verified.JWT || verified.Issuer != testIssuer {
			t.Fatalf("accepted as %+v", verified)
		}
		if cnf, bound := c["cnf"]; bound && string(cnf) != "null" && verified.Confirmation == nil {
			t.Fatalf("a bound token has become a plain one: %s", payload)
		}
		for _, scope := range verified.Scopes {
			if scope == "" || strings.Contains(scope, " ") {
				t.Fatalf("scope %q", scope)
			}
		}
	})
}

// Whatever the header field contains, and whatever an attacker signs with their
// own key: the token of another key stays out of reach.
func FuzzDPoP(f *testing.F) {
	victim := providertest.IssuerKeys()["ES256"]
	attacker := providertest.IssuerKeys()["EdDSA"]
	jwk, _ := victim.Public().MarshalJSON()
	f.Add("e30.e30.e30", string(jwk), `{"htm":"GET"}`)
	f.Add(strings.Repeat(".", 64), `{"kty":"oct","k":"AA"}`, `{}`)
	own, _ := attacker.Public().MarshalJSON()
	sum := sha256.Sum256([]byte("token"))
	proof, _ := json.Marshal(claims{
		"htm": "GET", "htu": "http://api.example.com/", "jti": "1", "iat": testNow.Unix(),
		"ath": base64.RawURLEncoding.EncodeToString(sum[:]),
	})
	f.Add("a.b.c", string(own), string(proof))
	f.Fuzz(func(t *testing.T, raw, jwk, payload string) {
		p := bindingVerifier()
		r := httptest.NewRequest(http.MethodGet, "http://api.example.com/", nil)
		verified := &token.Token{Confirmation: &token.Confirmation{JKT: victim.Public().Thumbprint()}}
		r.Header["Dpop"] = []string{raw}
		if err := p.CheckBinding(r, verified, "DPoP", "token"); err == nil {
			t.Fatal("accepted without a signature")
		}
		if !json.Valid([]byte(jwk)) {
			return
		}
		signed, err := jose.SignWithHeader([]byte(payload), attacker, "EdDSA", map[string]any{"typ": "dpop+jwt", "jwk": json.RawMessage(jwk)})
		if err != nil {
			return // what cannot be signed cannot be a proof
		}
		r.Header["Dpop"] = []string{signed}
		if err := p.CheckBinding(r, verified, "DPoP", "token"); err == nil {
			t.Fatalf("accepted with the attacker's key: %s", jwk)
		}
		// With a token of his own he gets through, but only with a proof that
		// says all it has to.
		verified.Confirmation.JKT = attacker.Public().Thumbprint()
		if err := p.CheckBinding(r, verified, "DPoP", "token"); err != nil {
			return
		}
		var c map[string]any
		if json.Unmarshal([]byte(payload), &c) != nil || c["htm"] != "GET" || c["jti"] == "" || c["ath"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
			t.Fatalf("accepted: %s", payload)
		}
		if err := p.CheckBinding(r, verified, "DPoP", "token"); err == nil {
			t.Fatal("accepted twice")
		}
	})
}
