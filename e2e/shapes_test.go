// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

const shapesCaddyfile = `
{
	gluu {
		provider people {
			issuer {$ISSUER}
			discovery_url {$ISSUER}/metadata
			verify jwt
			client_id_claims client_id azp appid consumerKey
			grants scope
			grants scp
			grants permissions can:
			grants roles app:
			grants realm_access.roles realm:
			grants resource_access["todo.api"].roles role:
		}
		provider machines {
			issuer machines
			issuers urn:machines:old
			jwks_uri {$ISSUER}/keys
			verify jwt
			max_token 2KiB
		}
		consumer job {
			custom_id same-id machines
		}
		consumer a {
			custom_id a
		}
		consumer b {
			custom_id b
		}
		consumer c {
			custom_id c
		}
		consumer d {
			custom_id d
		}
		consumer e {
			custom_id e
			id 5c9ec0ef-1f0b-4d0a-9c53-3f1c3f2a7a01
		}
		consumer person {
			custom_id same-id people
		}
	}
}
{$SITE} {
	gluu_oauth_auth people machines {
		optional
		token_from authorization
		token_from query access_token
	}
	gluu_oauth_pep {
		encoded_slashes keep
		path /open {
			GET public
		}
		path /me {
			GET authenticated
		}
		path /admin {
			GET scope realm:admin or role:admin or app:admin or can:admin
		}
		path /projects/? {
			GET authenticated
		}
		path /x/{(?=a)(a|aa)+b} {
			GET scope realm:admin
		}
	}
	reverse_proxy {$UPSTREAM} {
		header_up X-Rate {gluu.rate_key}
	}
}
`

// shapes is a gateway with two issuers, whose tokens the test signs.
type shapes struct {
	*harness.Gateway
	t      *testing.T
	key    keyPair
	issuer string
}

func startShapes(t *testing.T) *shapes {
	t.Helper()
	key := newKeyPair(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain") // as some servers and shares say
		switch base := "http://" + r.Host; r.URL.Path {
		case "/metadata":
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, base, base+"/keys")
		case "/keys":
			fmt.Fprintf(w, `{"keys":[%s,"alg":"ES256","kid":"k"}]}`, strings.TrimSuffix(key.jwk, "}"))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	g := harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: shapesCaddyfile, Env: map[string]string{"ISSUER": server.URL, "UPSTREAM": harness.StartUpstream(t).Addr},
	})
	s := &shapes{Gateway: g, t: t, key: key, issuer: server.URL}
	g.WaitReady("/me", harness.Bearer(s.token(`"client_id":"a"`)))
	return s
}

// token is one with these claims beside the times, of people unless they name the
// issuer.
func (s *shapes) token(claims string) string {
	if !strings.Contains(claims, `"iss"`) {
		claims = fmt.Sprintf(`"iss":%q,%s`, s.issuer, claims)
	}
	if !strings.Contains(claims, `"nbf"`) {
		claims += fmt.Sprintf(`,"nbf":%d`, time.Now().Unix())
	}
	now := time.Now().Unix()
	return s.key.sign(s.t, `{"alg":"ES256","kid":"k","typ":"JWT"}`, fmt.Sprintf(`{%s,"iat":%d,"exp":%d}`, claims, now-1, now+600))
}

// Tokens as servers issue them, and what is asked with them, through the binary:
// roles and permissions, the claims that name a client, several issuers on one
// route, words for issuers, metadata as text, public rules, kept slashes, escapes,
// tokens in the query, the limit of a token.
func TestShapesOfTokensAndRequests(t *testing.T) {
	t.Parallel()
	s := startShapes(t)
	for _, test := range []struct {
		name, target, claims string
		status               int
		header, want         string // what the upstream is told
	}{
		{"a role of a realm", "/admin", `"azp":"a","realm_access":{"roles":["admin"]}`, 200, "X-OAuth-Client-ID", "a"},
		{"a role of a client", "/admin", `"azp":"a","resource_access":{"todo.api":{"roles":["admin"]}}`, 200, "X-Authenticated-Scope", "role:admin"},
		{"a role of another client", "/admin", `"azp":"a","resource_access":{"todo":{"roles":["admin"]}}`, 403, "", ""},
		{"a role of an application", "/admin", `"appid":"b","roles":["admin"],"ver":"1.0"`, 200, "X-OAuth-Client-ID", "b"},
		{"a permission", "/admin", `"azp":"a","permissions":["admin"]`, 200, "X-Authenticated-Scope", "can:admin"},
		{"a role whose name has the other within", "/admin", `"azp":"a","roles":["administrator"]`, 403, "", ""},
		{"a scope is not a role", "/admin", `"azp":"a","scope":"admin"`, 403, "", ""},
		{"scp and a time as a text", "/me", `"appid":"b","scp":"openid todos","auth_time":"2026-11-21T08:03:51.011Z"`, 200, "X-Authenticated-Scope", "openid todos"},
		{"consumerKey", "/me", `"consumerKey":"c"`, 200, "X-OAuth-Client-ID", "c"},
		{"a person by provider", "/me", `"client_id":"same-id"`, 200, "X-Consumer-Username", "person"},
		{"a job by provider", "/me", `"iss":"machines","client_id":"same-id"`, 200, "X-Consumer-Username", "job"},
		{"a further name of the issuer", "/me", `"iss":"urn:machines:old","client_id":"same-id"`, 200, "X-Consumer-Username", "job"},
		{"an issuer of nobody", "/me", `"iss":"https://elsewhere.example","client_id":"same-id"`, 401, "", ""},
		{"an ID token", "/me", `"aud":"same-id","azp":"same-id","nonce":"n","auth_time":1,"sub":"ann"`, 401, "", ""},
		{"a token beyond max_token", "/me", `"iss":"machines","client_id":"d","pad":"` + strings.Repeat("p", 3000) + `"`, 401, "", ""},
		{"the same where 16 KiB are allowed", "/me", `"client_id":"d","pad":"` + strings.Repeat("p", 3000) + `"`, 200, "X-OAuth-Client-ID", "d"},
		{"a token that no rule asks for", "/open", `"client_id":"d"`, 200, "", ""},
		{"no rule", "/other", `"client_id":"d"`, 403, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			response := s.Get(test.target, harness.Bearer(s.token(test.claims)))
			if response.Status != test.status {
				t.Fatalf("got %s, want %d", response, test.status)
			}
			if test.header != "" && response.Echo().Value(test.header) != test.want {
				t.Errorf("%s: got %q, want %q", test.header, response.Echo().Value(test.header), test.want)
			}
		})
	}
	for target, want := range map[string]int{"/open": 200, "/me": 401, "/admin": 401, "/other": 403, "/x/" + strings.Repeat("a", 200): 401} {
		if response := s.Get(target); response.Status != want {
			t.Errorf("%s without a token: got %s, want %d", target, response, want)
		}
	}
	bearer := harness.Bearer(s.token(`"client_id":"d"`))
	for _, target := range []string{"/projects/group%2Fname", "/projects/a%2Bb", "/projects/%40scope%2Fpkg", "/projects/a+b", "/projects/a%3Ab"} {
		if response := s.Get(target, bearer); response.Status != 200 || response.Echo().Target != target {
			t.Errorf("%s: got %s, want it at the upstream as it was sent", target, response)
		}
	}
	inQuery := s.token(`"client_id":"e"`)
	s.Forbid(inQuery)
	response := s.Get("/me?access_token=" + inQuery + "&a=b")
	if response.Status != 200 || response.Echo().Target != "/me?a=b" || response.Echo().Value("X-OAuth-Client-ID") != "e" {
		t.Errorf("in the query: got %s", response)
	}
	if got := response.Echo().Value("X-Rate"); got != "5c9ec0ef-1f0b-4d0a-9c53-3f1c3f2a7a01" {
		t.Errorf("rate_key: got %q, want the consumer's id", got)
	}
}

// A token whose time is seven seconds ahead is refused, and accepted when it has
// come: the refusal is not remembered beyond it.
func TestARefusalDoesNotOutliveItsReason(t *testing.T) {
	t.Parallel()
	s := startShapes(t)
	nbf := time.Now().Add(7 * time.Second)
	bearer := harness.Bearer(s.token(fmt.Sprintf(`"client_id":"d","nbf":%d`, nbf.Unix())))
	if response := s.Get("/me", bearer); response.Status != 401 {
		t.Fatalf("got %s, want 401", response)
	}
	harness.Eventually(t, 9*time.Second, func() string {
		if response := s.Get("/me", bearer); response.Status != 200 {
			return response.String()
		}
		return ""
	})
}
