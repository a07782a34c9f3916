// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/routemap"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// document writes rules such as "GET /a: x and y".
func document(t *testing.T, rules ...string) (d scopeexpr.Document) {
	t.Helper()
	for _, rule := range rules {
		name, requires, _ := strings.Cut(rule, ": ")
		methods, path, _ := strings.Cut(name, " ")
		c := scopeexpr.Condition{HTTPMethods: strings.Split(methods, ",")}
		if err := require(&c, requires); err != nil {
			t.Fatal(err)
		}
		d = append(d, scopeexpr.PathRule{Path: path, Conditions: []scopeexpr.Condition{c}})
	}
	return d
}

func TestWhomRulesWouldLockOut(t *testing.T) {
	callers := []*token.Token{
		{ClientID: "reader", Scopes: []string{"read"}}, {ClientID: "reader", Scopes: []string{"read"}},
		{ClientID: "writer", Scopes: []string{"write", "read"}}, {ClientID: "stranger", Scopes: []string{"other"}},
	}
	each := func(visit func(*token.Token) bool) {
		for _, c := range callers {
			if !visit(c) {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		before, after []string
		open          bool
		want          string // client*tokens: rules
		dependent     string
	}{
		"stricter":                      {[]string{"GET /a: read"}, []string{"GET /a: read and write"}, false, "reader*2: GET /a", ""},
		"wider":                         {[]string{"GET /a: write"}, []string{"GET /a: read"}, false, "", ""},
		"public no more":                {[]string{"GET /a: public"}, []string{"GET /a: authenticated"}, false, "", ""},
		"authenticated no more":         {[]string{"GET /a: authenticated"}, []string{"GET /a: write"}, false, "reader*2: GET /a stranger*1: GET /a", ""},
		"a rule is gone":                {[]string{"GET /a: read", "GET /b: read"}, []string{"GET /b: read"}, false, "reader*2: GET /a writer*1: GET /a", ""},
		"and a wider one takes it":      {[]string{"GET /a: read", "GET /??: authenticated"}, []string{"GET /??: authenticated"}, false, "", ""},
		"and requests without one pass": {[]string{"GET /a: read", "GET /b: read"}, []string{"GET /b: read"}, true, "", ""},
		"a rule where all passed":       {[]string{"GET /b: read"}, []string{"GET /b: read", "GET /a: write"}, true, "reader*2: GET /a stranger*1: GET /a", ""},
		"a method of several":           {[]string{"GET,POST /a: read"}, []string{"GET /a: read"}, false, "reader*2: POST /a writer*1: POST /a", ""},
		"the path decides":              {[]string{"GET /?: read"}, []string{"GET /?: ^read:(?<PC1>.+)$"}, false, "", "GET /?"},
		"nothing":                       {[]string{"GET /a: read"}, []string{"GET /a: read"}, false, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := &ruleHandler{Handler: &routemap.Handler{Name: "gluu_oauth_pep"}, members: map[string]any{"deny_by_default": !c.open}, rules: document(t, c.before...)}
			found := impactOf(h, document(t, c.after...), each)
			var got []string
			for _, caller := range found.Callers {
				got = append(got, fmt.Sprintf("%s*%d: %s", caller.Client, caller.Tokens, strings.Join(caller.Loses, ", ")))
			}
			if strings.Join(got, " ") != c.want || strings.Join(found.Dependent, " ") != c.dependent || found.Tokens != len(callers) {
				t.Errorf("got %q, %q with %d tokens, want %q, %q", got, found.Dependent, found.Tokens, c.want, c.dependent)
			}
		})
	}
}

// What is offered for a Caddyfile says the same as the rules.
func TestRulesAreOfferedAsLinesThatSayTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		rules scopeexpr.Document
		want  bool
	}{
		"plain":         {document(t, "GET,POST /a/?/{x|y}: a and (b or not c)", "? /??: public"), true},
		"characters":    {document(t, `GET /{[0-9]+}: ^a:\d+$ or "two words" or "x)"`, `GET /{\d+}: x#y`, `PUT /b: "{env.X}"`), true},
		"no short form": {scopeexpr.Document{{Path: "/a", Conditions: []scopeexpr.Condition{{HTTPMethods: []string{"GET"}, ScopeExpression: &scopeexpr.Expression{Rule: []byte(`{"==": [{"var": 0}, true]}`), Data: []string{"a"}}}}}}, false},
	} {
		h := &ruleHandler{Handler: &routemap.Handler{Name: "gluu_oauth_pep"}}
		if got := caddyfileOf(h, c.rules); (got != "") != c.want {
			t.Errorf("%s: got %q of\n%s", name, got, linesOf(c.rules))
		}
	}
}
