// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// describe writes uses as a text: a name with * is used as a whole.
func (u *Uses) describe() string {
	if u.whole {
		return "*"
	}
	var parts []string
	for name, inner := range u.members {
		parts = append(parts, name+inner.describe())
	}
	slices.Sort(parts)
	return "{" + strings.Join(parts, " ") + "}"
}

// A part of the input that a policy can refer to is never left out.
func TestUses(t *testing.T) {
	for rule, want := range map[string]string{
		`x if input.method == "GET"`:                 "{method*}",
		`x if input.headers["x-a"] == input.path[0]`: "{headers{x-a*} path*}",
		`x if { name = "a"; input.headers[name] }`:   "{headers*}",
		`x if { some name in ["a"]; input[name] }`:   "*",
		`x := input`:                                          "*",
		`x if f(input)`:                                       "*",
		`x if { i := input; i.path }`:                         "*",
		`x if walk(input, [_, "a"])`:                          "*",
		`x if object.get(input, "path", [])`:                  "*",
		`x if { h := input.headers; h.a }`:                    "{headers*}",
		`x if every e in input.path { e != "" }`:              "{path*}",
		`x := [e | some e in input.scopes]`:                   "{scopes*}",
		`x := {k: v | some k, v in input.uri_args}`:           "{uri_args*}",
		`x if input.a.b.c.d.e`:                                "{a{b{c{d{e*}}}}}",
		`x if input.a.b.c.d.e.f.g`:                            "{a{b{c{d{e{f*}}}}}}",
		`x if { input.a.b; input.a }`:                         "{a*}",
		`x if data.roles[input.client_id][input.method]`:      "{client_id* method*}",
		`x if not input.body.admin`:                           "{body{admin*}}",
		`x if y with input.consumer as input.userinfo`:        "{consumer* method* userinfo*}",
		`x if startswith(input.headers.authorization, "a")`:   "{headers{authorization*}}",
		`x := "a" if input.rule else := "b" if input.host`:    "{host* rule*}",
		`x := sprintf("%s", [input.protocol])`:                "{protocol*}",
		`x if true`:                                           "{}",
		`x contains e if e := input.path[_]`:                  "{path*}",
		`x if json.filter(input, ["a"])`:                      "*",
		`x if "a" == sprintf("%v", [[p | p := input[_]][0]])`: "*",
	} {
		text := "package a\n\nf(_) := true\n\n" + rule + "\n"
		if strings.Contains(rule, " y ") {
			text += "\ny if input.method\n"
		}
		compiler, err := ast.CompileModules(map[string]string{"a.rego": text})
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		got := usesOf(compiler.Modules).describe()
		if got != want {
			t.Errorf("%s: got %s, want %s", rule, got, want)
		}
	}
}

func TestUsesOfAnImport(t *testing.T) {
	compiler, err := ast.CompileModules(map[string]string{"a.rego": "package a\n\nimport input.headers as h\n\nx if h.a\n"})
	if err != nil {
		t.Fatal(err)
	}
	if got := usesOf(compiler.Modules).describe(); got != "{headers{a*}}" {
		t.Errorf("got %s", got)
	}
}

func TestUsesOfAMember(t *testing.T) {
	u := &Uses{members: map[string]*Uses{"a": {whole: true}}}
	if u.Member("b") != nil || u.Member("a").Member("x") == nil || !u.Member("a").Member("x").Whole() || (*Uses)(nil).Member("x") != nil || !Everything().Member("z").Whole() {
		t.Error("members are not as they are used")
	}
}

// FuzzParseJSON compares with encoding/json.
func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{`{"a": [1, 2.50, -0, 1e5], "b": {"c": null, "d": true}}`, `"\u00e9\ud83d\ude00"`, `[[[]]]`, `{"a":1,"a":2}`, `1e400`, ` false `, `{"":""}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		value, err := ParseJSON(text)
		if err != nil {
			return
		}
		var want any
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("%q is accepted: %v", text, err)
		}
		got, err := ast.JSON(value)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want); a != b {
			t.Fatalf("%q: got %s, want %s", text, a, b)
		}
	})
}
