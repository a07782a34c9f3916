// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/jose"
)

// verifiedBy returns the algorithm and key of the set by which a token is valid.
func (r *running) verifiedBy(token string) string {
	r.t.Helper()
	set, err := jose.ParseKeySet(r.do(httptest.NewRequest(http.MethodGet, "/oauth2/jwks", nil)).Body.Bytes())
	if err != nil {
		r.t.Fatal(err)
	}
	signed, err := jose.Parse(token, 1<<20)
	if err != nil {
		r.t.Fatalf("%v in %q", err, token)
	}
	for _, key := range set.Keys {
		if key.ID() == signed.Header.KeyID && signed.Verify(key, signed.Header.Algorithm) == nil {
			return signed.Header.Algorithm
		}
	}
	return "no key"
}

// A client gets its ID tokens signed as it asks for, at a refresh too. Access tokens stay as
// every resource server knows them.
func TestTheAlgorithmOfIDTokens(t *testing.T) {
	dir := t.TempDir()
	server := start(t, peopleConfig(), dir)
	for client, want := range map[string]string{"web": "RS256", "web-es": "ES256", "web-jwt": "RS256"} {
		granted := server.post(tokenEndpoint, client, exchange(server.browser("alice").code(authorization(client, "scope", "openid"))))
		renewed := server.post(tokenEndpoint, client, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text(granted, "refresh_token")}})
		for _, answer := range []answer{granted, renewed} {
			if got := server.verifiedBy(text(answer, "id_token")); got != want {
				t.Errorf("%s: the ID token is valid by %s, want %s", client, got, want)
			}
		}
		if client == "web-jwt" && server.verifiedBy(text(granted, "access_token")) != "RS256" {
			t.Error("the access token is not signed with RS256")
		}
	}
	signing := server.rfc.IDKey.ID()
	server.stop()
	again := start(t, peopleConfig(), dir)
	if again.rfc.IDKey.ID() != signing {
		t.Error("a restart has made another key")
	}
}

// An ID token with ES256 is a hint like any other, and one with a foreign key is not.
func TestAHintWithES256(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	b := server.browser("alice")
	granted := server.post(tokenEndpoint, "web-es", exchange(b.code(authorization("web-es", "scope", "openid"))))
	hint := text(granted, "id_token")
	foreign, err := jose.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jose.Parse(hint, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := jose.Sign(signed.Payload, foreign, "ES256", server.rfc.IDKey.ID(), "JWT")
	if err != nil {
		t.Fatal(err)
	}
	if a := b.logout(url.Values{"id_token_hint": {forged}}); !strings.Contains(a.text, "Log out?") || !server.active(text(granted, "access_token")) {
		t.Errorf("a forged hint: got %d %s", a.Code, a.text)
	}
	if a := b.logout(url.Values{"id_token_hint": {hint}}); a.Code != http.StatusOK || server.active(text(granted, "access_token")) {
		t.Errorf("got %d %s", a.Code, a.text)
	}
}

// A client that registers says how; what it does not know is refused.
func TestARegisteredClientChoosesItsAlgorithm(t *testing.T) {
	for alg, want := range map[string]int{"": 201, "RS256": 201, "ES256": 201, "none": 400, "HS256": 400, "es256": 400} {
		server := start(t, registrationConfig(), t.TempDir())
		member := ""
		if alg != "" {
			member = `, "id_token_signed_response_alg": "` + alg + `"`
		}
		a := server.register(http.MethodPost, "/oauth2/register", "", `{"redirect_uris": ["https://app.example.com/cb"]`+member+`}`)
		if a.Code != want {
			t.Errorf("%q: got %d %s, want %d", alg, a.Code, a.text, want)
			continue
		}
		if want != 201 {
			continue
		}
		if got, _ := a.body["id_token_signed_response_alg"].(string); got != alg {
			t.Errorf("%q: the answer says %q", alg, got)
		}
		client, err := server.rfc.FindClient(t.Context(), text(a, "client_id"))
		if err != nil || client.IDTokenAlg != alg {
			t.Errorf("%q: got %+v %v", alg, client, err)
		}
	}
	wrong := peopleConfig()
	wrong.Clients["web-es"].IDTokenAlg = "none"
	if _, err := tryStart(t, wrong, t.TempDir()); err == nil || !strings.Contains(err.Error(), "id_token_signed_response_alg is RS256 or ES256") {
		t.Errorf("in the configuration: got %v", err)
	}
	if err := authcore.CheckIDTokenAlg(""); err != nil {
		t.Error(err)
	}
}
