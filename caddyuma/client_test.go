// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/caddy-gluu/gateway/caddyoidc"
	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/optest"
)

// The tests of the UMA client run a gateway with an OpenID Provider and the UMA
// server that insists on what the standards say.

// clientSite is a site whose people log in.
type clientSite struct {
	*site
	op    *optest.OP
	login string // options of gluu_openid_connect
}

const clientConfig = `{
	%[1]s
	gluu {
		provider {
			issuer %[2]s
			introspection_endpoint %[2]s/introspect
			client_id gateway
			client_secret gateway-secret
			audience gateway
			verify introspection
			timeout 2s
		}
		provider login {
			issuer %[3]s
			client_id web
			client_secret web-secret
		}
	}
}
http://%[4]s {
	gluu_openid_connect login {
		logout_path /logout
		post_logout_redirect_path_or_url /goodbye
		%[6]s
	}
	gluu_uma_pep {
		path /goodbye {
			GET public
		}
		%[5]s
	}
	respond "passed {gluu.subject}"
}
`

// rpts is how most tests obtain tokens: the server knows a person by the ID token.
const rpts = `obtain_rpt
		pushed_claims id_token
		path /todos {
			GET scope todos:view
			POST scope todos:edit
		}
		path /notes {
			GET scope notes:view
		}
		path /profile {
			GET authenticated
		}
`

func startClient(t *testing.T, server harness.UMAConfig, rules string) *clientSite {
	t.Helper()
	c := &clientSite{op: optest.New(t)}
	if server.UserOf == nil {
		server.UserOf = c.op.SubjectOf
	}
	c.site = &site{TB: t, server: harness.StartUMAServer(t, server), dir: t.TempDir(), addr: caddytest.FreeAddress(t)}
	c.op.Client.RedirectURIs = []string{"http://" + c.addr + "/callback"}
	c.op.Client.PostLogout = []string{"http://" + c.addr + "/goodbye"}
	t.Setenv("XDG_DATA_HOME", c.dir)
	caddytest.StopAfter(t)
	c.run(rules)
	return c
}

// run loads rules and waits until the resources are registered.
func (c *clientSite) run(rules string) {
	c.Helper()
	source := fmt.Sprintf(clientConfig, caddytest.Options(c.dir, ""), c.server.Issuer, c.op.Issuer(), c.addr, rules, c.login)
	if err := caddytest.Run(source, c.addr); err != nil {
		c.Fatal(err)
	}
	harness.Eventually(c, 30*time.Second, func() string {
		if n, want := len(c.server.Resources()), strings.Count(rules, " scope "); n < want {
			return fmt.Sprintf("%d of %d resources are registered", n, want)
		}
		return ""
	})
}

// visitor is a person with a browser of their own.
type visitor struct {
	*clientSite
	name   string
	client *http.Client
}

// visitor logs a person in.
func (c *clientSite) visitor(name string) *visitor {
	c.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.Fatal(err)
	}
	v := &visitor{c, name, &http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	c.op.Lock()
	c.op.User.Subject = name
	c.op.Unlock()
	if a := v.open("/profile"); a.body != "passed "+name {
		c.Fatalf("%s cannot log in: %+v", name, a)
	}
	return v
}

var (
	navigation = http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Accept": {"text/html"}}
	script     = http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Site": {"same-origin"}, "Accept": {"application/json"}}
)

func (v *visitor) do(method, address string, header http.Header) answer {
	v.Helper()
	if strings.HasPrefix(address, "/") {
		address = "http://" + v.addr + address
	}
	req, err := http.NewRequest(method, address, nil)
	if err != nil {
		v.Fatal(err)
	}
	req.Header = header.Clone()
	res, err := v.client.Do(req)
	if err != nil {
		v.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		v.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// open opens a page, and follows redirects.
func (v *visitor) open(address string) answer { v.Helper(); return v.do("GET", address, navigation) }

// fetch is a request of a script.
func (v *visitor) fetch(method, path string) answer { v.Helper(); return v.do(method, path, script) }

// passes sends a request that must reach the upstream.
func (v *visitor) passes(path string) {
	v.Helper()
	if a := v.fetch("GET", path); a.status != 200 || a.body != "passed "+v.name {
		v.Errorf("%s at %s: got %d %s, want it to pass", v.name, path, a.status, a.body)
	}
}

// refused sends a request of a script that must be refused with an error code.
func (v *visitor) refused(path string, status int, code string) answer {
	v.Helper()
	a := v.fetch("GET", path)
	if a.status != status || !strings.Contains(a.body, `"error":"`+code+`"`) {
		v.Errorf("%s at %s: got %d %s, want %d %s", v.name, path, a.status, a.body, status, code)
	}
	return a
}

// later has the time of this process's memory of denials pass.
func (c *clientSite) later(d time.Duration) {
	authorities.Range(func(_, value any) bool {
		a := value.(*authority)
		now := a.now
		a.now = func() time.Time { return now().Add(d) }
		return true
	})
}

func TestAPersonGetsTheirPermission(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.server.Allow("alice", "todos:view")
	alice := c.visitor("alice")
	if n := c.server.Count("rpt"); n != 0 {
		t.Errorf("%d requests for a path that needs no permission", n)
	}
	for range 3 {
		alice.passes("/todos")
	}
	if tickets, tokens, asked := c.server.Count("permission"), c.server.Count("rpt"), c.server.Count("introspect"); tickets != 1 || tokens != 1 || asked != 1 {
		t.Errorf("%d tickets, %d token requests and %d introspections for three requests, want one of each", tickets, tokens, asked)
	}
	sent := c.server.RPTRequests()[0]
	if sent.Get("claim_token_format") != idTokenFormat || !strings.HasPrefix(sent.Get("authorization"), "Basic ") || sent.Has("rpt") || sent.Has("pct") {
		t.Errorf("the token endpoint received %v", sent)
	}
	alice.refused("/notes", 403, "access_denied")
	if a := alice.open("/notes"); a.status != 403 || !strings.Contains(a.body, "<h1>Access refused</h1>") {
		t.Errorf("a page: got %d %s", a.status, a.body)
	}
	if a := alice.fetch("POST", "/todos"); a.status != 403 {
		t.Errorf("another rule of the same path: got %+v", a)
	}
}

// Two people in turn through one gateway: S-170, S-181.
func TestSec_S170_S181_APermissionBelongsToOnePerson(t *testing.T) {
	for _, rules := range []string{rpts, strings.Replace(rpts, "pushed_claims id_token", "requesting_party access_token", 1)} {
		c := startClient(t, harness.UMAConfig{}, rules)
		c.server.Allow("alice", "todos:view")
		c.server.Allow("bob", "notes:view")
		alice, bob := c.visitor("alice"), c.visitor("bob")
		for range 2 {
			alice.passes("/todos")
			bob.refused("/todos", 403, "access_denied")
			bob.passes("/notes")
			alice.refused("/notes", 403, "access_denied")
		}
		if n := c.server.Count("rpt"); n != 4 {
			t.Errorf("%d token requests for two people and two rules, want 4", n)
		}
		seen := map[string]bool{}
		for _, sent := range c.server.RPTRequests() {
			if sent.Has("rpt") {
				t.Errorf("a request brought an earlier RPT, and no one has one for its rule: %v", sent)
			}
			seen[sent.Get("claim_token")+sent.Get("authorization")] = true
		}
		if len(seen) != 2 {
			t.Errorf("%d parties asked, want 2", len(seen))
		}
		stop(t)
	}
}

// A grant lives as long as the RPT, or its permission if that ends first: S-195.
func TestSec_S195_AGrantEndsWithTheRPT(t *testing.T) {
	c := startClient(t, harness.UMAConfig{RPTLife: 2 * time.Second}, rpts)
	c.server.Allow("alice", "todos:view")
	alice := c.visitor("alice")
	alice.passes("/todos")
	c.server.Allow("alice")
	harness.Eventually(t, 10*time.Second, func() string {
		if a := alice.fetch("GET", "/todos"); a.status != 403 {
			return fmt.Sprintf("after the end of the RPT: %d", a.status)
		}
		return ""
	})
	c.server.Allow("alice", "todos:view")
	alice.refused("/todos", 403, "access_denied") // remembered for a moment
	c.later(denialAge)
	alice.passes("/todos")
}

func TestLogoutEndsThePermission(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.server.Allow("alice", "todos:view")
	alice := c.visitor("alice")
	alice.passes("/todos")
	alice.open("/logout")
	alice.refused("/todos", 401, "login_required")
	c.visitor("alice").passes("/todos")
	if n := c.server.Count("rpt"); n != 2 {
		t.Errorf("%d token requests, want one for each session", n)
	}
}

func TestOneRequestForManyAtOnce(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.server.Allow("alice", "todos:view")
	alice, bob := c.visitor("alice"), c.visitor("bob")
	together(20, func() { alice.passes("/todos") })
	if n := c.server.Count("rpt"); n != 1 {
		t.Errorf("%d token requests for 20 requests at once, want 1", n)
	}
	together(20, func() { bob.refused("/todos", 403, "access_denied") })
	if n := c.server.Count("rpt"); n != 2 {
		t.Errorf("%d token requests after 20 that were denied at once, want 2", n)
	}
}

func TestAnApprovalIsWaitedFor(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.server.Allow("alice", "todos:view")
	c.server.AskOwner("alice", true)
	alice := c.visitor("alice")
	a := alice.refused("/todos", 403, "request_submitted")
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q, want what the server said", a.header.Get("Retry-After"))
	}
	if a := alice.open("/todos"); a.status != 403 || !strings.Contains(a.body, "Waiting for approval") {
		t.Errorf("a page: got %d %s", a.status, a.body)
	}
	if n := c.server.Count("rpt"); n != 1 {
		t.Errorf("%d token requests before the time was over, want 1", n)
	}
	c.later(2 * time.Second)
	alice.refused("/todos", 403, "request_submitted")
	c.server.AskOwner("alice", false)
	c.later(2 * time.Second)
	alice.passes("/todos")
	if tickets, tokens := c.server.Count("permission"), c.server.Count("rpt"); tickets != 1 || tokens != 3 {
		t.Errorf("%d tickets and %d token requests, want 1 and 3: the ticket of each answer is the next one", tickets, tokens)
	}
}

// A ticket that the server does not take any more is replaced, once.
func TestASpentTicketIsReplacedOnce(t *testing.T) {
	for name, test := range map[string]struct {
		refuse, tickets, tokens int
		passes                  bool
	}{
		"once":  {1, 2, 2, true},
		"twice": {2, 2, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := startClient(t, harness.UMAConfig{}, rpts)
			c.server.Allow("alice", "todos:view")
			alice := c.visitor("alice")
			left, asked := test.refuse, 0
			c.server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if r.PostFormValue("grant_type") != ticketGrant {
					return false
				}
				if asked++; left == 0 {
					return false
				}
				left--
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
				return true
			})
			if test.passes {
				alice.passes("/todos")
			} else {
				alice.refused("/todos", 502, "server_error")
			}
			if n := c.server.Count("permission"); n != test.tickets || asked != test.tokens {
				t.Errorf("%d tickets and %d token requests, want %d and %d", n, asked, test.tickets, test.tokens)
			}
		})
	}
}

func TestAnAnswerThatCannotBeUsed(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.server.Issue("of-another-api", map[string]any{"sub": "alice", "aud": "another", "client_id": "todo-app", "exp": time.Now().Unix() + 100})
	for body, status := range map[string]int{
		`{"error":"invalid_request"}`:                                                    400,
		`not JSON`:                                                                       200,
		`{"access_token":"x"}`:                                                           200,
		`{"access_token":"x","token_type":"mac"}`:                                        200,
		`{"access_token":"unknown-token","token_type":"Bearer"}`:                         200,
		`{"access_token":"of-another-api","token_type":"bearer"}`:                        200,
		`{"access_token":"x","token_type":"Bearer","expires_in":"soon"}`:                 200,
		`{"access_token":"x","access_token":"y","token_type":"Bearer"}`:                  200,
		`{"access_token":"` + strings.Repeat("x", maxRPT+1) + `","token_type":"Bearer"}`: 200,
	} {
		alice := c.visitor("alice")
		c.server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if r.PostFormValue("grant_type") != ticketGrant {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return true
		})
		if a := alice.fetch("GET", "/todos"); a.status != 502 {
			t.Errorf("%.60s: got %d %s, want 502", body, a.status, a.body)
		}
	}
}

// The server is unavailable in each step: 503, and nothing is lost by it.
func TestTheServerIsUnavailableInEachStep(t *testing.T) {
	for step, is := range map[string]func(r *http.Request) bool{
		"ticket":        func(r *http.Request) bool { return r.URL.Path == "/permissions" },
		"token":         func(r *http.Request) bool { return r.PostFormValue("grant_type") == ticketGrant },
		"introspection": func(r *http.Request) bool { return r.URL.Path == "/introspect" },
	} {
		t.Run(step, func(t *testing.T) {
			c := startClient(t, harness.UMAConfig{}, rpts)
			c.server.Allow("alice", "todos:view")
			alice := c.visitor("alice")
			c.server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if !is(r) {
					return false
				}
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			})
			a := alice.refused("/todos", 503, "temporarily_unavailable")
			if a.header.Get("Retry-After") == "" {
				t.Errorf("got no Retry-After: %v", a.header)
			}
			if a := alice.open("/todos"); a.status != 503 || !strings.Contains(a.body, "<h1>Temporarily unavailable</h1>") {
				t.Errorf("a page: got %d %s", a.status, a.body)
			}
			c.server.Intercept(nil)
			harness.Eventually(t, 20*time.Second, func() string {
				if a := alice.fetch("GET", "/todos"); a.status != 200 {
					return fmt.Sprintf("after the server came back: %d %s", a.status, a.body)
				}
				return ""
			})
		})
	}
}

// A live permission is used while the server is unavailable.
func TestALivePermissionNeedsNoServer(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.server.Allow("alice", "todos:view")
	alice := c.visitor("alice")
	alice.passes("/todos")
	c.server.Stop()
	alice.passes("/todos")
	alice.refused("/notes", 503, "temporarily_unavailable")
}

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

// The person's access token is what the server asks for: Keycloak's way.
func TestThePersonAsks(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, strings.Replace(rpts, "pushed_claims id_token", "requesting_party access_token", 1))
	c.server.Allow("alice", "todos:view")
	alice := c.visitor("alice")
	alice.passes("/todos")
	sent := c.server.RPTRequests()[0]
	if !strings.HasPrefix(sent.Get("authorization"), "Bearer at-") || sent.Has("claim_token") || sent.Has("client_id") || sent.Has("client_secret") {
		t.Errorf("the token endpoint received %v", sent)
	}
}

// An access token that the server does not take is no reason for an endless loop
// of logins.
func TestAnAccessTokenThatIsNotTaken(t *testing.T) {
	c := startClient(t, harness.UMAConfig{UserOf: func(string) string { return "" }}, strings.Replace(rpts, "pushed_claims id_token", "requesting_party access_token", 1))
	alice := c.visitor("alice")
	if a := alice.open("/todos"); a.status != 403 {
		t.Errorf("right after the login: got %d %s, want 403", a.status, a.body)
	}
	c.later(time.Minute) // for the gateway; a login is still made by the real clock
	alice.refused("/todos", 401, "login_required")
	alice.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if a := alice.open("/todos"); a.status != 302 || !strings.HasPrefix(a.header.Get("Location"), c.op.Issuer()+"/authorize?") {
		t.Errorf("later: got %d to %q, want the login", a.status, a.header.Get("Location"))
	}
}

// A path that needs a permission starts a login if an ID token is required, and
// answers with a ticket otherwise.
func TestWithoutASession(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.login = "unauthenticated pass"
	c.server.Allow("alice", "todos:view")
	c.run(rpts)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stranger := &visitor{c, "", &http.Client{Jar: jar}}
	c.ticket(stranger.fetch("GET", "/todos"))
	c.ticket(stranger.open("/todos"))
	c.run("require_id_token\n" + rpts)
	before := c.server.Count("permission")
	stranger.refused("/todos", 401, "login_required")
	c.op.Lock()
	c.op.User.Subject = "alice"
	c.op.Unlock()
	if a := stranger.open("/todos?a=b"); a.body != "passed alice" {
		t.Errorf("a person: got %d %s", a.status, a.body)
	}
	if n := c.server.Count("permission") - before; n != 1 {
		t.Errorf("%d tickets, want the one for the RPT", n)
	}
}

// What an ID token says about permissions is not an RPT.
func TestSec_S195_AnIDTokenIsNotAnRPT(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	id := c.server.Resources()["GET /todos"].ID
	c.op.Lock()
	c.op.EditIDToken = func(claims, _ map[string]any) {
		claims["permissions"] = []any{map[string]any{"resource_id": id, "resource_scopes": []string{"todos:view"}}}
	}
	c.op.Unlock()
	c.visitor("mallory").refused("/todos", 403, "access_denied")
}

// What the log says tells nothing that opens a door.
func TestNoRPTIsLogged(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.server.Allow("alice", "todos:view")
	alice := c.visitor("alice")
	alice.passes("/todos")
	alice.refused("/notes", 403, "access_denied")
	sent := c.server.RPTRequests()
	secrets := []string{sent[0].Get("ticket"), sent[0].Get("claim_token"), sent[1].Get("ticket")}
	lines := c.logged("request refused")
	if len(lines) != 1 || lines[0]["reason"] != "uma_denied" || lines[0]["rule"] != "/notes" {
		t.Errorf("got %v", lines)
	}
	text, err := json.Marshal(lines)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(secrets, func(secret string) bool { return strings.Contains(string(text), secret) }) {
		t.Errorf("the log has a secret: %s", text)
	}
}
