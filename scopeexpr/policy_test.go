// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestWhatARuleSays(t *testing.T) {
	d := documentOf(t, "GET,POST /a/? a and b", "? /a/? a or c", "GET /b ^d$ and a", "GET /c not e", "GET /d f", `GET /e "g h"`)
	d[0].Conditions[0].ACR = []string{"gold"}
	p, err := d.Compile(Options{})
	if err != nil {
		t.Fatal(err)
	}
	post := p.Find("POST", "/a/1")
	if post.Pattern() != "/a/?" || post.Method() != "POST" || !slices.Equal(post.Methods(), []string{"GET", "POST"}) || post.Index() != 1 {
		t.Errorf("got %s %s of %v, number %d", post.Method(), post.Pattern(), post.Methods(), post.Index())
	}
	if get := p.Find("HEAD", "/a/1"); get.Condition() != post.Condition() || get == post || get.Condition().ACR[0] != "gold" {
		t.Error("GET and POST are not of one condition")
	}
	for request, want := range map[string][]string{
		"GET /a/1": {"a", "b"}, "PUT /a/1": nil, "GET /b": nil, "GET /c": nil, "GET /d": {"f"}, "GET /e": nil,
	} {
		method, path, _ := strings.Cut(request, " ")
		r := p.Find(method, path)
		if got := r.StaticScopes(); !reflect.DeepEqual(got, want) || r.ChallengeScope() != strings.Join(want, " ") {
			t.Errorf("%s: scopes of a challenge %q, %q, want %q", request, got, r.ChallengeScope(), want)
		}
	}
	if got, want := p.AllScopes(), []string{"a", "b", "c", "e", "f", "g h"}; !slices.Equal(got, want) {
		t.Errorf("all scopes: got %q, want %q", got, want)
	}
	if p.NumRules() != 7 || len(p.Rules()) != 7 {
		t.Errorf("got %d and %d rules, want 7", p.NumRules(), len(p.Rules()))
	}
}

func TestDecideSet(t *testing.T) {
	d := documentOf(t, "GET /a/? read and (admin or owner)")
	p, err := d.Compile(Options{UMA: true})
	if err != nil {
		t.Fatal(err)
	}
	for scopes, want := range map[string]bool{"": false, "read": false, "admin": false, "owner read": true, "read admin owner": true} {
		if got := p.Find("GET", "/a/1").DecideSet(strings.Fields(scopes)); got != want {
			t.Errorf("%q: got %v, want %v", scopes, got, want)
		}
	}
	bound := compile(t, "GET /a/? not ^a:(?<PC1>.+)$").Find("GET", "/a/1")
	if bound.DecideSet(nil) {
		t.Error("a rule that is tied to captures was decided without a path")
	}
	if bound.Decide("/a/1", nil) {
		t.Error("granted without scopes")
	}
}

func TestExplain(t *testing.T) {
	p := compile(t, "GET /todos/? ^todos:(?<PC1>.+)$ and not (guest or Admin)")
	x := p.Find("GET", "/todos/hh").Explain("/todos/hh", []string{"email", "todos:xx", "admin"})
	want := []EntryResult{
		{Entry: "^todos:(?<PC1>.+)$", Used: true, Note: `todos:xx matches, but PC1 is "xx" there and "hh" in the path`},
		{Entry: "guest", Used: true},
		{Entry: "Admin", Used: true, Note: "admin differs in case"},
	}
	if !reflect.DeepEqual(x.Data, want) {
		t.Errorf("got  %+v\nwant %+v", x.Data, want)
	}
	if x.Granted || len(x.Captures) != 1 || x.Captures[0].Value != "hh" {
		t.Errorf("got %+v", x)
	}
	x = p.Find("GET", "/todos/hh").Explain("/todos/hh", []string{"email", "todos:hh"})
	if !x.Granted || x.Data[0].By != "todos:hh" || x.Tree.Operands[1].Value != true || x.Tree.Operands[1].Operands[0].Value != false {
		t.Errorf("got %+v", x)
	}
}

func TestRulesThatDecideAlike(t *testing.T) {
	d := documentOf(t, "GET,POST /a a or b", "GET /b a or b", "GET /c b or a", "GET /d a or c",
		"GET /e/? ^(?<PC1>a)", "GET /f/? ^(?<PC1>a)", "GET /g a or b")
	d[6].Conditions[0].MaxAge = 60
	p, err := d.Compile(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"/a": true, "/b": true, "/c": false, "/d": false, "/g": false} {
		if got := p.Find("POST", "/a").DecidesLike(p.Find("GET", path)); got != want {
			t.Errorf("/a and %s: got %v, want %v", path, got, want)
		}
	}
	if p.Find("GET", "/e/a").DecidesLike(p.Find("GET", "/f/a")) {
		t.Error("rules with captures are alike")
	}

	d = documentOf(t, "GET,POST /a a", "GET /b a", "GET /c a", "GET /d a")
	d[2].Conditions[0].ResourceID, d[3].Conditions[0].ResourceID = "x", "x"
	if p, err = d.Compile(Options{UMA: true}); err != nil {
		t.Fatal(err)
	}
	for paths, want := range map[string]bool{"/a /a": true, "/a /b": false, "/c /d": true, "/a /c": false} {
		a, b, _ := strings.Cut(paths, " ")
		if got := p.Find("GET", a).DecidesLike(p.Find("GET", b)); got != want {
			t.Errorf("UMA rules %s: got %v, want %v", paths, got, want)
		}
	}
}

func TestOutcomes(t *testing.T) {
	for expression, want := range map[string][2]bool{
		"a":                  {true, true},
		"a and not a":        {false, true},
		"a or not a":         {true, false},
		"a and ^b and not a": {false, true},
		"a or b and not c":   {true, true},
	} {
		grants, refuses := compile(t, "GET /a "+expression).Find("GET", "/a").Outcomes()
		if got := [2]bool{grants, refuses}; got != want {
			t.Errorf("%s: grants and refuses %v, want %v", expression, got, want)
		}
	}
}

func TestResourceNames(t *testing.T) {
	d := documentOf(t, "GET,POST /a/? a", "GET /b a", "GET /c a")
	d[1].Conditions[0].ResourceName = "photos"
	d[2].Conditions[0].ResourceID = "4711"
	p, err := d.Compile(Options{UMA: true})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/a/1": "api: GET,POST /a/?", "/b": "photos", "/c": ""} {
		if r := p.Find("GET", path); r.ResourceName("api: ") != want || !r.UMA() {
			t.Errorf("%s: got %q, want %q", path, r.ResourceName("api: "), want)
		}
	}
}

// A request that an expression takes too long for has no rule, and must not be
// taken for one that no rule names.
func TestLookupUndecided(t *testing.T) {
	p := compile(t, "GET /x/{(?=a)(?:a|a|aa)+b} strict", "GET /?/c lax")
	if r, err := p.Lookup("GET", "/x/aab"); err != nil || r == nil {
		t.Errorf("got %v %v, want a rule", r, err)
	}
	if r, err := p.Lookup("GET", "/y/aab"); err != nil || r != nil {
		t.Errorf("got %v %v, want no rule", r, err)
	}
	path := "/x/" + strings.Repeat("a", 60)
	if r, err := p.Lookup("GET", path); !errors.Is(err, ErrUndecided) || r != nil || p.Find("GET", path) != nil {
		t.Errorf("got %v %v, want %v", r, err, ErrUndecided)
	}
}
