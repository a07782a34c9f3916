// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/pathmatch"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

func policyOf(t *testing.T, document string) *scopeexpr.Policy {
	t.Helper()
	policy, err := Compile("rules", []byte(document), "", scopeexpr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// RFC 9470: what the token says of the user's authentication, and the age that
// is still allowed, to the second.
func TestAuthenticationIsStrongAndRecentEnough(t *testing.T) {
	policy := policyOf(t, `[
		{"path":"/acr","conditions":[{"httpMethods":["GET"],"scope_expression":{"rule":{"var":0},"data":["a"]},"acr":["gold","silver"]}]},
		{"path":"/age","conditions":[{"httpMethods":["GET"],"scope_expression":{"rule":{"var":0},"data":["a"]},"max_age":60}]},
		{"path":"/both","conditions":[{"httpMethods":["GET"],"scope_expression":{"rule":{"var":0},"data":["a"]},"acr":["gold"],"max_age":60}]},
		{"path":"/none","conditions":[{"httpMethods":["GET"],"scope_expression":{"rule":{"var":0},"data":["a"]}}]}
	]`)
	now := time.Unix(1_000_000, 0)
	for _, test := range []struct {
		path, claims string
		want         bool
	}{
		{"/none", `{}`, true},
		{"/acr", `{"acr":"gold"}`, true},
		{"/acr", `{"acr":"silver"}`, true},
		{"/acr", `{"acr":"Gold"}`, false},
		{"/acr", `{"acr":["gold"]}`, false},
		{"/acr", `{"acr":""}`, false},
		{"/acr", `{}`, false},
		{"/age", `{"auth_time":999940}`, true},
		{"/age", `{"auth_time":999939}`, false},
		{"/age", `{"auth_time":999940.9}`, true},
		{"/age", `{"auth_time":1000005}`, true},
		{"/age", `{"auth_time":1000006}`, false},
		{"/age", `{"auth_time":2000000}`, false},
		{"/age", `{"auth_time":"999990"}`, false},
		{"/age", `{"auth_time":"1970-01-12T13:45:40Z"}`, true},
		{"/age", `{"auth_time":"1970-01-12T13:45:39.999Z"}`, false},
		{"/age", `{"auth_time":"1970-01-12T15:45:40.000+02:00"}`, true},
		{"/age", `{"auth_time":"0001-01-01T00:00:00Z"}`, false},
		{"/age", `{"auth_time":"9999-12-31T23:59:59Z"}`, false},
		{"/age", `{"auth_time":0}`, false},
		{"/age", `{"auth_time":-5}`, false},
		{"/age", `{"auth_time":1e300}`, false},
		{"/age", `{}`, false},
		{"/both", `{"acr":"gold","auth_time":999990}`, true},
		{"/both", `{"acr":"gold","auth_time":1}`, false},
		{"/both", `{"acr":"silver","auth_time":999990}`, false},
	} {
		event := eventOf(&token.Token{ClaimsJSON: test.claims})
		memo := &Memo{event: func() authenticationEvent { return event }}
		refusal := memo.authentication(policy.Find("GET", test.path), now)
		if (refusal == nil) != test.want {
			t.Errorf("%s %s: got %v, want it to pass: %t", test.path, test.claims, refusal, test.want)
		}
	}
}

// A stream is judged again when rules have changed. That time has passed since it was
// admitted does not count, and all that the rules ask for does.
func TestTheAuthenticationBehindAStreamDoesNotAge(t *testing.T) {
	policy := policyOf(t, `[
		{"path":"/age","conditions":[{"httpMethods":["GET"],"scope_expression":{"rule":{"var":0},"data":["a"]},"max_age":60}]},
		{"path":"/acr","conditions":[{"httpMethods":["GET"],"scope_expression":{"rule":{"var":0},"data":["a"]},"acr":["gold"],"max_age":60}]}
	]`)
	now, admitted := time.Unix(1_000_000, 0), time.Unix(990_000, 0)
	e := new(Enforcer)
	e.now = func() time.Time { return now }
	for name, test := range map[string]struct {
		path, claims string
		caller       explain.Caller
		want         bool
	}{
		"a request of now":                       {"/age", `{"auth_time":989990}`, explain.Caller{}, false},
		"recent when it was admitted":            {"/age", `{"auth_time":989990}`, explain.Caller{AdmittedAt: admitted}, true},
		"to the second":                          {"/age", `{"auth_time":989940}`, explain.Caller{AdmittedAt: admitted}, true},
		"too old for the new rule even then":     {"/age", `{"auth_time":989939}`, explain.Caller{AdmittedAt: admitted}, false},
		"authenticated again since":              {"/age", `{"auth_time":995000}`, explain.Caller{AdmittedAt: admitted}, true},
		"a moment in the future":                 {"/age", `{"auth_time":1000005}`, explain.Caller{AdmittedAt: admitted}, true},
		"in the future":                          {"/age", `{"auth_time":1000006}`, explain.Caller{AdmittedAt: admitted}, false},
		"no word about it":                       {"/age", `{}`, explain.Caller{AdmittedAt: admitted}, false},
		"too weak for the new rule":              {"/acr", `{"auth_time":989990,"acr":"silver"}`, explain.Caller{AdmittedAt: admitted}, false},
		"strong and recent when it was admitted": {"/acr", `{"auth_time":989990,"acr":"gold"}`, explain.Caller{AdmittedAt: admitted}, true},
		"a session that knows better":            {"/acr", `{}`, explain.Caller{AdmittedAt: admitted, LoggedIn: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			test.caller.Token = &token.Token{ClaimsJSON: test.claims, Scopes: []string{"a"}}
			refusal := e.explainRule(new(explain.Decision), policy.Find("GET", test.path), test.path, &test.caller)
			if (refusal == nil) != test.want {
				t.Errorf("got %v, want it to go on: %t", refusal, test.want)
			}
		})
	}
}

func TestThePathOfTheRequestBecomesTheCanonicalOne(t *testing.T) {
	for target, want := range map[string]struct{ path, uri string }{
		"/a/b?x=%2f":    {"/a/b", "/a/b?x=%2f"},
		"/%61//b?x":     {"/a/b", "/a/b?x"},
		"http://h/%61?": {"/a", "/a?"},
		"http://h":      {"/", "/"},
		"/a%20b":        {"/a b", "/a%20b"},
		"/\xc3\xa9":     {"/é", "/%C3%A9"},
		"/a(b)!":        {"/a(b)!", "/a(b)!"},
	} {
		r := httptest.NewRequest("GET", target, nil)
		got, err := canonicalize(r, new(scopeexpr.Policy).CheckMethod, pathmatch.Options{})
		if err != nil || got != want.path || r.URL.RequestURI() != want.uri {
			t.Errorf("%s: got %q, %v and %s is sent; want %q and %s", target, got, err, r.URL.RequestURI(), want.path, want.uri)
		}
		if decoded, err := pathmatch.Canonicalize(r.URL, pathmatch.Options{}); err != nil || decoded.Decoded != got || decoded.Escaped != "" {
			t.Errorf("%s: what is sent is decided on as %+v, %v", target, decoded, err)
		}
	}
	connect := &http.Request{Method: http.MethodConnect, URL: httptest.NewRequest("GET", "/a", nil).URL}
	for _, allow := range []bool{false, true} {
		if _, err := canonicalize(connect, new(scopeexpr.Policy).CheckMethod, pathmatch.Options{AllowAmbiguous: allow}); !pathmatch.IsAmbiguous(err) {
			t.Errorf("CONNECT: got %v", err)
		}
	}
}

func TestExpressionsKeepTheirQuotes(t *testing.T) {
	for line, want := range map[string]string{
		`a and b`:             `a and b`,
		`"a and b"`:           `a and b`,
		"`a and \"b(\"`":      `a and "b("`,
		`^x{2}$ or not "and"`: `^x{2}$ or not "and"`,
		`"a" or "b("`:         `a or "b("`,
		`(a or b)`:            `(a or b)`,
	} {
		tokens, err := caddyfile.Tokenize([]byte(line), "Caddyfile")
		if err != nil {
			t.Fatal(err)
		}
		text, err := expressionText(tokens)
		if err != nil {
			t.Fatal(err)
		}
		got, err := scopeexpr.ParseShort(text)
		if err != nil {
			t.Errorf("%s: got %s, which is none: %v", line, text, err)
			continue
		}
		expected, err := scopeexpr.ParseShort(want)
		if err != nil {
			t.Fatal(err)
		}
		if string(got.Rule) != string(expected.Rule) || strings.Join(got.Data, "\n") != strings.Join(expected.Data, "\n") {
			t.Errorf("%s: got %s of %q, want %s of %q", line, got.Rule, got.Data, expected.Rule, expected.Data)
		}
	}
}
