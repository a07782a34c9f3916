// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// verified is what npm's jose makes of a token.
type verified struct {
	KeyID  string         `json:"kid"`
	Claims map[string]any `json:"claims"`
	Error  string         `json:"error"`
}

// verify has npm's jose verify tokens with the key set of the gateway.
func (a *api) verify(algorithm string, tokens ...string) []verified {
	a.t.Helper()
	output := harness.RunNode(a.t, "jose/verify.mjs", strings.Join(tokens, "\n")+"\n",
		"http://"+a.Addr+"/.well-known/jwks.json", "https://gateway.example", algorithm)
	var results []verified
	decoder := json.NewDecoder(strings.NewReader(output))
	for decoder.More() {
		var result verified
		if err := decoder.Decode(&result); err != nil {
			a.t.Fatal(err)
		}
		results = append(results, result)
	}
	if len(results) != len(tokens) {
		a.t.Fatalf("%d results for %d tokens: %s", len(results), len(tokens), output)
	}
	return results
}

// typeOf returns the type in the header of a JWT.
func typeOf(t *testing.T, jwt string) string {
	t.Helper()
	header, _, _ := strings.Cut(jwt, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		t.Fatal(err)
	}
	var members struct {
		Type string `json:"typ"`
	}
	if err := json.Unmarshal(decoded, &members); err != nil {
		t.Fatal(err)
	}
	return members.Type
}

// An upstream in another language verifies what the gateway signs, with
// nothing but the address of its keys, before and after a rotation.
func TestPhantomTokensAreVerifiedByAnotherLibrary(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"ES256", "RS256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			a := site{
				app:    "signing_issuer https://gateway.example",
				before: "gluu_jwks",
				auth:   "pass_credentials phantom_token\n phantom_token_alg " + algorithm + "\n header X-Claims introspect_data jwt",
			}.start(t)
			// Each time of a token that the gateway does not know yet.
			phantom := func() (token, header string) {
				opaque := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
				received := a.passed(get("/todos", opaque))
				token, ok := strings.CutPrefix(received.Value("Authorization"), "Bearer ")
				if !ok || token == opaque {
					t.Fatalf("the upstream received %q", received.Value("Authorization"))
				}
				return token, received.Value("X-Claims")
			}
			before, header := phantom()
			if kinds := [2]string{typeOf(t, before), typeOf(t, header)}; kinds[0] == kinds[1] || kinds[1] != "header+jwt" {
				t.Errorf("a phantom token and a header have the types %q: one could be taken for the other", kinds)
			}
			for _, got := range a.verify(algorithm, before, header) {
				if got.Error != "" || got.Claims["client_id"] != todoApp || got.Claims["original_iss"] != a.server.Issuer {
					t.Errorf("before the rotation: %+v", got)
				}
			}
			if status, answer := a.AdminCall(http.MethodPost, "/gluu/signing-keys/rotate?immediately=true", nil); status != http.StatusOK {
				t.Fatalf("rotate: %d %s", status, answer)
			}
			after, _ := phantom()
			got := a.verify(algorithm, before, after)
			if got[0].Error != "" || got[1].Error != "" || got[0].KeyID == got[1].KeyID {
				t.Errorf("after the rotation: %+v", got)
			}
			// And it would notice if it were not so.
			forged := after[:len(after)-8] + "AAAAAAAA"
			if got := a.verify(algorithm, forged)[0]; !strings.Contains(got.Error, "SIGNATURE") {
				t.Errorf("a forged token: %+v", got)
			}
		})
	}
}
