// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

func policy(t *testing.T) *scopeexpr.Policy {
	t.Helper()
	document, err := scopeexpr.ParseDocument([]byte(`[
		{"path": "/open", "conditions": [{"httpMethods": ["GET"], "access": "public"}]},
		{"path": "/any", "conditions": [{"httpMethods": ["GET"], "access": "authenticated"}]},
		{"path": "/fresh", "conditions": [{"httpMethods": ["GET"], "access": "authenticated", "max_age": 60}]},
		{"path": "/a", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}, "data": ["read"]}}]},
		{"path": "/of/?", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}, "data": ["^of:(?<PC1>.+)$"]}}]}
	]`))
	if err != nil {
		t.Fatal(err)
	}
	policy, err := document.Compile(scopeexpr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func TestWhichRefusedRequestsWouldPass(t *testing.T) {
	reader := func(path string) decisions.Decision {
		return decisions.Decision{Method: "GET", Path: path, ClientID: "reader", Provider: "p", Scopes: []string{"read", "of:ann"}}
	}
	stranger := func(path string) decisions.Decision { return decisions.Decision{Method: "GET", Path: path} }
	cut := reader("/a")
	cut.Scopes = append(cut.Scopes, "...")
	for name, c := range map[string]struct {
		d             decisions.Decision
		open          bool
		passes, tried bool
	}{
		"a scope that does":                {reader("/a"), false, true, true},
		"an escaped path":                  {reader("/%61"), false, true, true},
		"a scope that does for the path":   {reader("/of/ann"), false, true, true},
		"not for another path":             {reader("/of/bob"), false, false, true},
		"a scope that does not":            {decisions.Decision{Method: "GET", Path: "/a", ClientID: "x", Scopes: []string{"other"}}, false, false, true},
		"another method":                   {decisions.Decision{Method: "PUT", Path: "/a", ClientID: "x", Scopes: []string{"read"}}, false, false, true},
		"a method in lower case":           {decisions.Decision{Method: "get", Path: "/else", ClientID: "x"}, true, false, true},
		"no token":                         {stranger("/a"), false, false, true},
		"no token, public":                 {stranger("/open"), false, true, true},
		"no token, authenticated":          {stranger("/any"), false, false, true},
		"a token, authenticated":           {reader("/any"), false, true, true},
		"more than scopes":                 {reader("/fresh"), false, false, true},
		"no rule":                          {reader("/else"), false, false, true},
		"no rule, and such requests pass":  {reader("/else"), true, true, true},
		"no rule, open, and without token": {stranger("/else"), true, true, true},
		"a path that is read in two ways":  {reader("/a/..%2fb"), true, false, false},
		"a path that was cut":              {reader("/open" + strings.Repeat("x", 10) + "..."), true, false, false},
		"a path that was cut in a letter":  {reader("/open\ufffd"), true, false, false},
		"scopes that were cut":             {cut, true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			passes, tried := Refusals([]*decisions.Decision{&c.d}, Rules{Policy: policy(t), IsOpen: c.open})
			if (len(passes) == 1) != c.passes || (tried == 1) != c.tried {
				t.Errorf("got %d that pass of %d", len(passes), tried)
			}
		})
	}
}
