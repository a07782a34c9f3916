// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"encoding/json"
	"strings"
	"testing"
)

const accessDocument = `[
	{"path": "/open", "conditions": [
		{"httpMethods": ["GET"], "access": "public"},
		{"httpMethods": ["POST"], "access": "authenticated", "acr": ["gold"]},
		{"httpMethods": ["?"], "scope_expression": {"rule": {"var": 0}, "data": ["admin"]}}]},
	{"path": "/open/{(?=a).*}", "conditions": [{"httpMethods": ["GET"], "access": "public"}]},
	{"path": "/open/?", "conditions": [{"httpMethods": ["?"], "access": "authenticated"}]}
]`

func TestAccess(t *testing.T) {
	p, err := load([]byte(accessDocument))
	if err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]string{
		"GET /open": Public, "HEAD /open": Public, "POST /open": Authenticated, "PUT /open": "", "GET /open/a": Public, "GET /open/b": Authenticated,
	} {
		method, path, _ := strings.Cut(request, " ")
		r := p.Find(method, path)
		if r.Access() != want {
			t.Errorf("%s: got the access %q, want %q", request, r.Access(), want)
		}
		if got := r.Decide(path, NewScopes(p, nil)); got != (want != "") {
			t.Errorf("%s without scopes: got %t, want %t", request, got, want != "")
		}
		if r.Decide(path, nil) {
			t.Errorf("%s: granted without a token", request)
		}
		if x := r.Explain(path, nil); x.Granted != (want != "") || (x.Tree == nil) != (want != "") {
			t.Errorf("%s: explained as %+v", request, x)
		}
		if want != "" && (r.StaticScopes() != nil || r.ChallengeScope() != "" || r.Expression() != nil) {
			t.Errorf("%s: got scopes", request)
		}
	}
	if p.Find("GET", "/open").DecidesLike(p.Find("GET", "/open/b")) || !p.Find("GET", "/open").DecidesLike(p.Find("GET", "/open/a")) {
		t.Error("public and authenticated rules decide alike")
	}
	// As a document it is what it was.
	document, err := ParseDocument([]byte(accessDocument))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := load(text); err != nil || again.NumRules() != p.NumRules() {
		t.Errorf("%s: %v", text, err)
	}
}

func TestRefusedAccess(t *testing.T) {
	for condition, reason := range map[string]string{
		`{"httpMethods": ["GET"]}`:                                               `has no member "scope_expression"`,
		`{"httpMethods": ["GET"], "access": ""}`:                                 `access cannot be ""`,
		`{"httpMethods": ["GET"], "access": "Public"}`:                           `access cannot be "Public"`,
		`{"httpMethods": ["GET"], "access": "anonymous"}`:                        `access cannot be "anonymous"`,
		`{"httpMethods": ["GET"], "access": true}`:                               "must be a string",
		`{"httpMethods": ["GET"], "access": "public", "access": "public"}`:       "two members",
		`{"httpMethods": ["GET"], "access": "public", "acr": ["gold"]}`:          "acr requires a token",
		`{"httpMethods": ["GET"], "access": "public", "max_age": 60}`:            "max_age requires a token",
		`{"access": "public"}`:                                                   `has no member "httpMethods"`,
		`{"httpMethods": [], "access": "public"}`:                                "has no methods",
		`{"httpMethods": ["GET"], "access": "public", "resource_name": "x"}`:     "names a resource",
		`{"httpMethods": ["GET"], "access": "permitted", "resource_id": "x"}`:    "by its id",
		strings.TrimSuffix(good, "}") + `, "access": "authenticated"}`:           "both an access and a scope_expression",
		`{"httpMethods": ["GET"], "scope_expression": null, "access": "public"}`: "must be an object",
	} {
		d, err := ParseDocument([]byte(`[{"path": "/a", "conditions": [` + condition + `]}]`))
		if err == nil {
			_, err = d.Compile(Options{UMA: true})
		}
		e, ok := err.(*Error)
		if !ok || !strings.Contains(e.Reason, reason) || e.Hint == "" || e.Line == 0 {
			t.Errorf("%s: got %v, want %q with a place and a hint", condition, err, reason)
		}
	}
	d := Document{{Path: "/a", Conditions: []Condition{{HTTPMethods: []string{"GET"}, Access: Permitted}}}}
	if _, err := d.Compile(Options{}); err == nil || !strings.Contains(err.Error(), "only rules of gluu_uma_pep have permissions") {
		t.Errorf("permissions without UMA: got %v", err)
	}
	d = Document{{Path: "/a", Conditions: []Condition{{HTTPMethods: []string{"GET"}, Access: "everyone"}}}}
	if _, err := d.Compile(Options{}); err == nil {
		t.Error("a document in code with an unknown access was accepted")
	}
}

// Without a token the answer is found without expressions that backtrack, unless a
// public rule depends on them.
func TestLookupWithoutToken(t *testing.T) {
	const scope = `"scope_expression": {"rule": {"var": 0}, "data": ["a"]}`
	p, err := load([]byte(`[
		{"path": "/x/{(?=a).*}", "conditions": [{"httpMethods": ["GET"], ` + scope + `}]},
		{"path": "/y/{(?=a).*}", "conditions": [{"httpMethods": ["GET"], ` + scope + `}]},
		{"path": "/y/?", "conditions": [{"httpMethods": ["GET"], ` + scope + `}]},
		{"path": "/z/{(?=a).*}", "conditions": [{"httpMethods": ["GET"], "access": "public"}, {"httpMethods": ["POST"], ` + scope + `}]},
		{"path": "/z/?", "conditions": [{"httpMethods": ["GET"], ` + scope + `}]},
		{"path": "/w", "conditions": [{"httpMethods": ["GET"], "access": "public"}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		request string
		open    bool
		want    string // a rule's path, "" for none
	}{
		{"GET /x/b", false, "/x/{(?=a).*}"}, // it may apply
		{"GET /x/b", true, ""},              // otherwise it would pass, so it is known
		{"GET /x/a", true, "/x/{(?=a).*}"},
		{"POST /x/a", false, ""},
		{"GET /y/a", false, "/y/?"}, // one of the two
		{"GET /y/b", true, "/y/?"},
		{"GET /z/a", false, "/z/{(?=a).*}"},
		{"GET /z/b", false, "/z/?"}, // not the public one
		{"HEAD /z/b", true, "/z/?"},
		{"POST /z/b", false, "/z/{(?=a).*}"},
		{"POST /z/b", true, ""},
		{"GET /w", false, "/w"},
		{"GET /v", false, ""},
	} {
		method, path, _ := strings.Cut(test.request, " ")
		r, err := p.LookupWithoutToken(method, path, test.open)
		got := ""
		if r != nil {
			got = r.Pattern()
		}
		if got != test.want || err != nil {
			t.Errorf("%s, open %t: got %q, %v, want %q", test.request, test.open, got, err, test.want)
		}
	}
}
