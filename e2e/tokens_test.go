// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// kinds are the two kinds of access token that the server gives out.
var kinds = []struct{ name, resource string }{
	{"opaque", harness.Opaque},
	{"jwt", harness.JWT},
}

// Each line is one request to an API with the rules of todoRules.
func TestOnlyTokensWithTheRightScopePass(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			a := site{}.start(t)
			token := func(scopes string) string { return a.server.Token(t, todoApp, kind.resource, scopes) }
			read, write, hh := token("todos:read"), token("todos:write email"), token("todos:hh")

			a.refused(harness.Request{Method: "GET", Target: "/todos"}, noToken)
			a.refused(harness.Request{Method: "POST", Target: "/todos"}, noToken)

			// Plain scopes, by method.
			a.passed(get("/todos", read))
			a.passed(harness.Request{Method: "HEAD", Target: "/todos", Fields: []harness.Field{harness.Bearer(read)}})
			a.refused(harness.Request{Method: "POST", Target: "/todos", Fields: []harness.Field{harness.Bearer(read)}},
				missingScope("todos:write"))
			a.passed(harness.Request{Method: "POST", Target: "/todos", Fields: []harness.Field{harness.Bearer(write)}, Body: "x=1"})
			a.refused(get("/todos", write), missingScope("todos:read"))

			// A scope bound to the path: one token, another element.
			a.passed(get("/todos/hh", hh))
			a.refused(get("/todos/ll", hh), missingScope(""))
			a.passed(get("/todos/hh/items/1", hh))
			a.refused(get("/todos/hhh", hh), missingScope(""))
			a.refused(get("/todos/h", hh), missingScope(""))

			// An expression.
			a.passed(get("/staff/list", token("admin customer")))
			a.refused(get("/staff/list", token("admin")), missingScope(""))
			a.refused(get("/staff/list", token("employee customer")), missingScope(""))

			// What no rule names.
			a.refused(get("/elsewhere", read), noRule)
			a.refused(harness.Request{Method: "DELETE", Target: "/todos", Fields: []harness.Field{harness.Bearer(read)}}, noRule)
		})
	}
}

// The Authorization header decides between "no token", "bad request" and
// "invalid token".
func TestMalformedCredentials(t *testing.T) {
	t.Parallel()
	a := site{}.start(t)
	valid := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
	fields := func(values ...string) []harness.Field {
		var fields []harness.Field
		for _, value := range values {
			fields = append(fields, harness.Field{Name: "Authorization", Value: value})
		}
		return fields
	}
	for _, test := range []struct {
		name   string
		fields []harness.Field
		want   want
	}{
		{"another scheme", fields("Basic dG9kbzphcHA="), noToken},
		{"empty", fields(""), noToken},
		{"no token after the scheme", fields("Bearer"), malformed},
		{"only a space after the scheme", fields("Bearer "), malformed},
		{"two tokens in one line", fields("Bearer " + valid + " " + valid), malformed},
		{"two lines", fields("Bearer "+valid, "Bearer "+valid), malformed},
		{"a line of another scheme beside it", fields("Basic dG9kbzphcHA=", "Bearer "+valid), malformed},
		{"not token68", fields("Bearer " + valid + "\"'<>"), malformed},
		{"a comma", fields("Bearer " + valid + ","), malformed},
		{"over 16 KiB", fields("Bearer " + strings.Repeat("a", 16<<10+1)), malformed},
		{"unknown", fields("Bearer " + strings.Repeat("a", 43)), inactiveToken},
		{"as long as it may be", fields("Bearer " + strings.Repeat("a", 16<<10)), inactiveToken},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := *a
			in.t = t
			for _, client := range a.Clients() {
				in.refusedOver(client, harness.Request{Method: "GET", Target: "/todos", Fields: test.fields}, test.want)
			}
		})
	}

	t.Run("the scheme's case does not matter", func(t *testing.T) {
		for _, scheme := range []string{"bearer", "BEARER", "bEaReR"} {
			a.passed(harness.Request{Target: "/todos", Fields: fields(scheme + " " + valid)})
		}
	})
	t.Run("a token outside of Authorization is ignored", func(t *testing.T) {
		// Not the one above: Caddy's access log has the query and these
		// headers in it.
		exposed := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
		a.refused(harness.Request{Method: "GET", Target: "/todos?access_token=" + exposed}, noToken)
		a.refused(harness.Request{Method: "GET", Target: "/todos", Fields: []harness.Field{
			{Name: "Cookie", Value: "access_token=" + exposed},
			{Name: "X-Authorization", Value: "Bearer " + exposed},
			{Name: "Proxy-Authorization", Value: "Bearer " + exposed},
		}}, noToken)
	})
}

func TestForgedTokens(t *testing.T) {
	t.Parallel()
	a := site{}.start(t)
	jwt := a.server.Token(t, todoApp, harness.JWT, "todos:read")
	header, payload, signature := split(t, jwt)
	other := a.server.Token(t, todoApp, harness.JWT, "todos:write")
	_, otherPayload, _ := split(t, other)

	a.passed(get("/todos", jwt))
	// Without a signature it is not a JWT, so the server is asked about it.
	for name, token := range map[string]string{
		"no signature":   header + "." + payload + ".",
		"algorithm none": encode(`{"alg":"none","typ":"at+jwt"}`) + "." + payload + ".",
	} {
		t.Run(name, func(t *testing.T) {
			if response := a.Get("/todos", harness.Bearer(token)); response.Status != 401 {
				t.Errorf("got %s, want status 401", response)
			}
		})
	}
	for name, token := range map[string]string{
		"another payload":    header + "." + otherPayload + "." + signature,
		"HMAC":               encode(`{"alg":"HS256","typ":"at+jwt"}`) + "." + payload + "." + signature,
		"a key of one's own": encode(`{"alg":"RS256","typ":"at+jwt","jwk":{"kty":"oct","k":"AAAA"}}`) + "." + payload + "." + signature,
		"an unknown key":     encode(`{"alg":"RS256","typ":"at+jwt","kid":"unknown"}`) + "." + payload + "." + signature,
		"cut short":          jwt[:len(jwt)-10],
	} {
		t.Run(name, func(t *testing.T) {
			in := *a
			in.t = t
			in.refused(get("/todos", token), invalidToken)
		})
	}
}

// A JWT of another issuer cannot be verified here, so the authorization
// server is asked, and this one answers 400 to a question about any JWT. It
// must not count as an outage: otherwise five made-up tokens would lock out
// all clients.
func TestTokensOfAnotherIssuerDoNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	a := site{server: ownServer(t)}.start(t)
	jwt := a.server.Token(t, todoApp, harness.JWT, "todos:read")
	header, _, signature := split(t, jwt)
	for i := range 12 {
		foreign := header + "." + encode(`{"iss":"https://elsewhere.example","n":`+strings.Repeat("1", i+1)+`}`) + "." + signature
		if response := a.Get("/todos", harness.Bearer(foreign)); response.Status != 401 {
			t.Errorf("foreign token %d: got %s, want status 401", i, response)
		}
	}
	a.passed(get("/todos", a.server.Token(t, todoApp, harness.Opaque, "todos:read")))
}

func TestExpiredTokens(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			a := site{}.start(t)
			token := a.server.Token(t, todoApp, kind.resource+":3", "todos:read")
			deadline := time.Now().Add(3 * time.Second)
			a.passed(get("/todos", token)) // in the cache from here on
			harness.Eventually(t, 10*time.Second, func() string {
				response := a.Get("/todos", harness.Bearer(token))
				switch response.Status {
				case 200:
					return "the token still passes"
				case 401:
					return ""
				default:
					t.Fatalf("got %s, want 200 or 401", response)
					return ""
				}
			})
			// Seconds are whole in a token: one may be cut off.
			if early := time.Until(deadline); early > 1100*time.Millisecond {
				t.Errorf("refused %s before it expired", early)
			}
			if late := time.Since(deadline); late > time.Second {
				t.Errorf("accepted for %s after it expired", late)
			}
			// A JWT names its own expiry; for an opaque token the server only
			// says that it is not active.
			expired := inactiveToken
			if kind.resource == harness.JWT {
				expired.reason = "token_expired"
			}
			a.refused(get("/todos", token), expired)
		})
	}
}

func TestRevokedTokens(t *testing.T) {
	t.Parallel()
	a := site{app: "cache {\n max_age 1s\n negative_age 1s\n}"}.start(t)
	unseen, seen := a.server.Token(t, todoApp, harness.Opaque, "todos:read"), a.server.Token(t, todoApp, harness.Opaque, "todos:read")
	a.passed(get("/todos", seen))
	a.server.Revoke(t, todoApp, unseen)
	a.server.Revoke(t, todoApp, seen)
	a.refused(get("/todos", unseen), inactiveToken)
	harness.Eventually(t, 5*time.Second, func() string {
		if response := a.Get("/todos", harness.Bearer(seen)); response.Status == 200 {
			return "the token still passes, longer than max_age after it was revoked"
		}
		return ""
	})
	a.refused(get("/todos", seen), inactiveToken)
}

// The audience is another API of the same authorization server.
func TestTokensForAnotherAudience(t *testing.T) {
	t.Parallel()
	a := site{}.start(t)
	person := harness.Person{Client: portal, Subject: "alice", Scopes: "todos:read"}
	// Without a resource the token has no audience.
	a.refused(get("/todos", a.server.PersonalToken(t, person)), invalidToken)
}

// The upstream learns who calls: the consumer, the client, the person.
func TestUpstreamHeadersOfAVerifiedCaller(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			a := site{app: "consumer portal {\n custom_id portal\n}"}.start(t)

			echo := a.passed(get("/todos", a.server.Token(t, todoApp, kind.resource, "todos:read email")))
			for name, want := range map[string]string{
				"X-Consumer-ID":         "5c9ec0ef-1f0b-4d0a-9c53-3f1c3f2a7a01",
				"X-Consumer-Custom-ID":  todoApp,
				"X-Consumer-Username":   "todo-app",
				"X-OAuth-Client-ID":     todoApp,
				"X-Authenticated-Scope": "todos:read email",
				"X-Anonymous-Consumer":  "",
			} {
				if got := echo.Value(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if got := echo.Value("X-OAuth-Expiration"); got == "" {
				t.Error("X-OAuth-Expiration is missing")
			}
			if got := echo.Value("Authorization"); !strings.HasPrefix(got, "Bearer ") {
				t.Errorf("Authorization: got %q, want it passed on", got)
			}

			person := harness.Person{Client: portal, Subject: "alice", Scopes: "todos:read", Resource: kind.resource}
			echo = a.passed(get("/todos", a.server.PersonalToken(t, person)))
			if got := echo.Value("X-Authenticated-Userid"); got != "alice" {
				t.Errorf("X-Authenticated-Userid: got %q, want alice", got)
			}
			if got := echo.Value("X-Consumer-Username"); got != "portal" {
				t.Errorf("X-Consumer-Username: got %q, want portal", got)
			}
		})
	}
}

func TestHideKeepsTheCredentialFromTheUpstream(t *testing.T) {
	t.Parallel()
	a := site{auth: "pass_credentials hide"}.start(t)
	for _, client := range a.Clients() {
		echo := a.passedOver(client, get("/todos", a.server.Token(t, todoApp, harness.Opaque, "todos:read")))
		if got := echo.Values("Authorization"); len(got) > 0 {
			t.Errorf("%s: the upstream received Authorization %q, want none", client.Protocol(), got)
		}
		if got := echo.Value("X-OAuth-Client-ID"); got != todoApp {
			t.Errorf("%s: X-OAuth-Client-ID: got %q, want %q", client.Protocol(), got, todoApp)
		}
	}
}

func TestConsumerMapping(t *testing.T) {
	t.Parallel()
	unknown := invalidToken
	unknown.reason = "unknown_consumer"

	strict := site{}.start(t)
	stranger := strict.server.Token(t, secondApp, harness.Opaque, "todos:read")
	strict.refused(get("/todos", stranger), unknown)

	lax := site{auth: "consumer_mapping false"}.start(t)
	echo := lax.passed(get("/todos", stranger))
	if got := echo.Value("X-OAuth-Client-ID"); got != secondApp {
		t.Errorf("X-OAuth-Client-ID: got %q, want %q", got, secondApp)
	}
	for _, name := range []string{"X-Consumer-ID", "X-Consumer-Username", "X-Consumer-Custom-ID"} {
		if got := echo.Values(name); len(got) > 0 {
			t.Errorf("%s: got %q for a client that is not a consumer, want none", name, got)
		}
	}
}
