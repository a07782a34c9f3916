// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-gluu/gateway/authserver"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/introspect"
)

// embeddedSite is a site whose tokens are those of the server in the same process.
// Of the app `gluu` it needs nothing.
const embeddedSite = `{
	admin off
	persist_config off
	storage file_system %[2]s
	gluu {
		consumer somebody {
			custom_id app
		}
		%[6]s
	}
}
http://%[1]s {
	respond "{header.X-Consumer-Username} {header.X-Claims}"
	gluu_oauth_auth {
		header X-Claims introspect_data string
		%[5]s
	}
	gluu_oauth_server {
		issuer http://%[1]s
		scopes read write
		token_format %[3]s
		client app {
			secret %[4]s
			grants client_credentials
			scopes read
		}
	}
}
%[7]s
`

type embeddedGateway struct {
	testing.TB
	address, root, secret string
}

func newEmbeddedGateway(t testing.TB) *embeddedGateway {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	secret, err := authserver.HashSecret([]byte("app-secret"))
	if err != nil {
		t.Fatal(err)
	}
	caddytest.StopAfter(t)
	return &embeddedGateway{t, caddytest.FreeAddress(t), t.TempDir(), secret}
}

// load runs a configuration with these options of the handler, of the app, and
// further sites.
func (g *embeddedGateway) load(format, handler, app, sites string) error {
	fill := strings.NewReplacer("{issuer}", "http://"+g.address, "{secret}", g.secret).Replace
	return caddytest.Run(fmt.Sprintf(embeddedSite, g.address, g.root, format, g.secret, fill(handler), fill(app), fill(sites)), g.address)
}

func (g *embeddedGateway) revoke(token string) {
	g.Helper()
	response, err := send(func() (*http.Request, error) {
		request, err := http.NewRequest(http.MethodPost, "http://"+g.address+"/oauth2/revoke", strings.NewReader(url.Values{"token": {token}}.Encode()))
		if err == nil {
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			request.SetBasicAuth("app", "app-secret")
		}
		return request, err
	})
	if err != nil {
		g.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		g.Fatalf("revocation: got %s", response.Status)
	}
}

// The first request with a token finds it known, the first one after its
// revocation finds it unknown, and reloads in between cost no request.
func TestEmbeddedProviderKnowsAtOnce(t *testing.T) {
	g := newEmbeddedGateway(t)
	for _, handler := range []string{"provider embedded", "provider embedded {issuer}", "embedded", "provider embedded\naudience {issuer}"} {
		for _, format := range []string{"opaque", "jwt"} {
			t.Run(handler+", "+format, func(t *testing.T) {
				g.TB = t
				if err := g.load(format, handler, "", ""); err != nil {
					t.Fatal(err)
				}
				token, other := tokenOf(t, g.address), tokenOf(t, g.address)
				for range 2 {
					if status, body := get(g.address, token); status != http.StatusOK || !strings.HasPrefix(body, "somebody ") {
						t.Fatalf("got %d %s, want 200 for somebody", status, body)
					}
				}
				var stop atomic.Bool
				var wait sync.WaitGroup
				for range 4 {
					wait.Go(func() {
						for !stop.Load() {
							if status, body := get(g.address, other); status != http.StatusOK {
								t.Errorf("another token: got %d %s", status, body)
								return
							}
						}
					})
				}
				if err := g.load(format, handler, "consumer more", ""); err != nil {
					t.Error(err)
				}
				if status, body := get(g.address, token); status != http.StatusOK {
					t.Errorf("after a reload: got %d %s", status, body)
				}
				g.revoke(token)
				if status, body := get(g.address, token); status != http.StatusUnauthorized || !strings.Contains(body, "invalid_token") {
					t.Errorf("after its revocation: got %d %s, want 401", status, body)
				}
				stop.Store(true)
				wait.Wait()
			})
		}
	}
}

// Headers and placeholders see what the introspection endpoint would answer.
func TestEmbeddedProviderHasTheClaimsOfTheToken(t *testing.T) {
	g := newEmbeddedGateway(t)
	if err := g.load("opaque", "provider embedded", "", ""); err != nil {
		t.Fatal(err)
	}
	_, body := get(g.address, tokenOf(t, g.address))
	_, text, _ := strings.Cut(body, " ")
	var claims map[string]any
	if err := json.Unmarshal([]byte(text), &claims); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	for name, want := range map[string]any{"client_id": "app", "sub": "app", "scope": "read", "iss": "http://" + g.address, "active": true} {
		if claims[name] != want {
			t.Errorf("%s is %v, want %v", name, claims[name], want)
		}
	}
	if claims["exp"].(float64)-claims["iat"].(float64) != 3600 {
		t.Errorf("it lives from %v to %v, want an hour", claims["iat"], claims["exp"])
	}
}

// What the server has not issued, for this audience, is refused.
func TestSec_EmbeddedProviderRefusesForeignTokens(t *testing.T) {
	g := newEmbeddedGateway(t)
	if err := g.load("jwt", "provider embedded\naudience https://other.example", "", ""); err != nil {
		t.Fatal(err)
	}
	if status, body := get(g.address, tokenOf(t, g.address)); status != http.StatusUnauthorized {
		t.Errorf("for another audience: got %d %s, want 401", status, body)
	}
	if err := g.load("jwt", "provider embedded", "", ""); err != nil {
		t.Fatal(err)
	}
	own := tokenOf(t, g.address)
	if status, body := get(g.address, own); status != http.StatusOK {
		t.Fatalf("got %d %s", status, body)
	}
	signature := strings.LastIndexByte(own, '.')
	for _, token := range []string{
		"made-up", strings.Repeat("A", 43), "a.b.c", own[:signature+1] + strings.Repeat("A", len(own)-signature-1), own[:signature+1], own + "x",
	} {
		if status, body := get(g.address, token); status != http.StatusUnauthorized || !strings.Contains(body, "invalid_token") {
			t.Errorf("%.30s: got %d %s, want 401", token, status, body)
		}
	}
}

func TestEmbeddedProviderIsRefusedAtLoad(t *testing.T) {
	g := newEmbeddedGateway(t)
	second := "http://localhost:" + g.address[strings.LastIndexByte(g.address, ':')+1:] + " {\ngluu_oauth_server {\nissuer https://second.example\nclient app {\nsecret {secret}\n}\nstore embedded {\npath " + t.TempDir() + "/second.db\n}\n}\n}"
	for name, test := range map[string]struct{ handler, app, sites, want string }{
		"an unknown issuer":     {"provider embedded https://other.example", "", "", `no gluu_oauth_server of this configuration has the issuer "https://other.example" and the service "": write 'provider embedded http://` + g.address},
		"which of two":          {"provider embedded", "", second, "there are several gluu_oauth_server: say which one"},
		"a client":              {"provider embedded\nclient_id gateway", "", "", "client_id has no effect: the embedded server is asked within this process; remove it"},
		"another way to verify": {"provider embedded\nverify jwt", "", "", "verify has no effect"},
		"twice":                 {"provider embedded\nprovider embedded", "", "", "provider is set twice"},
		"another word":          {"provider default", "", "", `provider "default": a provider of the app is named before the block`},
		"two issuers":           {"provider embedded a b c", "", "", "write 'provider embedded [<issuer> [<service>]]'"},
		"in the app":            {"", "provider {\nembedded\nissuer https://other.example\n}", "", "provider default: no gluu_oauth_server"},
	} {
		t.Run(name, func(t *testing.T) {
			err := g.load("opaque", test.handler, test.app, test.sites)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if err := g.load("opaque", "provider embedded {issuer}", "", second); err != nil {
		t.Errorf("one of two: %v", err)
	}
	_, err := caddytest.Adapt("http://localhost {\ngluu_uma_auth {\nprovider embedded\n}\n}")
	if err != nil {
		t.Errorf("it is known only when it loads: %v", err)
	}
}

// What a token costs that the gateway sees for the first time, and one that it
// knows, without HTTP around it.
func BenchmarkEmbeddedProvider(b *testing.B) {
	g := newEmbeddedGateway(b)
	if err := g.load("opaque", "provider embedded", "provider {\nembedded\n}", ""); err != nil {
		b.Fatal(err)
	}
	provider, err := introspect.Running().Provider("")
	if err != nil {
		b.Fatal(err)
	}
	verify := func(b *testing.B, token string) {
		if known, err := provider.Verify(b.Context(), token); err != nil || known.ClientID != "app" {
			b.Fatal(known, err)
		}
	}
	b.Run("cold", func(b *testing.B) {
		tokens := make([]string, b.N)
		for i := range tokens {
			tokens[i] = benchToken(b, g.address)
		}
		b.ReportAllocs()
		b.ResetTimer()
		for _, token := range tokens {
			verify(b, token)
		}
	})
	b.Run("cached", func(b *testing.B) {
		token := benchToken(b, g.address)
		b.ReportAllocs()
		for b.Loop() {
			verify(b, token)
		}
	})
}

func benchToken(b *testing.B, address string) string {
	b.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+address+"/oauth2/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth("app", "app-secret")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil || body.AccessToken == "" {
		b.Fatalf("%s: %v", response.Status, err)
	}
	return body.AccessToken
}
