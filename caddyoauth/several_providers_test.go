// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/jose"
)

// signer is an authorization server of which the gateway knows only the keys.
type signer struct {
	testing.TB
	issuer string
	jwks   string
	key    jose.PrivateKey
}

func newSigner(t testing.TB, issuer string) *signer {
	key, err := jose.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	key = key.WithID("key")
	set, err := jose.PublicKeySet(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(set) }))
	t.Cleanup(server.Close)
	return &signer{t, issuer, server.URL, key}
}

// provider describes the server to the app.
func (s *signer) provider(name string, more ...string) string {
	return fmt.Sprintf("provider %s {\nissuer %s\njwks_uri %s\naudience api\n%s\n}\n", name, s.issuer, s.jwks, strings.Join(more, "\n"))
}

// sign makes a token in the name of an issuer, which need not be the signer.
func (s *signer) sign(issuer string, claims map[string]any) string {
	s.Helper()
	claims = maps.Clone(claims)
	claims["iss"] = issuer
	payload, err := json.Marshal(claims)
	if err != nil {
		s.Fatal(err)
	}
	token, err := jose.Sign(payload, s.key, "ES256", "key", "at+jwt")
	if err != nil {
		s.Fatal(err)
	}
	return token
}

// introspecting describes the authorization server of the harness under a name.
const introspecting = `provider %s {
	issuer {issuer}
	introspection_endpoint {issuer}/introspect
	client_id gateway
	client_secret secret
	audience api
	verify introspection
}
`

// severalProviders are two servers whose tokens are JWTs and one that introspects,
// each with a client of the same id.
func severalProviders(partners, staff *signer) string {
	return partners.provider("partners", "verify jwt") + staff.provider("staff", "verify jwt") +
		fmt.Sprintf(introspecting, "old") + `consumer partner {
	custom_id app partners
}
consumer employee {
	custom_id app staff
}
consumer anyone {
	custom_id app
}
`
}

const showProvider = "header ?X-Provider {gluu.provider}\n"

// The issuer that a token names picks the provider whose keys count, everything else
// is introspected, and a client id means the consumer of that provider.
func TestATokenPicksItsProvider(t *testing.T) {
	partners, staff := newSigner(t, "https://partners.example"), newSigner(t, "https://staff.example")
	g := start(t, severalProviders(partners, staff), "gluu_oauth_auth partners staff old\n"+showProvider+noPEP)
	good := claims("app", "read")
	g.auth.issue("opaque", good)
	unknown := newSigner(t, "https://unknown.example").sign("https://unknown.example", good)
	g.auth.issue(unknown, good)
	tests := []struct {
		name, token, provider, consumer, reason string
	}{
		{"first", partners.sign(partners.issuer, good), "partners", "partner", ""},
		{"second", staff.sign(staff.issuer, good), "staff", "employee", ""},
		{"opaque", "opaque", "old", "anyone", ""},
		{"unknown opaque", "made-up", "old", "", "token_inactive"},
		{"a JWT of no provider", unknown, "old", "anyone", ""},
		{"keys of the other", partners.sign(staff.issuer, good), "staff", "", "token_invalid"},
		{"keys of the other, the other way", staff.sign(partners.issuer, good), "partners", "", "token_invalid"},
		{"two issuers", duplicateIssuer(t, partners, staff, good), "partners", "", "token_invalid"},
	}
	for range 2 { // the second time from the cache
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				got := g.get("/", test.token)
				if test.reason != "" {
					records := g.records("request refused")
					last := records[len(records)-1]
					if got.status != 401 || last["reason"] != test.reason || last["provider"] != test.provider {
						t.Errorf("got %d, reason %v, provider %v, want 401, %s, %s", got.status, last["reason"], last["provider"], test.reason, test.provider)
					}
					return
				}
				if who := got.received("X-Consumer-Username"); got.status != 200 || !slices.Equal(who, []string{test.consumer}) || got.header.Get("X-Provider") != test.provider {
					t.Errorf("got %d as %q by %q, want 200 as %q by %q", got.status, who, got.header.Get("X-Provider"), test.consumer, test.provider)
				}
			})
		}
	}
	if got := g.get("/", ""); got.status != 401 || g.lastReason() != "no_token" {
		t.Errorf("without a token got %d, reason %s, want 401, no_token", got.status, g.lastReason())
	}
}

// duplicateIssuer is a token that names both issuers, signed by the second.
func duplicateIssuer(t *testing.T, first, second *signer, claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	twice := fmt.Sprintf(`{"iss":%q,"iss":%q,%s`, first.issuer, second.issuer, payload[1:])
	token, err := jose.Sign([]byte(twice), second.key, "ES256", "key", "at+jwt")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// What another handler has verified with another provider does not count where this
// handler would have asked its own: neither as long as it is remembered nor later.
func TestTheCacheOfAnotherProviderIsNotAShortcut(t *testing.T) {
	partners := newSigner(t, "https://partners.example")
	app := partners.provider("partners", "verify jwt") + fmt.Sprintf(introspecting, "old") + "consumer a {\ncustom_id app\n}\n"
	g := start(t, app, `handle /old {
	gluu_oauth_auth old
	`+noPEP+`
}
handle {
	gluu_oauth_auth partners old
	`+noPEP+`
}
`)
	// The old server vouches for a text that says it is a JWT of the partners.
	forged := newSigner(t, partners.issuer).sign(partners.issuer, claims("app", "read"))
	opaque := "opaque"
	g.auth.issue(opaque, claims("app", "read"))
	g.auth.issue(forged, claims("app", "read"))
	if got := g.get("/old", opaque); got.status != 200 {
		t.Fatalf("the handler of the old server alone: got %d, want 200", got.status)
	}
	for range 2 {
		if got := g.get("/", forged); got.status != 401 {
			t.Errorf("a forged JWT: got %d, want 401", got.status)
		}
		if got := g.get("/", opaque); got.status != 200 {
			t.Errorf("an opaque token: got %d, want 200", got.status)
		}
	}
}

func TestSeveralProvidersThatCannotBeRight(t *testing.T) {
	app := "{\n\tgluu {\n\t\tprovider a {\n\t\t\tissuer https://a.example\n\t\t\tverify jwt\n\t\t}\n\t\tprovider b {\n\t\t\tissuer https://b.example\n\t\t\tissuers https://a.example\n\t\t\tverify jwt\n\t\t}\n\t}\n}\n:80 {\n%s\n}\n"
	for _, test := range []struct{ name, site, line, reason string }{
		{"twice", "gluu_oauth_auth a a", ":15", `providers names "a" twice: keep one of them`},
		{"unknown", "gluu_oauth_auth a c", ":15", `unknown provider "c": name one of a, b`},
		{"and one of its own", "gluu_oauth_auth a b {\nissuer https://c.example\n}", ":15", "leave out the names, or the settings of the other"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := caddytest.Adapt(fmt.Sprintf(app, test.site))
			if err == nil || !strings.Contains(err.Error(), test.line) || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("got %v, want line %s: %s", err, test.line, test.reason)
			}
		})
	}
	g := start(t, simpleApp, "gluu_oauth_auth\n"+noPEP)
	one := "provider a {\nissuer https://a.example\nverify jwt\n}\n"
	for _, test := range []struct{ name, app, site, reason string }{
		{"one issuer", one + "provider b {\nissuer https://b.example\nissuers https://a.example\nverify jwt\n}\n", "gluu_oauth_auth a b",
			`the providers "a" and "b" have the same issuer "https://a.example"`},
		{"one pattern", "provider a {\nissuer https://a.example/{tid}\ntenants x\njwks_uri https://a.example/k\nverify jwt\n}\nprovider b {\nissuer https://a.example/y\nverify jwt\n}\n",
			"gluu_oauth_auth b a", `have the same issuer "https://a.example/y"`},
		{"consumer of none", one + "consumer c {\ncustom_id app nowhere\n}\n", "gluu_oauth_auth a", `consumer "c": custom_id "app": unknown provider "nowhere": name one of a`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := g.tryLoad(test.app, test.site+"\n"+noPEP); err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("got %v, want %s", err, test.reason)
			}
		})
	}
}

// A consumer that names its provider is managed through the admin API.
func TestConsumersNameTheirProviderInTheAdminAPI(t *testing.T) {
	partners, staff := newSigner(t, "https://partners.example"), newSigner(t, "https://staff.example")
	app := partners.provider("partners", "verify jwt") + staff.provider("staff", "verify jwt")
	g, admin := startWithAdmin(t, app, "gluu_oauth_auth partners staff\n"+noPEP)
	for _, step := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"POST", "/gluu/consumers", `{"username":"partner","custom_id":"app","provider":"partners"}`, 201, `"provider":"partners"`},
		{"POST", "/gluu/consumers", `{"username":"employee","custom_id":"app","provider":"staff"}`, 201, `"provider":"staff"`},
		{"POST", "/gluu/consumers", `{"username":"third","custom_id":"app","provider":"staff"}`, 409, "custom_id"},
		{"POST", "/gluu/consumers", `{"username":"third","custom_id":"app","provider":"nowhere"}`, 400, "unknown provider"},
		{"GET", "/gluu/consumers?custom_id=app", "", 200, `"username":"partner"`},
		{"GET", "/gluu/consumers?custom_id=app", "", 200, `"username":"employee"`},
		{"PATCH", "/gluu/consumers/employee", `{"provider":null}`, 200, `"username":"employee"`},
		{"PATCH", "/gluu/consumers/employee", `{"provider":"staff"}`, 200, `"provider":"staff"`},
	} {
		if status, answer := g.admin(admin, step.method, step.path, step.body, nil); status != step.status || !strings.Contains(answer, step.answer) {
			t.Errorf("%s %s %s: got %d %s, want %d with %s", step.method, step.path, step.body, status, answer, step.status, step.answer)
		}
	}
	for from, want := range map[*signer]string{partners: "partner", staff: "employee"} {
		got := g.get("/", from.sign(from.issuer, claims("app", "")))
		if who := got.received("X-Consumer-Username"); got.status != 200 || !slices.Equal(who, []string{want}) {
			t.Errorf("a token of %s: got %d as %q, want %s", from.issuer, got.status, who, want)
		}
	}
}
