// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"reflect"
	"strings"
	"testing"
)

func TestShortSyntax(t *testing.T) {
	for text, want := range map[string]struct {
		rule string
		data []string
		back string // printed back, if it differs from text
	}{
		"admin":                {rule: `{"var":0}`, data: []string{"admin"}},
		" admin ":              {rule: `{"var":0}`, data: []string{"admin"}, back: "admin"},
		"(admin)":              {rule: `{"var":0}`, data: []string{"admin"}, back: "admin"},
		"a and b and c":        {rule: `{"and":[{"var":0},{"var":1},{"var":2}]}`, data: []string{"a", "b", "c"}},
		"a && b || c":          {rule: `{"or":[{"and":[{"var":0},{"var":1}]},{"var":2}]}`, data: []string{"a", "b", "c"}, back: "(a and b) or c"},
		"a or b and c":         {rule: `{"or":[{"var":0},{"and":[{"var":1},{"var":2}]}]}`, data: []string{"a", "b", "c"}, back: "a or (b and c)"},
		"not a and b":          {rule: `{"and":[{"!":[{"var":0}]},{"var":1}]}`, data: []string{"a", "b"}},
		"not (a and b)":        {rule: `{"!":[{"and":[{"var":0},{"var":1}]}]}`, data: []string{"a", "b"}},
		"not(a and b)":         {rule: `{"!":[{"and":[{"var":0},{"var":1}]}]}`, data: []string{"a", "b"}, back: "not (a and b)"},
		"not not a":            {rule: `{"!":[{"!":[{"var":0}]}]}`, data: []string{"a"}},
		"!a && !(b || c)":      {rule: `{"and":[{"!":[{"var":0}]},{"!":[{"or":[{"var":1},{"var":2}]}]}]}`, data: []string{"a", "b", "c"}, back: "not a and not (b or c)"},
		"a and (b and c)":      {rule: `{"and":[{"var":0},{"and":[{"var":1},{"var":2}]}]}`, data: []string{"a", "b", "c"}},
		"a and(b)or(c)":        {rule: `{"or":[{"and":[{"var":0},{"var":1}]},{"var":2}]}`, data: []string{"a", "b", "c"}, back: "(a and b) or c"},
		"a or b or a":          {rule: `{"or":[{"var":0},{"var":1},{"var":0}]}`, data: []string{"a", "b"}},
		"a\n\tor\r\nb":         {rule: `{"or":[{"var":0},{"var":1}]}`, data: []string{"a", "b"}, back: "a or b"},
		"^todos:(?<PC1>.+)$":   {rule: `{"var":0}`, data: []string{"^todos:(?<PC1>.+)$"}},
		"(^t:(?<PC1>.+)$)":     {rule: `{"var":0}`, data: []string{"^t:(?<PC1>.+)$"}, back: "^t:(?<PC1>.+)$"},
		"(a or ^(b|(c)))":      {rule: `{"or":[{"var":0},{"var":1}]}`, data: []string{"a", "^(b|(c))"}, back: "a or ^(b|(c))"},
		`(^a\)b\( or c)`:       {rule: `{"or":[{"var":0},{"var":1}]}`, data: []string{`^a\)b\(`, "c"}, back: `^a\)b\( or c`},
		`"a(b" and c`:          {rule: `{"and":[{"var":0},{"var":1}]}`, data: []string{"a(b", "c"}},
		"'a(b)'":               {rule: `{"var":0}`, data: []string{"a(b)"}, back: `"a(b)"`},
		"`a \"b`":              {rule: `{"var":0}`, data: []string{`a "b`}, back: "`a \"b`"},
		"\"'`\"":               {rule: `{"var":0}`, data: []string{"'`"}},
		`"and" or "not"`:       {rule: `{"or":[{"var":0},{"var":1}]}`, data: []string{"and", "not"}},
		`"admin"`:              {rule: `{"var":0}`, data: []string{"admin"}, back: "admin"},
		`"^posts: (?<PC1>.+)"`: {rule: `{"var":0}`, data: []string{"^posts: (?<PC1>.+)"}},
		"https://x.org/a.read": {rule: `{"var":0}`, data: []string{"https://x.org/a.read"}},
		"a&b":                  {rule: `{"var":0}`, data: []string{"a&b"}},
		`"a&&b"`:               {rule: `{"var":0}`, data: []string{"a&&b"}},
		"android or order":     {rule: `{"or":[{"var":0},{"var":1}]}`, data: []string{"android", "order"}},
		"größe":                {rule: `{"var":0}`, data: []string{"größe"}},
	} {
		e, err := ParseShort(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if string(e.Rule) != want.rule || !reflect.DeepEqual(e.Data, want.data) {
			t.Errorf("%s: got %s %q, want %s %q", text, e.Rule, e.Data, want.rule, want.data)
		}
		back, err := e.Short()
		if want.back == "" {
			want.back = text
		}
		if err != nil || back != want.back {
			t.Errorf("%s: printed back as %q, %v, want %q", text, back, err, want.back)
		}
		if again, err := ParseShort(back); err != nil || !reflect.DeepEqual(again, e) {
			t.Errorf("%s: printed back as %q, which is %+v, %v, want %+v", text, back, again, err, e)
		}
	}
}

func TestShortSyntaxRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                            `line 1, column 1: there is no scope; write scopes joined by "and", "or", "not" and parentheses`,
		"  ":                          `line 1, column 3: there is no scope; write scopes joined by "and", "or", "not" and parentheses`,
		"a b":                         `line 1, column 3: "b" follows a scope; write "and" or "or" between two scopes`,
		"Not and AND x":               `line 1, column 13: "x" follows a scope; write "and" or "or" between two scopes`,
		"a and":                       `line 1, column 6: expected a scope, found the end; write scopes joined by "and", "or", "not" and parentheses`,
		"or a":                        `line 1, column 1: expected a scope, found "or"; write scopes joined by "and", "or", "not" and parentheses`,
		"a and or b":                  `line 1, column 7: expected a scope, found "or"; write scopes joined by "and", "or", "not" and parentheses`,
		"not":                         `line 1, column 4: expected a scope, found the end; write scopes joined by "and", "or", "not" and parentheses`,
		"()":                          `line 1, column 2: expected a scope, found ")"; write scopes joined by "and", "or", "not" and parentheses`,
		"(a or b":                     "line 1, column 1: this parenthesis is never closed; add the closing parenthesis",
		"(a b)":                       `line 1, column 4: "b" follows a scope; write "and" or "or" between two scopes`,
		"a or b)":                     "line 1, column 7: this parenthesis was never opened; remove it, or put a scope that contains one in quotes",
		"a (b)":                       `line 1, column 3: "(" follows a scope; write "and" or "or" between two scopes`,
		"a(b)":                        `line 1, column 1: a parenthesis follows "a"; put a scope that contains one in quotes, and an operator between a scope and a parenthesis`,
		"admin&&user":                 `line 1, column 1: "admin&&user" would be one scope; put white space around && and ||, or put the scope in quotes`,
		"!admin||user":                `line 1, column 2: "admin||user" would be one scope; put white space around && and ||, or put the scope in quotes`,
		`"a`:                          "line 1, column 1: this quote is never closed; close it; put a scope that contains one kind of quote in another kind",
		`a or ""`:                     "line 1, column 6: there is nothing between the quotes; write a scope, and check whether a variable is unset",
		`("a" or"b")`:                 `line 1, column 6: "or\"b\"" follows a scope; write "and" or "or" between two scopes`,
		`"a"b`:                        "line 1, column 4: text follows the closing quote; put the whole scope in quotes, and white space after them",
		"^a(b c":                      "line 1, column 1: the pattern has a parenthesis that is not closed, or white space; if it is meant, put the pattern in quotes",
		"a or\n\xff":                  "line 2, column 1: the text is not valid UTF-8; save the file as UTF-8",
		strings.Repeat("(", 20) + "a": `line 1, column 15: the expression is nested more than 14 levels deep; "and" and "or" take any number of scopes: write them side by side`,
	} {
		_, err := ParseShort(text)
		if err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

func TestDocumentsInShort(t *testing.T) {
	for _, test := range []struct {
		rule string
		data []string
		want string
	}{
		{`{"and": [{"var": 0}]}`, []string{"a"}, "a"},
		{`{"!!": {"var": [1]}}`, []string{"a", "b"}, "b"},
		{`{"and": {"or": [{"var": "1"}, {"var": 0}]}}`, []string{"a", "b"}, "b or a"},
		{`{"!": {"and": [{"or": [{"var": 0}]}]}}`, []string{"a"}, "not a"},
		{`{"or": [{"var": 0}, {"and": [{"var": 0}, {"!": [{"var": 1}]}]}]}`, []string{"a", "a b"}, `a or (a and not "a b")`},
	} {
		got, err := (&Expression{Rule: []byte(test.rule), Data: test.data}).Short()
		if err != nil || got != test.want {
			t.Errorf("%s: got %q, %v, want %q", test.rule, got, err, test.want)
		}
	}
	for rule, want := range map[string]string{
		`{"==": [{"var": 0}, true]}`:          "the expression has no short form: it uses the operator ==",
		`{"and": [{"if": [{"var": 0}]}]}`:     "the expression has no short form: it uses the operator if",
		`{"or": [{"var": 0}, true]}`:          "the expression has no short form: it contains the constant true",
		`{"or": [{"var": 0}, {"var": 1}]}`:    `the expression has no short form: the scope "" cannot be quoted`,
		`{"or": [{"var": 0}, {"var": 2}]}`:    "the expression has no short form: the scope \"a (\\\"'`\" cannot be quoted",
		`{"or": [{"var": 0}, {"var": 3}]}`:    `rule.or[1].var: var 3 does not name an entry of the data, which has 3; write a number from 0 to 2 or add the scope to the data`,
		`{"or": [{"var": 0}], "and": [true]}`: `rule: the object has more than one operator; write one operator per object: {"and": [{"or": [...]}, ...]}`,
	} {
		_, err := (&Expression{Rule: []byte(rule), Data: []string{"a", "", "a (\"'`"}}).Short()
		if err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", rule, err, want)
		}
	}
}
