// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/scopeexpr"
)

// Random documents, and what OpenAPI says about requests: a reading of the standard
// that shares no code with the loader, over the same document as plain maps.

type object = map[string]any

// maker makes random documents.
type maker struct{ *rand.Rand }

func (m maker) pick(of ...string) string { return of[m.IntN(len(of))] }

func (m maker) template() string {
	var b strings.Builder
	for i := range 1 + m.IntN(3) {
		b.WriteByte('/')
		switch m.IntN(6) {
		case 0, 1, 2:
			b.WriteString(m.pick("a", "b", "c"))
		case 3, 4:
			fmt.Fprintf(&b, "{p%d}", i)
		default:
			fmt.Fprintf(&b, "{p%d}.%s", i, m.pick("x", "y"))
		}
	}
	return b.String()
}

func (m maker) requirement() object {
	out := object{}
	for range m.IntN(3) {
		scopes := []string{}
		for range m.IntN(3) {
			scopes = append(scopes, m.pick("r", "s", "t"))
		}
		out[m.pick("one", "two", "key")] = scopes
	}
	return out
}

func (m maker) security() []object {
	list := []object{}
	for range m.IntN(3) {
		list = append(list, m.requirement())
	}
	return list
}

func (m maker) document() object {
	paths := object{}
	for range 1 + m.IntN(6) {
		item := object{}
		for range 1 + m.IntN(2) {
			op := object{}
			if m.IntN(4) > 0 {
				op["security"] = m.security()
			}
			item[m.pick("get", "post", "head")] = op
		}
		var params []object
		for i := range 3 {
			if m.IntN(3) == 0 {
				params = append(params, object{"name": fmt.Sprintf("p%d", i), "in": "path", "schema": object{"enum": []string{"a", "1"}}})
			}
		}
		item["parameters"] = params
		paths[m.template()] = item
	}
	d := object{"openapi": "3.1.0", "paths": paths, "components": object{"securitySchemes": object{
		"one": object{"type": "oauth2", "flows": object{}}, "two": object{"type": "openIdConnect", "openIdConnectUrl": "https://as.example"},
		"key": object{"type": "apiKey", "in": "header", "name": "k"},
	}}}
	if m.IntN(2) == 0 {
		d["security"] = m.security()
	}
	return d
}

// path returns a path: one of a template of the document, or any.
func (m maker) path(d object) string {
	if m.IntN(2) == 0 {
		path := ""
		for range 1 + m.IntN(3) {
			path += "/" + m.pick("a", "b", "c", "1", "1.x", "a.y", "")
		}
		return path
	}
	templates := slices.Sorted(maps.Keys(d["paths"].(object)))
	return parameters.ReplaceAllStringFunc(m.pick(templates...), func(string) string { return m.pick("a", "b", "1", "") })
}

var parameters = regexp.MustCompile(`\{\w+\}`)

// oracle says whether the document lets a request pass: with the scopes of a token, or
// without one if they are nil. The API checks keys itself, so that a key that is
// required beside a token counts as given, but never in place of a token.
func oracle(d object, method, path string, scopes []string) (matched int, open bool) {
	for template, item := range d["paths"].(object) {
		op, exists := item.(object)[strings.ToLower(method)].(object)
		if !exists && method == "HEAD" {
			op, exists = item.(object)["get"].(object)
		}
		if !exists || !fits(template, path, item.(object)["parameters"].([]object)) {
			continue
		}
		matched++
		security, own := op["security"].([]object)
		if !own {
			security, _ = d["security"].([]object)
			if len(security) == 0 {
				continue // nothing is said
			}
		}
		open = open || len(security) == 0 || slices.ContainsFunc(security, func(alternative object) bool { return satisfied(alternative, scopes) })
	}
	return matched, open
}

func satisfied(alternative object, scopes []string) bool {
	if len(alternative) == 0 {
		return true
	}
	tokens := 0
	for scheme, needed := range alternative {
		if scheme == "key" {
			continue
		}
		tokens++
		for _, scope := range needed.([]string) {
			if !slices.Contains(scopes, scope) {
				return false
			}
		}
	}
	return tokens > 0 && scopes != nil
}

// fits reports whether a path is one of a template, whose parameters are not empty.
func fits(template, path string, params []object) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		open, end := strings.Index(want[i], "{"), strings.Index(want[i], "}")
		if open < 0 {
			if want[i] != got[i] {
				return false
			}
			continue
		}
		value, ok := strings.CutSuffix(got[i], want[i][end+1:])
		if !ok || value == "" {
			return false
		}
		for _, p := range params {
			if p["name"] == want[i][open+1:end] && !slices.Contains(p["schema"].(object)["enum"].([]string), value) {
				return false
			}
		}
	}
	return true
}

// decide decides as gluu_oauth_pep does.
func decide(policy *scopeexpr.Policy, method, path string, scopes []string) bool {
	rule := policy.Find(method, path)
	switch {
	case rule == nil || rule.Access() == scopeexpr.Denied:
		return false
	case rule.Access() == scopeexpr.Public:
		return true
	case scopes == nil:
		return false
	}
	return rule.Decide(path, scopeexpr.NewScopes(policy, scopes))
}

// No operation is more open than its document says, and one that no other operation
// competes with is just as open.
func TestSec_NoOperationIsMoreOpenThanItsDocument(t *testing.T) {
	file := filepath.Join(t.TempDir(), "openapi.json")
	loaded, decided, granted := 0, 0, 0
	for seed := range uint64(400) {
		m := maker{rand.New(rand.NewPCG(seed, 17))}
		d := m.document()
		content, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, string(content))
		api, err := Load(file, Options{SecuritySchemes: []string{"one", "two"}})
		if err != nil {
			continue // nothing protects an operation, or two are one rule
		}
		loaded++
		policy, err := api.Document.Compile(scopeexpr.Options{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for range 60 {
			method, path := m.pick("GET", "POST", "HEAD"), m.path(d)
			var scopes []string
			if m.IntN(3) > 0 {
				scopes = slices.DeleteFunc([]string{"r", "s", "t"}, func(string) bool { return m.IntN(2) == 0 })
			}
			if strings.Contains(path, "//") {
				continue // is not canonical
			}
			decided++
			got := decide(policy, method, path, scopes)
			matched, open := oracle(d, method, path, scopes)
			if got && !open || matched == 1 && got != open {
				t.Errorf("seed %d: %s %s with %q: got granted %t; the document says %t, and %d of its operations match\n%s", seed, method, path, scopes, got, open, matched, content)
			}
			if got {
				granted++
			}
		}
	}
	if loaded < 100 || granted < decided/10 {
		t.Errorf("%d documents were loaded, %d of %d requests granted: the test shows too little", loaded, granted, decided)
	}
}
