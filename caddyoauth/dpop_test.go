// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/introspect"
	"github.com/caddy-gluu/gateway/jose"
)

// proofs makes the DPoP proofs of a client.
type proofs struct {
	testing.TB
	key    jose.PrivateKey
	number int
}

func newProofs(t testing.TB) *proofs {
	t.Helper()
	key, err := jose.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	return &proofs{TB: t, key: key}
}

// bound returns the claims of a token that is bound to the client's key.
func (p *proofs) bound() map[string]any {
	return claims("client-a", "read", "cnf", map[string]any{"jkt": p.key.Public().Thumbprint()})
}

func (p *proofs) proof(method, address, token string, more map[string]any) string {
	p.Helper()
	p.number++
	sum := sha256.Sum256([]byte(token))
	c := map[string]any{
		"htm": method, "htu": address, "iat": time.Now().Unix(), "jti": fmt.Sprint("proof-", p.number),
		"ath": base64.RawURLEncoding.EncodeToString(sum[:]),
	}
	maps.Copy(c, more)
	payload, err := json.Marshal(c)
	if err != nil {
		p.Fatal(err)
	}
	proof, err := jose.SignWithHeader(payload, p.key, "ES256", map[string]any{"typ": "dpop+jwt", "jwk": p.key.Public()})
	if err != nil {
		p.Fatal(err)
	}
	return proof
}

// S-42 through a real Caddy: proofs are for the address that the client called,
// whatever the site makes of it, and for one request.
func TestSec_S42_DPoPThroughCaddy(t *testing.T) {
	g := start(t, simpleApp, `
		handle_path /api/* {
			gluu_oauth_auth
			reverse_proxy {upstream}
		}`)
	client := newProofs(t)
	g.auth.issue("bound", client.bound())
	g.auth.issue("plain", claims("client-a", "read"))
	base := "http://" + g.address

	proof := client.proof("GET", base+"/api/todos", "bound", nil)
	if got := g.get("/api/todos?x=1", "", "Authorization: DPoP bound", "DPoP: "+proof); got.status != 200 || got.receivedTarget() != "/todos?x=1" {
		t.Fatalf("got %d %s, the upstream received %q", got.status, got.body, got.receivedTarget())
	} else if got.header.Get("DPoP-Nonce") != "" {
		t.Error("a nonce is given out that was not demanded")
	}
	for name, c := range map[string]struct {
		lines     []string
		challenge string
	}{
		"replayed":             {[]string{"Authorization: DPoP bound", "DPoP: " + proof}, "invalid_dpop_proof"},
		"without a proof":      {[]string{"Authorization: DPoP bound"}, "invalid_dpop_proof"},
		"for another method":   {[]string{"Authorization: DPoP bound", "DPoP: " + client.proof("POST", base+"/api/todos", "bound", nil)}, "invalid_dpop_proof"},
		"for the rewritten":    {[]string{"Authorization: DPoP bound", "DPoP: " + client.proof("GET", base+"/todos", "bound", nil)}, "invalid_dpop_proof"},
		"for another host":     {[]string{"Authorization: DPoP bound", "DPoP: " + client.proof("GET", "http://other.example/api/todos", "bound", nil), "X-Forwarded-Host: other.example"}, "invalid_dpop_proof"},
		"for another scheme":   {[]string{"Authorization: DPoP bound", "DPoP: " + client.proof("GET", "https://"+g.address+"/api/todos", "bound", nil), "X-Forwarded-Proto: https"}, "invalid_dpop_proof"},
		"for another token":    {[]string{"Authorization: DPoP bound", "DPoP: " + client.proof("GET", base+"/api/todos", "plain", nil)}, "invalid_dpop_proof"},
		"two proofs":           {[]string{"Authorization: DPoP bound", "DPoP: " + client.proof("GET", base+"/api/todos", "bound", nil), "DPoP: " + client.proof("GET", base+"/api/todos", "bound", nil)}, "invalid_dpop_proof"},
		"of a thief":           {[]string{"Authorization: DPoP bound", "DPoP: " + newProofs(t).proof("GET", base+"/api/todos", "bound", nil)}, "invalid_token"},
		"as a bearer token":    {[]string{"Authorization: Bearer bound", "DPoP: " + client.proof("GET", base+"/api/todos", "bound", nil)}, "invalid_token"},
		"a token that is free": {[]string{"Authorization: DPoP plain", "DPoP: " + client.proof("GET", base+"/api/todos", "plain", nil)}, "invalid_token"},
	} {
		got := g.get("/api/todos", "", c.lines...)
		if challenge := got.header.Get("WWW-Authenticate"); got.status != 401 ||
			!strings.HasPrefix(challenge, "DPoP ") || !strings.Contains(challenge, `error="`+c.challenge+`"`) {
			t.Errorf("%s: got %d, %q, want a DPoP challenge with %s", name, got.status, challenge, c.challenge)
		}
	}
	// And the token works all the same for its owner, from the cache.
	if got := g.get("/api/todos", "", "Authorization: dpop bound", "DPoP: "+client.proof("GET", base+"/api/todos", "bound", nil)); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	g.auth.mu.Lock()
	if g.auth.asked != 2 {
		t.Errorf("%d introspections of two tokens", g.auth.asked)
	}
	g.auth.mu.Unlock()
	// A reload forgets no proof.
	g.load(simpleApp, "gluu_oauth_auth\nreverse_proxy {upstream}")
	if got := g.get("/api/todos", "", "Authorization: DPoP bound", "DPoP: "+proof); got.status != 401 {
		t.Errorf("replayed after a reload: got %d", got.status)
	}
}

func TestAClientWithProofsLearnsItsNonce(t *testing.T) {
	app := strings.Replace(provider, "verify introspection", "verify introspection\n\tdpop_nonce true", 1)
	g := start(t, "", "respond ok")
	g.load(fmt.Sprintf(app, g.auth.URL), "gluu_oauth_auth {\nconsumer_mapping false\n}\nreverse_proxy {upstream}")
	client := newProofs(t)
	g.auth.issue("bound", client.bound())
	send := func(nonce map[string]any) answer {
		return g.get("/", "", "Authorization: DPoP bound", "DPoP: "+client.proof("GET", "http://"+g.address+"/", "bound", nonce))
	}
	refused := send(nil)
	challenge, nonce := refused.header.Get("WWW-Authenticate"), refused.header.Get("DPoP-Nonce")
	if refused.status != 401 || !strings.Contains(challenge, `error="use_dpop_nonce"`) || nonce == "" {
		t.Fatalf("got %d, %q, nonce %q", refused.status, challenge, nonce)
	}
	if got := send(map[string]any{"nonce": nonce}); got.status != 200 || got.header.Get("DPoP-Nonce") == "" {
		t.Errorf("with the nonce: got %d, nonce %q", got.status, got.header.Get("DPoP-Nonce"))
	}
	if got := send(map[string]any{"nonce": "made-up"}); got.status != 401 {
		t.Errorf("with a made-up nonce: got %d", got.status)
	}
	if !strings.Contains(introspect.DPoPAlgorithms(), "ES256") {
		t.Error("the client's algorithm is not on offer")
	}
}
