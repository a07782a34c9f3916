// SPDX-License-Identifier: Apache-2.0

package caddyconsumer

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gluu/gateway/caddyoauth"
	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// The Caddyfile of the tests: an address to authenticate in each of the ways
// that there are, in front of a site's ACL.
const source = `{
	%[1]s
	gluu {
		provider {
			issuer %[2]s
			introspection_endpoint %[2]s/introspect
			client_id gateway
			client_secret secret
			verify introspection
		}
		consumer ann {
			custom_id client-ann
			groups admins "night shift"
		}
		consumer bob {
			custom_id client-bob
			groups guests
		}
		consumer carl {
			custom_id client-carl
		}
		consumer guest {
			groups guests
		}
		consumer visitor
	}
}
http://%[3]s {
	# In any order: the directives know theirs.
	reverse_proxy %[4]s
	gluu_acl {
		%[5]s
	}
	%[6]s
}
`

type gateway struct {
	testing.TB
	address, dir, issuer string
	upstream             *httptest.Server
}

func start(t *testing.T) *gateway {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("POST /introspect", func(w http.ResponseWriter, r *http.Request) {
		token := r.PostFormValue("token") // the name of its client
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"active": strings.HasPrefix(token, "client-"), "client_id": token, "sub": "user", "scope": "read"})
	})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			if strings.Contains(strings.ToLower(name), "groups") {
				fmt.Fprintf(w, "%s: %q\n", name, values)
			}
		}
	}))
	t.Cleanup(upstream.Close)
	caddytest.StopAfter(t)
	return &gateway{TB: t, address: caddytest.FreeAddress(t), dir: t.TempDir(), issuer: server.URL, upstream: upstream}
}

func (g *gateway) load(acl, auth string) {
	g.Helper()
	text := fmt.Sprintf(source, caddytest.Options(g.dir, ""), g.issuer, g.address, g.upstream.Listener.Addr(), acl, auth)
	if err := caddytest.Run(text, g.address); err != nil {
		g.Fatal(err)
	}
}

func (g *gateway) get(token string) (*http.Response, string) {
	g.Helper()
	r, err := http.NewRequestWithContext(g.Context(), http.MethodGet, "http://"+g.address+"/", nil)
	if err != nil {
		g.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, forged := range []string{"X-Consumer-Groups", "x_consumer_groups", "X.Consumer.Groups"} {
		r.Header[forged] = []string{"forged"}
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		g.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		g.Fatal(err)
	}
	return res, string(body)
}

func TestGroupsDecide(t *testing.T) {
	g := start(t)
	const (
		allow, deny = "allow admins staff", "deny guests\ndeny others"
		mapped      = "gluu_oauth_auth"
		unmapped    = "gluu_oauth_auth {\nconsumer_mapping false\n}"
		optional    = "gluu_oauth_auth {\noptional\n}"
		guest       = "gluu_oauth_auth {\nanonymous guest\n}"
		visitor     = "gluu_oauth_auth {\nanonymous visitor\n}"
	)
	for _, test := range []struct {
		name, acl, auth, token string
		status                 int
		answer                 string // what the upstream got, or the message
		reason                 string
	}{
		{"in an allowed group", allow, mapped, "client-ann", 200, `X-Consumer-Groups: ["admins, night shift"]`, ""},
		{"in another group", allow, mapped, "client-bob", 403, "You cannot consume this service", "group_missing"},
		{"in no group", allow, mapped, "client-carl", 403, "You cannot consume this service", "group_missing"},
		{"a credential without a consumer", allow, unmapped, "client-else", 403, "You cannot consume this service", "group_missing"},
		{"no credential", allow, optional, "", 401, "Unauthorized", "no_token"},
		{"the anonymous consumer, which is in no group", allow, visitor, "", 401, "Unauthorized", "no_token"},
		{"the anonymous consumer, which is in another group", allow, guest, "", 401, "Unauthorized", "no_token"},
		{"the anonymous consumer in the allowed group", "allow guests", guest, "", 200, `X-Consumer-Groups: ["guests"]`, ""},
		{"nothing authenticates", allow, "", "client-ann", 401, "Unauthorized", "not_authenticated"},

		{"in no denied group", deny, mapped, "client-ann", 200, `X-Consumer-Groups: ["admins, night shift"]`, ""},
		{"in a denied group", deny, mapped, "client-bob", 403, "You cannot consume this service", "group_denied"},
		{"in no group at all", deny, mapped, "client-carl", 200, "", ""},
		{"a credential without a consumer that is denied", deny, unmapped, "client-else", 200, "", ""},
		{"no credential, and only others are denied", deny, optional, "", 200, "", ""},
		{"the anonymous consumer that is not denied", deny, visitor, "", 200, "", ""},
		{"the anonymous consumer that is denied", deny, guest, "", 401, "Unauthorized", "no_token"},
		{"nothing authenticates, and others are denied", deny, "", "client-ann", 401, "Unauthorized", "not_authenticated"},

		{"names differ by case", "allow Admins", mapped, "client-ann", 403, "You cannot consume this service", "group_missing"},
		{"a group with a space", `allow "night shift"`, mapped, "client-ann", 200, `X-Consumer-Groups: ["admins, night shift"]`, ""},
		{"the header is hidden", "allow admins\nhide_groups_header", mapped, "client-ann", 200, "", ""},
		{"the header is hidden, by value", "allow admins\nhide_groups_header false", mapped, "client-ann", 200, `X-Consumer-Groups: ["admins, night shift"]`, ""},
		{"a dry run", allow + "\ndry_run", mapped, "client-bob", 200, `X-Consumer-Groups: ["guests"]`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			g.TB = t
			g.load(test.acl, test.auth)
			before := len(caddytest.Records(t, g.dir, "request refused"))
			res, body := g.get(test.token)
			if strings.Contains(body, "forged") {
				t.Errorf("a forged header arrived: %s", body)
			}
			if res.StatusCode == http.StatusOK {
				if body = strings.TrimSpace(body); body != test.answer || test.status != http.StatusOK {
					t.Errorf("got 200 and the upstream received %q, want %d %q", body, test.status, test.answer)
				}
				return
			}
			var answer struct{ Error, Message string }
			if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Error == "" {
				t.Fatalf("got %d %s: %v", res.StatusCode, body, err)
			}
			if res.StatusCode != test.status || answer.Message != test.answer {
				t.Errorf("got %d %s, want %d %q", res.StatusCode, body, test.status, test.answer)
			}
			if challenge := res.Header.Get("WWW-Authenticate"); (challenge != "") != (test.status == http.StatusUnauthorized) {
				t.Errorf("got the challenge %q with status %d", challenge, test.status)
			}
			refused := caddytest.Records(t, g.dir, "request refused")[before:]
			if len(refused) != 1 || refused[0]["reason"] != test.reason {
				t.Errorf("got the records %v, want one with the reason %s", refused, test.reason)
			}
		})
	}
}

// A group that no consumer has is probably misspelled, and one in deny then
// denies nothing.
func TestGroupsThatNobodyHasAreWarnedAbout(t *testing.T) {
	g := start(t)
	g.load("deny guests guest", "gluu_oauth_auth")
	const warning = "no consumer is in a group that gluu_acl names: write 'groups' into a consumer, or correct the name"
	// The warning comes once the configuration runs.
	records := caddytest.Records(t, g.dir, warning)
	for end := time.Now().Add(10 * time.Second); len(records) == 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
		records = caddytest.Records(t, g.dir, warning)
	}
	if len(records) != 1 || records[0]["group"] != "guest" {
		t.Errorf("got %v, want one warning, about guest", records)
	}
}

// Groups of one consumer that are longer together than a header can be are not
// sent in part.
func TestTooManyGroupsAreNotSent(t *testing.T) {
	g := start(t)
	var groups strings.Builder
	for i := range 40 {
		fmt.Fprintf(&groups, " %s%d", strings.Repeat("g", 400), i)
	}
	text := strings.Replace(source, "groups guests\n", "groups staff"+groups.String()+"\n", 1)
	if err := caddytest.Run(fmt.Sprintf(text, caddytest.Options(g.dir, ""), g.issuer, g.address, g.upstream.Listener.Addr(), "allow staff", "gluu_oauth_auth"), g.address); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if res, body := g.get("client-bob"); res.StatusCode != http.StatusOK || body != "" {
			t.Errorf("got %d %q, want 200 and no header", res.StatusCode, body)
		}
	}
	if records := caddytest.Records(t, g.dir, "X-Consumer-Groups was not sent to the upstream: the groups of a consumer are too long together"); len(records) != 1 {
		t.Errorf("got %d warnings, want one", len(records))
	}
}
