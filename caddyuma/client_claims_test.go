// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

func TestClaimsArePushed(t *testing.T) {
	const expression = "pushed_claims `{\"sub\": id_token.sub, \"mail\": userinfo.email, \"way\": request.method + \" \" + request.path, \"tenant\": request.headers[\"x-tenant\"]}`"
	for _, alg := range []string{"", "ES256", "RS256", "EdDSA", "none"} {
		t.Run("alg "+alg, func(t *testing.T) {
			rules := strings.Replace(rpts, "pushed_claims id_token", expression+"\nclaim_token_format urn:ietf:params:oauth:token-type:jwt", 1)
			if alg != "" {
				rules += "\npushed_claims_alg " + alg
			}
			c := startClient(t, harness.UMAConfig{}, rules)
			c.server.Allow("alice", "todos:view")
			alice := c.visitor("alice")
			header := script.Clone()
			header.Set("X-Tenant", "acme")
			harness.Eventually(t, 20*time.Second, func() string { // the key may be on its way
				if a := alice.do("GET", "/todos", header); a.status != 200 {
					return fmt.Sprintf("%d %s", a.status, a.body)
				}
				return ""
			})
			sent := c.server.RPTRequests()[0]
			if got := sent.Get("claim_token_format"); got != "urn:ietf:params:oauth:token-type:jwt" {
				t.Errorf("claim_token_format is %q", got)
			}
			head, claims := decode(t, sent.Get("claim_token"))
			want := alg
			if alg == "" {
				want = "ES256"
			}
			if head["alg"] != want || head["typ"] != "claim-token+jwt" {
				t.Errorf("the header is %v, want %s", head, want)
			}
			for name, want := range map[string]any{
				"sub": "alice", "mail": "alice@example.com", "way": "GET /todos", "tenant": "acme", "aud": c.server.Issuer, "iss": "gluu-gateway", "original_iss": c.op.Issuer(),
			} {
				if claims[name] != want {
					t.Errorf("%s is %v, want %v", name, claims[name], want)
				}
			}
			exp, iat := claims["exp"].(float64), claims["iat"].(float64)
			if exp-iat > claimTokenAge.Seconds()+1 || exp <= iat {
				t.Errorf("it lives from %v to %v", iat, exp)
			}
		})
	}
}

func decode(t *testing.T, jwt string) (head, claims map[string]any) {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not a JWT", jwt)
	}
	for i, to := range []*map[string]any{&head, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(text, to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return head, claims
}

// A claim that a rule of the expression needs is missing: nothing is asked.
func TestAnExpressionThatDoesNotFit(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, strings.Replace(rpts, "pushed_claims id_token", "pushed_claims `{\"d\": userinfo.no_such}`\npushed_claims_alg none", 1))
	alice := c.visitor("alice")
	alice.refused("/todos", 500, "server_error")
	if n := c.server.Count("rpt"); n != 0 {
		t.Errorf("%d token requests, want none", n)
	}
}
