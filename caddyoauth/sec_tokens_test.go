// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/consumer"
)

func TestSec_S46_ATokenFromTheCacheIsJudgedByEachRoute(t *testing.T) {
	g := start(t, simpleApp, "gluu_oauth_auth\n"+`
		@one path /one/*
		gluu_oauth_pep @one {
			path /one/?? {
				GET scope foo
			}
		}
		@two path /two/*
		gluu_oauth_pep @two {
			path /two/?? {
				GET scope bar
			}
		}
		reverse_proxy {upstream}`)
	for _, order := range [][]string{{"/one/x", "/two/x"}, {"/two/x", "/one/x"}} {
		token := "foo" + strings.ReplaceAll(order[0], "/", "-")
		g.auth.issue(token, claims("client-a", "foo"))
		for range 2 {
			for _, target := range order {
				want := 403
				if target == "/one/x" {
					want = 200
				}
				if got := g.get(target, token); got.status != want {
					t.Errorf("%v: %s got %d, want %d", order, target, got.status, want)
				}
			}
		}
	}
}

// A decision depends on the captures, the rule and each scope by itself.
func TestSec_S48_NoDecisionIsTakenForAnother(t *testing.T) {
	g := start(t, simpleApp, `
		handle_path /one/* {
			gluu_oauth_auth
			gluu_oauth_pep {
				path /user/? {
					GET scope ^user:(?<PC1>.+)$
				}
				path /same {
					GET scope a and b
				}
				path /joined {
					GET scope a:b
				}
			}
			reverse_proxy {upstream}
		}
		handle_path /two/* {
			gluu_oauth_auth
			gluu_oauth_pep {
				path /same {
					GET scope c
				}
				path /joined {
					GET scope a and b
				}
			}
			reverse_proxy {upstream}
		}`)
	g.auth.issue("one", claims("client-a", "user:1 a b"))
	g.auth.issue("joined", claims("client-a", "a:b"))
	g.auth.issue("delimiters", claims("client-a", "user:1/2 user:a,b user:x:y a|b"))
	for range 2 {
		for request, want := range map[string]int{
			"one /one/user/1": 200, "one /one/user/2": 403, "one /one/user/11": 403,
			"one /one/same": 200, "one /two/same": 403, "one /one/joined": 403, "one /two/joined": 200,
			"joined /one/joined": 200, "joined /two/joined": 403,
			"delimiters /one/user/1": 403, "delimiters /one/user/a,b": 200, "delimiters /one/user/x:y": 200, "delimiters /one/user/x": 403, "delimiters /one/same": 403,
		} {
			token, target, _ := strings.Cut(request, " ")
			if got := g.get(target, token); got.status != want {
				t.Errorf("%s: got %d, want %d", request, got.status, want)
			}
		}
	}
}

func TestSec_S49_HeadersAreThoseOfTheRouteAndTheLatestClaims(t *testing.T) {
	app := simpleApp + "cache {\nmax_age 50ms\n}\n"
	g := start(t, app, `
		handle_path /one/* {
			gluu_oauth_auth {
				header X-Role introspect_data.role
			}
			reverse_proxy {upstream}
		}
		handle_path /two/* {
			gluu_oauth_auth {
				header X-Level introspect_data.level
			}
			reverse_proxy {upstream}
		}`)
	g.auth.issue("good", claims("client-a", "read", "role", "admin", "level", 7))
	g.expectReceived(g.get("/one/", "good"), map[string]string{"X-Role": "admin", "X-Level": ""})
	g.expectReceived(g.get("/two/", "good"), map[string]string{"X-Role": "", "X-Level": "7"})
	g.expectReceived(g.get("/one/", "good"), map[string]string{"X-Role": "admin", "X-Level": ""})

	g.auth.issue("good", claims("client-a", "read", "role", "user"))
	deadline := time.Now().Add(20 * time.Second)
	for !slices.Equal(g.get("/one/", "good").received("X-Role"), []string{"user"}) {
		if time.Now().After(deadline) {
			t.Fatal("the claims of the next introspection never came through")
		}
		time.Sleep(5 * time.Millisecond)
	}
	g.expectReceived(g.get("/two/", "good"), map[string]string{"X-Level": ""})
}

// A reload changes rules, consumers and headers for tokens that are remembered.
func TestAReloadHoldsForTokensThatAreRemembered(t *testing.T) {
	site := `gluu_oauth_auth {
			header X-Version %[1]s
		}
		gluu_oauth_pep {
			path /x {
				GET scope %[2]s
			}
		}
		reverse_proxy {upstream}`
	g := start(t, simpleApp, fmt.Sprintf(site, "`\"1\"`", "read"))
	g.auth.issue("good", claims("client-a", "read"))
	g.expectReceived(g.get("/x", "good"), map[string]string{"X-Version": "1", "X-Consumer-Username": "ann"})
	asked := g.auth.asked
	g.load("consumer bob {\ncustom_id client-a\n}\n", fmt.Sprintf(site, "`\"2\"`", "read"))
	g.expectReceived(g.get("/x", "good"), map[string]string{"X-Version": "2", "X-Consumer-Username": "bob"})
	g.load("consumer bob {\ncustom_id client-a\n}\n", fmt.Sprintf(site, "`\"2\"`", "admin"))
	if got := g.get("/x", "good"); got.status != 403 {
		t.Errorf("got %d after the rule has changed, want 403", got.status)
	}
	g.load("consumer carl {\ncustom_id client-c\n}\n", fmt.Sprintf(site, "`\"2\"`", "read"))
	if got := g.get("/x", "good"); got.status != 401 {
		t.Errorf("got %d after the consumer is gone, want 401", got.status)
	}
	if g.auth.asked != asked {
		t.Errorf("the authorization server was asked %d times, want the token to be remembered", g.auth.asked-asked)
	}
}

// The token, and the secret of the gateway, are in nothing that is written
// anywhere.
func TestSec_S54_NoTokenIsWrittenAnywhere(t *testing.T) {
	g := start(t, simpleApp+"\nerror_format caddy\n", "gluu_oauth_auth {\nanonymous guest\n}\n"+`gluu_oauth_pep {
			path /x {
				GET scope read
			}
			path /y {
				GET scope admin
			}
			log_grants
		}
		log
		metrics /metrics
		reverse_proxy {upstream}
		handle_errors {
			respond "{err.status_code} {err.message} {gluu.error} {gluu.error.description} {gluu.error.reason} {gluu.rule}"
		}`)
	const valid, invalid = "SeCrEtToKeN.valid-1234567890", "SeCrEtToKeN.invalid-1234567890"
	g.auth.issue(valid, claims("client-a", "read"))
	var answers []string
	for _, target := range []string{"/x", "/y", "/z", "/a%2fb", "/x?access_token=other"} {
		for _, lines := range [][]string{
			{"Authorization: Bearer " + valid}, {"Authorization: Bearer " + invalid}, {"Authorization: DPoP " + valid},
			{"Authorization: Bearer " + valid + " " + valid}, {"Authorization: Bearer " + valid, "Authorization: Bearer " + valid},
			{"Authorization: Bearer " + invalid + "\x80"},
		} {
			got := g.get(target, "", lines...)
			if got.status == 200 && strings.HasPrefix(got.body, "GET ") {
				continue // the upstream shows what it received
			}
			answers = append(answers, fmt.Sprint(got.header), got.body)
		}
	}
	g.auth.setDown(true)
	got := g.get("/x", "SeCrEtToKeN.other")
	answers = append(answers, fmt.Sprint(got.header), got.body)
	if len(answers) < 20 {
		t.Fatalf("got only %d answers", len(answers))
	}
	for _, answer := range answers {
		if strings.Contains(answer, "SeCrEtToKeN") {
			t.Errorf("an answer contains the token: %s", answer)
		}
	}
	files := 0
	err := filepath.WalkDir(g.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), "SeCrEtToKeN") || strings.Contains(string(content), "Z2F0ZXdheTpzZWNyZXQ") {
			t.Errorf("%s contains a token or the gateway's secret", path)
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files were looked at (%v)", files, err)
	}
	if len(g.records("request granted")) == 0 {
		t.Error("log_grants logged nothing")
	}
}

// However many paths, methods, subjects and clients there are, the number of
// series depends on the configuration alone.
func TestSec_S78_SeriesAreBounded(t *testing.T) {
	g := start(t, simpleApp, "gluu_oauth_auth {\nanonymous guest\nconsumer_mapping false\n}\n"+`gluu_oauth_pep {
			path /todos/?? {
				GET scope read
				? scope admin
			}
		}
		reverse_proxy {upstream}
		`)
	g.load(simpleApp, `handle /metrics {
			metrics
		}
		handle {
			gluu_oauth_auth {
				consumer_mapping false
			}
			gluu_oauth_pep {
				path /todos/?? {
					GET scope read
					? scope admin
				}
			}
			respond ok
		}`)
	series := func() []string {
		t.Helper()
		var found []string
		for line := range strings.Lines(g.get("/metrics", "").body) {
			if strings.HasPrefix(line, "gluu_") && strings.Contains(line, "client_") || strings.HasPrefix(line, "gluu_endpoint") {
				name, _, _ := strings.Cut(line, "} ")
				found = append(found, strings.TrimSpace(name))
			}
		}
		slices.Sort(found)
		return found
	}
	request := func(i int) {
		token := fmt.Sprint("token-", i)
		g.auth.issue(token, map[string]any{"client_id": fmt.Sprint("client-", i), "sub": fmt.Sprint("subject-", i), "scope": "read", "aud": "api"})
		g.get(fmt.Sprintf("/todos/%d/x", i), token)
		g.get(fmt.Sprintf("/other-%d", i), token)
		g.request(fmt.Sprintf("M%d", i), "/todos", token)
		g.get("/todos", fmt.Sprint("invalid-", i))
	}
	request(0)
	g.auth.issue("known", claims("client-a", "read"))
	g.get("/todos/1", "known")
	before := series()
	for i := range 100 {
		request(i)
	}
	after := series()
	if len(before) < 8 {
		t.Fatalf("got only the series %q", before)
	}
	if names := func(s []string) string { return strings.Join(keys(s), "\n") }; names(before) != names(after) {
		t.Errorf("got the series\n%s\nafter\n%s", names(after), names(before))
	}
	for _, want := range []string{
		`gluu_oauth_client_authenticated{consumer="ann",provider="default"`, `gluu_oauth_client_authenticated{consumer="",provider="default"`,
		`gluu_oauth_client_granted{consumer="ann"`, `gluu_endpoint_method{endpoint="/todos/??",method="GET"`,
		`gluu_endpoint_method{endpoint="/todos/??",method="other"`, `gluu_client_refused{reason="no_rule",rule=""`,
		`gluu_client_refused{reason="scope_missing",rule="/todos/??"`, "gluu_total_client_authenticated", "gluu_total_client_granted",
	} {
		if !slices.ContainsFunc(after, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("missing series %s in\n%s", want, strings.Join(after, "\n"))
		}
	}
}

// keys returns series without their values.
func keys(series []string) []string {
	names := make([]string, len(series))
	for i, s := range series {
		names[i], _, _ = strings.Cut(s, " ")
	}
	return names
}

func TestStepUpChallenges(t *testing.T) {
	now := time.Now().Unix()
	g := start(t, simpleApp, "gluu_oauth_auth\n"+`gluu_oauth_pep {
			path /pay {
				POST scope pay {
					acr gold platinum
					max_age 5m
				}
				GET scope pay
			}
			path /recent {
				GET scope pay {
					max_age 60s
				}
			}
		}
		reverse_proxy {upstream}`)
	g.auth.issue("strong", claims("client-a", "pay", "acr", "gold", "auth_time", now-10))
	g.auth.issue("old", claims("client-a", "pay", "acr", "gold", "auth_time", now-400))
	g.auth.issue("weak", claims("client-a", "pay", "acr", "silver", "auth_time", now-10))
	g.auth.issue("silent", claims("client-a", "pay"))
	g.auth.issue("text", claims("client-a", "pay", "acr", "gold", "auth_time", "yesterday"))
	g.auth.issue("unscoped", claims("client-a", "other", "acr", "gold", "auth_time", now-10))
	const both = `Bearer realm="api", error="insufficient_user_authentication", acr_values="gold platinum", max_age="300"`
	const recent = `Bearer realm="api", error="insufficient_user_authentication", max_age="60"`
	for request, want := range map[string]string{
		"strong POST /pay": "", "old POST /pay": both, "weak POST /pay": both, "silent POST /pay": both, "text POST /pay": both,
		"unscoped POST /pay": `Bearer realm="api", error="insufficient_scope", scope="pay"`,
		"silent GET /pay":    "", "strong GET /recent": "", "silent GET /recent": recent, "old GET /recent": recent,
	} {
		fields := strings.Fields(request)
		got := g.request(fields[1], fields[2], fields[0])
		if challenge := got.header.Get("Www-Authenticate"); challenge != want || (want == "") != (got.status == 200) {
			t.Errorf("%s: got %d %q, want %q", request, got.status, challenge, want)
		}
	}
}

func TestErrorsGoToTheErrorRoutes(t *testing.T) {
	g := start(t, simpleApp+"\nerror_format caddy\n", "gluu_oauth_auth {\nrealm `my \"api\" \\ x`\n}\n"+simplePEP+`
		handle_errors {
			header X-Page mine
			respond "{err.status_code} {gluu.error}|{gluu.error.reason}|{gluu.rule}|{gluu.client_id}"
		}`)
	g.auth.issue("narrow", claims("client-a", "other"))
	tests := []struct {
		method, target, token string
		status                int
		challenge, body       string
	}{
		{"GET", "/todos/1", "", 401, `Bearer realm="my \"api\" \\ x"`, "401 unauthorized|no_token||{gluu.client_id}"},
		{"GET", "/todos/1", "bad", 401, `Bearer realm="my \"api\" \\ x", error="invalid_token"`, "401 invalid_token|token_inactive||{gluu.client_id}"},
		{"GET", "/todos/1", "narrow", 403, `Bearer realm="my \"api\" \\ x", error="insufficient_scope", scope="read list"`, "403 insufficient_scope|scope_missing|/todos/?|client-a"},
		{"GET", "/none", "narrow", 403, "", "403 access_denied|no_rule||client-a"},
		{"GET", "/a%2fb", "narrow", 400, "", "400 invalid_request|ambiguous_path||client-a"},
	}
	for _, test := range tests {
		got := g.request(test.method, test.target, test.token)
		if got.status != test.status || got.header.Get("Www-Authenticate") != test.challenge || got.body != test.body ||
			got.header.Get("X-Page") != "mine" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: got %d %v %q, want %d %q %q", test.target, test.token, got.status, got.header, got.body, test.status, test.challenge, test.body)
		}
	}
}

// The order in which directives are written does not matter, a route block
// keeps it: then the mistake refuses, and says so.
func TestAPEPWithoutAuthenticationRefuses(t *testing.T) {
	pep := "gluu_oauth_pep {\npath /x {\nGET scope not admin\n}\n}\n"
	g := start(t, simpleApp, pep+"reverse_proxy {upstream}\ngluu_oauth_auth\n")
	g.auth.issue("good", claims("client-a", "read"))
	if got := g.get("/x", "good"); got.status != 200 {
		t.Errorf("got %d %s with the directives in another order", got.status, got.body)
	}
	for _, site := range []string{
		"route {\n" + pep + "gluu_oauth_auth\nreverse_proxy {upstream}\n}\n",
		pep + noPEP,
		"vars gluu.identity x\n" + pep + noPEP,
	} {
		g.load(simpleApp, site)
		for _, token := range []string{"good", ""} {
			if got := g.get("/x", token); got.status != 403 || got.code() != "access_denied" {
				t.Errorf("%s: got %d %s, want 403", site, got.status, got.body)
			}
		}
		records := g.records("request refused")
		if last := records[len(records)-1]; last["reason"] != "not_authenticated" || last["level"] != "error" || last["rule"] != "/x" {
			t.Errorf("got the record %v, want an error with the reason not_authenticated", last)
		}
	}
}

func TestAnOwnProviderOfTheHandler(t *testing.T) {
	g := start(t, "consumer ann {\ncustom_id client-a\n}\nprovider other {\nissuer https://other.example\nclient_id x\nclient_secret y\naudience z\n}\n", `gluu_oauth_auth {
			op_url {issuer}
			introspection_endpoint {issuer}/introspect
			client_id gateway
			client_secret secret
			verify introspection
			audience api
		}
		reverse_proxy {upstream}`)
	g.auth.issue("good", claims("client-a", "read"))
	g.expectReceived(g.get("/", "good"), map[string]string{"X-Consumer-ID": consumer.DeriveID("ann")})
}

// S-41: that there is a bearer token says nothing about who is calling.
func TestSec_S41_ATokenIsNotAnIdentity(t *testing.T) {
	for name, c := range map[string]struct {
		directive      string
		status, opened int
	}{
		"without an anonymous consumer": {"gluu_oauth_auth\n", 401, 401},
		"with one":                      {"gluu_oauth_auth {\nanonymous guest\n}\n", 401, 200},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, simpleApp, c.directive+strings.Replace(simplePEP, "gluu_oauth_pep {", "gluu_oauth_pep {\ndeny_by_default false", 1))
			for _, junk := range []string{"junk", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", strings.Repeat("x", 16<<10)} {
				if got := g.get("/todos/1", junk); got.status != c.status {
					t.Errorf("a path with a rule, token %.30q: got %d, want %d", junk, got.status, c.status)
				}
				if got := g.get("/open", junk); got.status != c.opened {
					t.Errorf("a path without a rule, token %.30q: got %d, want %d", junk, got.status, c.opened)
				} else if strings.Contains(got.body, junk) || (got.status == 200 && !strings.Contains(strings.ToLower(got.body), "x-anonymous-consumer: true")) {
					t.Errorf("a path without a rule, token %.30q: the upstream received %s", junk, got.body)
				}
			}
		})
	}
}
