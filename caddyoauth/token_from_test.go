// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// newEcho is an upstream that answers with the whole of what it received.
func newEcho(t testing.TB) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s\n", r.Method, r.RequestURI)
		_ = r.Header.Write(w)
		fmt.Fprintf(w, "\n%s", body)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// elsewhere is a site whose tokens are in all places.
func elsewhere(upstream, options string) string {
	return `gluu_oauth_auth {
	token_from authorization
	token_from header X-Access-Token
	token_from query access_token
	token_from cookie tok
	token_from form
	` + options + `
}
reverse_proxy ` + upstream + ` {
	header_up X-Original {http.request.orig_uri}
	header_up X-Query {http.request.orig_uri.query}
}
`
}

// post is a form with further lines of the head.
func (g *gateway) post(target, form string, lines ...string) answer {
	g.Helper()
	head := append([]string{"POST " + target + " HTTP/1.1", "Host: " + g.address, "Content-Type: application/x-www-form-urlencoded", fmt.Sprintf("Content-Length: %d", len(form))}, lines...)
	return g.send(strings.Join(head, "\n") + "\n\n" + form)
}

// A token in any of the places identifies the caller and does not reach the
// upstream. What is beside it does, byte for byte.
func TestTokensElsewhere(t *testing.T) {
	g := start(t, simpleApp, elsewhere(newEcho(t), ""))
	g.auth.issue("tok123", claims("client-a", "read"))
	tests := []struct {
		name   string
		got    func() answer
		status int
		want   []string // parts of what the upstream received
	}{
		{"authorization", func() answer { return g.get("/a?x", "tok123") }, 200, []string{"GET /a?x\n", "Authorization: Bearer tok123"}},
		{"header", func() answer { return g.get("/a", "", "X-Access-Token: tok123") }, 200, nil},
		{"header with a scheme", func() answer { return g.get("/a", "", "x-access-token: bearer  tok123") }, 200, nil},
		{"header in two spellings", func() answer { return g.get("/a", "", "X-Access-Token: tok123", "X_Access_Token: tok123") }, 200, nil},
		{"query", func() answer { return g.get("/a?x=%2f&access_token=tok123&y=+", "") }, 200, []string{"GET /a?x=%2f&y=+\n", "X-Original: /a?x=%2f&y=+\r\n", "X-Query: x=%2f&y=+\r\n"}},
		{"query alone", func() answer { return g.get("/a?access_token=tok123", "") }, 200, []string{"GET /a\n", "X-Original: /a\r\n"}},
		{"cookie", func() answer { return g.get("/a", "", "Cookie: a=1;tok=tok123; b=2") }, 200, []string{"Cookie: a=1; b=2\r\n"}},
		{"form", func() answer { return g.post("/a", "x=%2f&access_token=tok123&y=+") }, 200, []string{"Content-Length: 9\r\n", "\n\nx=%2f&y=+"}},
		{"beside Basic credentials", func() answer { return g.get("/a?access_token=tok123", "", "Authorization: Basic YTpi") }, 200, []string{"GET /a\n"}},
		{"two places", func() answer { return g.get("/a?access_token=tok123", "tok123") }, 400, nil},
		{"two other places", func() answer { return g.post("/a?access_token=tok123", "access_token=tok123") }, 400, nil},
		{"twice in a query", func() answer { return g.get("/a?access_token=tok123&access_token=tok123", "") }, 400, nil},
		{"twice in cookies", func() answer { return g.get("/a", "", "Cookie: tok=tok123", "Cookie: tok=tok123") }, 400, nil},
		{"two headers", func() answer { return g.get("/a", "", "X-Access-Token: tok123", "X-Access-Token: tok123") }, 400, nil},
		{"a malformed Authorization header beside it", func() answer { return g.get("/a?access_token=tok123", "", "Authorization: Bearer") }, 400, nil},
		{"not a token", func() answer { return g.get("/a?access_token=tok+123", "") }, 400, nil},
		{"too long", func() answer { return g.get("/a?access_token="+strings.Repeat("a", 16<<10+1), "") }, 400, nil},
		{"empty", func() answer { return g.get("/a?access_token=", "") }, 401, nil},
		{"wrong", func() answer { return g.get("/a?access_token=tok124", "") }, 401, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := test.got()
			if got.status != test.status {
				t.Fatalf("got %d %s, want %d", got.status, got.body, test.status)
			}
			for _, part := range test.want {
				if !strings.Contains(got.body, part) {
					t.Errorf("the upstream received\n%s\nwant %q in it", got.body, part)
				}
			}
			if test.status != 200 {
				return
			}
			if !strings.Contains(got.body, "X-Consumer-Username: ann") {
				t.Errorf("the upstream received\n%s\nwant the consumer ann", got.body)
			}
			isHeader := test.name == "authorization"
			if strings.Contains(got.body, "tok123") != isHeader || strings.Contains(got.body, "Basic") {
				t.Errorf("the upstream received a credential:\n%s", got.body)
			}
			if private := got.header.Get("Cache-Control") == "private"; private == isHeader {
				t.Errorf("Cache-Control is %q; a token elsewhere makes the answer private", got.header.Get("Cache-Control"))
			}
		})
	}
	if vary := strings.Join(g.get("/a", "tok123").header.Values("Vary"), ", "); vary != "Authorization, Cookie, X-Access-Token" {
		t.Errorf("Vary is %q", vary)
	}
	logged, err := os.ReadFile(filepath.Join(g.dir, "log.json"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(logged), "tok123") {
		t.Errorf("a token is in the log:\n%s", logged)
	}
}

// With several_tokens first the order of token_from decides, and no token that did
// not decide goes on.
func TestTheFirstOfSeveralTokens(t *testing.T) {
	g := start(t, simpleApp, `gluu_oauth_auth {
	token_from authorization
	token_from form
	token_from query access_token
	several_tokens first
}
reverse_proxy `+newEcho(t)+"\n")
	g.auth.issue("good", claims("client-a", "read"))
	for _, test := range []struct {
		name   string
		got    func() answer
		status int
		want   string
	}{
		{"header before query", func() answer { return g.get("/a?access_token=other", "good") }, 200, "Authorization: Bearer good"},
		{"header before form", func() answer { return g.post("/a", "access_token=other", "Authorization: Bearer good") }, 200, "Authorization: Bearer good"},
		{"form before query", func() answer { return g.post("/a?access_token=other", "access_token=good") }, 200, "POST /a\n"},
		{"query after an empty form", func() answer { return g.post("/a?access_token=good", "x=1") }, 200, "x=1"},
		{"an invalid one decides", func() answer { return g.get("/a?access_token=good", "other") }, 401, ""},
		{"an invalid form decides", func() answer { return g.post("/a?access_token=good", "access_token=other") }, 401, ""},
		{"two in one place", func() answer { return g.get("/a?access_token=good&access_token=good", "") }, 400, ""},
		{"two in a place that does not decide", func() answer { return g.get("/a?access_token=other&access_token=other", "good") }, 200, "GET /a\n"},
		{"a malformed header", func() answer { return g.get("/a?access_token=good", "", "Authorization: Bearer") }, 400, ""},
		{"Basic credentials beside the query", func() answer { return g.get("/a?access_token=good", "", "Authorization: Basic other") }, 200, "GET /a\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.got()
			if got.status != test.status || !strings.Contains(got.body, test.want) {
				t.Errorf("got %d %s, want %d and %q", got.status, got.body, test.status, test.want)
			}
			if test.status == 200 && strings.Contains(got.body, "other") {
				t.Errorf("a token that did not decide reached the upstream:\n%s", got.body)
			}
		})
	}
}

// Only the places that are named count: an Authorization header that is none of
// them neither identifies the caller nor goes on beside one who is.
func TestOnlyNamedPlacesCount(t *testing.T) {
	g := start(t, simpleApp, "gluu_oauth_auth {\ntoken_from query t\n}\nreverse_proxy "+newEcho(t)+"\n")
	g.auth.issue("tok123", claims("client-a", "read"))
	g.auth.issue("other", claims("client-a", "read"))
	if got := g.get("/", "tok123"); got.status != 401 || g.lastReason() != "no_token" {
		t.Errorf("a token in the header: got %d %s, want 401 no_token", got.status, g.lastReason())
	}
	if got := g.get("/?t=tok123", "other", "DPoP: proof"); got.status != 200 || strings.Contains(got.body, "other") || strings.Contains(got.body, "proof") {
		t.Errorf("a token in the header beside the one of the query: got %d, the upstream received\n%s", got.status, got.body)
	}
	if got := g.get("/?access_token=tok123", ""); got.status != 401 {
		t.Errorf("a parameter of another name: got %d, want 401", got.status)
	}
}

// A refused request reaches an error route without the token, also one that is
// refused where the site begins.
func TestErrorRoutesDoNotSeeTokensElsewhere(t *testing.T) {
	g := start(t, simpleApp+"error_format caddy\n", "gluu_oauth_auth /api/* {\ntoken_from query t\n}\nreverse_proxy "+newEcho(t)+`
handle_errors {
	reverse_proxy `+newEcho(t)+`
}
`)
	for _, target := range []string{"/api/x?t=tok123", "/api/%5cx?t=tok123", "/api/x?t=tok123&t=tok123"} {
		if got := g.get(target, ""); !strings.HasPrefix(got.body, "GET /api/") || strings.Contains(got.body, "tok123") {
			t.Errorf("%s: the error route received\n%s", target, got.body)
		}
	}
}

// In a dry run tokens elsewhere are read, and arrive as they were sent.
func TestADryRunLeavesTokensElsewhere(t *testing.T) {
	g := start(t, simpleApp, elsewhere(newEcho(t), "dry_run"))
	g.auth.issue("tok123", claims("client-a", "read"))
	for name, got := range map[string]answer{
		"query":  g.get("/a?access_token=tok123&x", ""),
		"cookie": g.get("/a", "", "Cookie: tok=tok123"),
		"header": g.get("/a", "", "X-Access-Token: tok123"),
		"form":   g.post("/a", "access_token=tok123"),
	} {
		if got.status != 200 || !strings.Contains(got.body, "tok123") || !strings.Contains(got.body, "X-Consumer-Username: ann") {
			t.Errorf("%s: got %d, the upstream received\n%s", name, got.status, got.body)
		}
	}
}

// anonymous_on missing makes only callers without a token the anonymous consumer.
func TestAnonymousOn(t *testing.T) {
	for _, test := range []struct {
		option, token string
		status        int
	}{
		{"", "", 200}, {"", "made-up", 200}, {"", "unmapped", 200},
		{"anonymous_on failed", "", 200}, {"anonymous_on failed", "made-up", 200},
		{"anonymous_on missing", "", 200}, {"anonymous_on missing", "made-up", 401}, {"anonymous_on missing", "unmapped", 401},
		{"anonymous_on missing", "good", 200},
	} {
		t.Run(test.option+" "+test.token, func(t *testing.T) {
			g := start(t, simpleApp, "gluu_oauth_auth {\nanonymous guest\n"+test.option+"\n}\n"+noPEP)
			g.auth.issue("good", claims("client-a", "read"))
			g.auth.issue("unmapped", claims("client-b", "read"))
			if got := g.get("/", test.token); got.status != test.status {
				t.Errorf("got %d, want %d", got.status, test.status)
			}
		})
	}
}

// max_token moves the limit for the tokens of a provider.
func TestMaxToken(t *testing.T) {
	for _, test := range []struct {
		option string
		most   int
	}{{"", 16 << 10}, {"max_token 1KiB", 1 << 10}, {"max_token 18KiB", 18 << 10}} {
		t.Run(test.option, func(t *testing.T) {
			app := strings.Replace(provider, "verify introspection", "verify introspection\n"+test.option, 1)
			app = strings.ReplaceAll(app, "%[1]s", "{issuer}") + simpleApp
			g := start(t, app, "gluu_oauth_auth\n"+noPEP)
			longest := strings.Repeat("a", test.most)
			g.auth.issue(longest, claims("client-a", "read"))
			for range 2 { // the second time from the cache
				if got := g.get("/", longest); got.status != 200 {
					t.Errorf("a token of %d bytes: got %d %s, want 200", test.most, got.status, got.body)
				}
			}
			if got := g.get("/", longest+"a"); got.status != 400 || !strings.Contains(got.body, "KiB") {
				t.Errorf("a token of %d bytes: got %d %s, want 400", test.most+1, got.status, got.body)
			}
		})
	}
}

func TestPlacesThatCannotBeRight(t *testing.T) {
	for _, test := range []struct{ name, options, line, reason string }{
		{"no place", "token_from", ":3", "token_from takes one place on each line"},
		{"three values", "token_from header a b", ":3", "got 3 values"},
		{"unknown place", "token_from body", ":3", `token_from is authorization, header <name>, query <name>, cookie <name> or form, not "body"`},
		{"without a name", "token_from query", ":3", "token_from query needs a name: write 'token_from query <name>'"},
		{"an empty name", "token_from query \"\"", ":3", "token_from query has an empty name"},
		{"a form with a name", "token_from form token", ":3", `token_from form takes no name, got "token": remove it`},
		{"authorization as a header", "token_from header authorization", ":3", "write 'token_from authorization'"},
		{"a header of another meaning", "token_from header Cookie", ":3", "no token can be in this header"},
		{"a header that is none", "token_from header \"X Token\"", ":3", "no token can be in this header"},
		{"a header of the gateway", "token_from header X_Consumer_ID", ":3", "the gateway sets this header itself"},
		{"a header of the handler", "token_from header X-Mine\nheader X-Mine introspect_data.sub", ":2", "the option header sets it"},
		{"a placeholder", "token_from query {$NAME:x}{http.request.host}", ":3", "placeholders are not replaced"},
		{"a cookie that is none", "token_from cookie \"a b\"", ":3", "is not the name of a cookie"},
		{"twice", "token_from query a\ntoken_from query a", ":4", "token_from query a is named twice"},
		{"a header twice", "token_from header X-A\ntoken_from header x_a", ":4", "token_from header x_a is named twice"},
		{"anonymous_on without anonymous", "anonymous_on missing", ":2", "anonymous_on missing has no effect without an anonymous consumer"},
		{"anonymous_on of nothing", "anonymous_on", ":3", "anonymous_on takes exactly one value"},
		{"anonymous_on wrong", "anonymous_on never", ":3", `anonymous_on is failed or missing, not "never"`},
		{"anonymous_on twice", "anonymous a\nanonymous_on failed\nanonymous_on missing", ":5", "anonymous_on is set twice"},
		{"max_token too small", "max_token 10", ":3", "max_token is a size from 1KiB to 1MiB, not 10 bytes"},
		{"max_token too large", "max_token 2MiB", ":3", "max_token is a size from 1KiB to 1MiB"},
		{"max_token of nothing", "max_token 0", ":3", "max_token"},
		{"max_token that is none", "max_token much", ":3", "max_token is a size such as 256MiB"},
		{"max_token twice", "max_token 2KiB\nmax_token 2KiB", ":4", "max_token is set twice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := caddytest.Adapt("http://localhost {\ngluu_oauth_auth {\n" + test.options + "\n}\n}\n")
			if err == nil || !strings.Contains(err.Error(), test.reason) || !strings.Contains(err.Error(), test.line) {
				t.Errorf("got %v\nwant line %s: %s", err, test.line, test.reason)
			}
		})
	}
}

// What loads and has consequences is said in the log.
func TestPlacesAreWarnedAbout(t *testing.T) {
	g := start(t, simpleApp, elsewhere(newEcho(t), ""))
	for _, part := range []string{"token_from query: tokens of the query are in Caddy's access log", "token_from cookie: browsers send cookies"} {
		logged, err := os.ReadFile(filepath.Join(g.dir, "log.json"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(logged), part) {
			t.Errorf("the log does not say %q", part)
		}
	}
}

// The filter that the page of gluu_oauth_auth shows keeps tokens out of the access
// log, where they would be without it.
func TestTheAccessLogFilterRemovesTokensElsewhere(t *testing.T) {
	for _, filtered := range []bool{false, true} {
		log := filepath.Join(t.TempDir(), "access.json")
		format := ""
		if filtered {
			format = "format filter {\nfields {\nrequest>uri query {\ndelete access_token\n}\nrequest>headers>X-Access-Token delete\n}\n}\n"
		}
		g := start(t, simpleApp, "log {\noutput file "+log+"\n"+format+"}\n"+elsewhere(newEcho(t), ""))
		g.auth.issue("tok123", claims("client-a", "read"))
		for _, got := range []answer{
			g.get("/a?access_token=tok123&x=1", ""), g.get("/b", "", "X-Access-Token: tok123"),
			g.get("/c", "", "Cookie: tok=tok123"), g.get("/d", "tok123"), g.post("/e", "access_token=tok123"),
		} {
			if got.status != 200 {
				t.Fatalf("got %d", got.status)
			}
		}
		if err := stop(); err != nil { // which flushes the log
			t.Fatal(err)
		}
		lines, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if found := strings.Count(string(lines), "tok123"); (found == 0) != filtered || !strings.Contains(string(lines), "/e") {
			t.Errorf("filtered %t: a token is %d times in\n%s", filtered, found, lines)
		}
	}
}
