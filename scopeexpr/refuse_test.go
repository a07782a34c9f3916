// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// rule returns a document of one path and method with this rule and data.
func ruleDocument(path, rule, data string) string {
	return fmt.Sprintf(`[{"path": %q, "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": %s, "data": %s}}]}]`,
		path, rule, data)
}

const good = `{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}, "data": ["a"]}}`

// TestRefusedDocuments shows for each document what is said about it: where,
// what is wrong, and what to write instead.
func TestRefusedDocuments(t *testing.T) {
	onA := func(rule string) string { return ruleDocument("/a", rule, `["a", "b"]`) }
	const atRule = "[0].conditions[0].scope_expression.rule"
	const atData = "[0].conditions[0].scope_expression.data"
	for name, test := range map[string]struct {
		document string
		opts     Options
		at       string // path within the document
		reason   string // part of it
		hint     string // part of it
	}{
		"empty text":           {document: "  ", reason: "the document is empty", hint: `write [{"path"`},
		"no paths":             {document: "[]", reason: "has no paths", hint: `write [{"path"`},
		"no list":              {document: `{"path": "/a"}`, reason: "must be a list, not an object", hint: "write [{"},
		"a comma too many":     {document: `[{"path": "/a",}]`, reason: "not valid JSON", hint: "comma"},
		"text after the end":   {document: `[] x`, reason: "not valid JSON", hint: "fix the JSON"},
		"byte order mark":      {document: "\ufeff[]", reason: "byte order mark", hint: "without a byte order mark"},
		"not UTF-8":            {document: "[\"\xff\"]", reason: "not valid UTF-8", hint: "UTF-8"},
		"a string of a string": {document: `"\"[]\""`, reason: "must be a list, not a string", hint: "write [{"},
		"a rule that is none":  {document: `["/a"]`, at: "[0]", reason: "a rule must be an object, not a string", hint: `write {"path": ..., "conditions": ...}`},
		"no path": {document: `[{"conditions": [` + good + `]}]`, at: "[0]", reason: `has no member "path"`,
			hint: `write {"path": ..., "conditions": ...}`},
		"no conditions member": {document: `[{"path": "/a"}]`, at: "[0]", reason: `has no member "conditions"`, hint: "write {"},
		"no conditions": {document: `[{"path": "/a", "conditions": []}]`, at: "[0].conditions", reason: "no conditions",
			hint: `write [{"httpMethods"`},
		"conditions in no list": {document: `[{"path": "/a", "conditions": ` + good + `}]`, at: "[0].conditions",
			reason: "must be a list, not an object", hint: `write "conditions": [...]`},
		"an unknown member": {document: `[{"path": "/a", "condition": []}]`, at: "[0].condition", reason: `cannot have a member "condition"`,
			hint: `write {"path": ..., "conditions": ...}`},
		"a member in another case": {document: `[{"Path": "/a", "conditions": []}]`, at: "[0].Path", reason: `cannot have a member "Path"`, hint: "write {"},
		"a member twice": {document: `[{"path": "/a", "conditions": [` + good + `], "path": "/b"}]`, at: "[0].path",
			reason: `two members "path"`, hint: "keep one"},
		"a path that is null": {document: `[{"path": null, "conditions": [` + good + `]}]`, at: "[0].path",
			reason: "must be a string, not null", hint: "put it in quotes"},
		"a path twice": {document: `[{"path": "/a", "conditions": [` + good + `]}, {"path": "/a", "conditions": [` + good + `]}]`,
			at: "[1].path", reason: `the path "/a" is already at [0]`, hint: "add the conditions"},
		"a path without a slash": {document: ruleDocument("a", `{"var": 0}`, `["a"]`), at: "[0].path", reason: "start with a slash",
			hint: "write /a"},
		"an empty element": {document: ruleDocument("/a//b", `{"var": 0}`, `["a"]`), at: "[0].path", reason: "an empty element", hint: "a single slash"},
		"two ??":           {document: ruleDocument("/??/a/??", `{"var": 0}`, `["a"]`), at: "[0].path", reason: "a second ??", hint: "only one ??"},
		"a slash within braces": {document: ruleDocument("/{a/b}", `{"var": 0}`, `["a"]`), at: "[0].path", reason: "a slash inside {}",
			hint: "slashes separate elements"},
		"a path with a bad expression": {document: ruleDocument("/{a(}", `{"var": 0}`, `["a"]`), at: "[0].path", reason: "missing closing )", hint: "see"},
		"an expanded shorthand": {document: ruleDocument("/{http.request.uri.path}", `{"var": 0}`, `["a"]`), at: "[0].path",
			reason: "placeholder", hint: "write {(?:path)}"},

		"no methods": {document: `[{"path": "/a", "conditions": [{"httpMethods": [], "scope_expression": {"rule": {"var": 0}, "data": ["a"]}}]}]`,
			at: "[0].conditions[0].httpMethods", reason: "no methods", hint: `write ["GET"]`},
		"no methods member": {document: `[{"path": "/a", "conditions": [{"scope_expression": {"rule": {"var": 0}, "data": ["a"]}}]}]`,
			at: "[0].conditions[0]", reason: `has no member "httpMethods"`, hint: `write {"httpMethods": ..., "scope_expression": ...}`},
		"a method in lower case": {document: strings.Replace(ruleDocument("/a", `{"var": 0}`, `["a"]`), "GET", "get", 1),
			at: "[0].conditions[0].httpMethods[0]", reason: "not in upper case", hint: `write "GET"`},
		"two methods in one": {document: strings.Replace(ruleDocument("/a", `{"var": 0}`, `["a"]`), "GET", "GET, POST", 1),
			at: "[0].conditions[0].httpMethods[0]", reason: "is not a method", hint: "one method per element"},
		"two methods in one, as an alternative": {document: strings.Replace(ruleDocument("/a", `{"var": 0}`, `["a"]`), "GET", "GET|POST", 1),
			at: "[0].conditions[0].httpMethods[0]", reason: `"GET|POST" is not a method`, hint: "one method per element"},
		"a star for a method": {document: strings.Replace(ruleDocument("/a", `{"var": 0}`, `["a"]`), "GET", "*", 1),
			at: "[0].conditions[0].httpMethods[0]", reason: "is not a method", hint: "write ?"},
		"a method twice in a condition": {document: strings.Replace(ruleDocument("/a", `{"var": 0}`, `["a"]`), `"GET"`, `"GET", "GET"`, 1),
			at: "[0].conditions[0].httpMethods[1]", reason: `the method "GET" is given twice`, hint: "once"},
		"a method twice in a path": {document: `[{"path": "/a", "conditions": [` + good + `, ` + good + `]}]`,
			at: "[0].conditions[1].httpMethods[0]", reason: `the method "GET" is given twice`, hint: "once"},

		"no expression": {document: `[{"path": "/a", "conditions": [{"httpMethods": ["GET"]}]}]`, at: "[0].conditions[0]",
			reason: `has no member "scope_expression"`, hint: "write {"},
		"no data": {document: `[{"path": "/a", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}}}]}]`,
			at: "[0].conditions[0].scope_expression", reason: `has no member "data"`, hint: `write {"rule": ..., "data": ...}`},
		"data that is a number": {document: ruleDocument("/a", `{"var": 0}`, `["a", 1]`), at: atData + "[1]",
			reason: "must be a string, not a number", hint: "quotes"},
		"a rule that is a boolean":     {document: onA(`true`), at: atRule, reason: "the rule must be an object, not true", hint: "JSON Logic object"},
		"a rule that is null":          {document: onA(`null`), at: atRule, reason: "must be an object, not null", hint: "JSON Logic object"},
		"a rule that is a list":        {document: onA(`[{"var": 0}]`), at: atRule, reason: "must be an object, not a list", hint: "JSON Logic object"},
		"another operator":             {document: onA(`{"and": [{"var": 0}, {"xor": [{"var": 1}]}]}`), at: atRule + ".and[1].xor", reason: `unknown operator "xor"`, hint: "use and, or"},
		"several operators":            {document: onA(`{"or": [{"and": [{"var": 0}], "or": [{"var": 1}]}]}`), at: atRule + ".or[0]", reason: "more than one operator", hint: "one operator per object"},
		"one operator twice":           {document: onA(`{"and": [{"var": 0}], "and": [{"var": 1}]}`), at: atRule, reason: "more than one operator", hint: "one operator per object"},
		"no operator":                  {document: onA(`{"and": [{}]}`), at: atRule + ".and[0]", reason: "no operator", hint: "JSON Logic object"},
		"and of nothing":               {document: onA(`{"and": []}`), at: atRule + ".and", reason: `"and" has 0 operands`, hint: "at least one"},
		"or of nothing":                {document: onA(`{"or": []}`), at: atRule + ".or", reason: `"or" has 0 operands`, hint: "at least one"},
		"not of nothing":               {document: onA(`{"!": []}`), at: atRule + `["!"]`, reason: `"!" has 0 operands`, hint: "exactly one"},
		"not of two":                   {document: onA(`{"!": [{"var": 0}, {"var": 1}]}`), at: atRule + `["!"]`, reason: `"!" has 2 operands`, hint: `{"!": {"or": [...]}}`},
		"not of a constant":            {document: onA(`{"!": [false]}`), at: atRule + `["!"][0]`, reason: "applied to a constant", hint: `{"var": 0}`},
		"== of one":                    {document: onA(`{"==": [{"var": 0}]}`), at: atRule + `["=="]`, reason: `"==" has 1 operands`, hint: "exactly two"},
		"a list where a value belongs": {document: onA(`{"or": [{"var": 0}, []]}`), at: atRule + ".or[1]", reason: "a list cannot be a value", hint: "brackets"},
		"a list within a list":         {document: onA(`{"!": [[{"var": 0}]]}`), at: atRule + `["!"][0]`, reason: "a list cannot be a value", hint: "brackets"},
		"a var beyond the data":        {document: onA(`{"var": 2}`), at: atRule + ".var", reason: "var 2 does not name an entry of the data, which has 2", hint: "from 0 to 1"},
		"a var of no data":             {document: ruleDocument("/a", `{"var": 0}`, `[]`), at: atRule + ".var", reason: "which has 0", hint: "add the scope to the data"},
		"a var below the data":         {document: onA(`{"var": -1}`), at: atRule + ".var", reason: "var -1 does not name an entry", hint: "from 0 to 1"},
		"a var between two entries":    {document: onA(`{"var": 0.5}`), at: atRule + ".var", reason: "var 0.5 does not name an entry", hint: `{"var": 0}`},
		"a var with a default":         {document: onA(`{"var": [0, true]}`), at: atRule + ".var", reason: "var [0, true] does not name an entry", hint: `{"var": 0}`},
		"a var by name":                {document: onA(`{"var": "a"}`), at: atRule + ".var", reason: `var "a" does not name an entry`, hint: `{"var": 0}`},
		"a var of everything":          {document: onA(`{"var": ""}`), at: atRule + ".var", reason: `var "" does not name an entry`, hint: `{"var": 0}`},
		"a var with a leading zero":    {document: onA(`{"var": "00"}`), at: atRule + ".var", reason: `var "00" does not name an entry`, hint: `{"var": 0}`},
		"a computed var":               {document: onA(`{"var": {"var": 0}}`), at: atRule + ".var", reason: "does not name an entry", hint: `{"var": 0}`},
		"a rule too deep": {document: onA(strings.Repeat(`{"!":`, 40) + `{"var":0}` + strings.Repeat("}", 40)),
			at: atRule + strings.Repeat(`["!"]`, 32), reason: "nested more than 32 levels deep", hint: "side by side"},
		"a rule too wide": {document: onA(`{"and": [` + strings.Repeat(`{"var": 0}, `, 5000) + `{"var": 1}]}`),
			at: atRule + ".and[4095]", reason: "more than 4096 parts", hint: "pattern"},
		"too much data": {document: ruleDocument("/a", `{"var": 0}`, `["a"`+strings.Repeat(`, "b"`, 300)+`]`), at: atData,
			reason: "301 entries", hint: "pattern"},
		"an entry too long": {document: ruleDocument("/a", `{"var": 0}`, `["`+strings.Repeat("b", 5000)+`"]`), at: atData + "[0]",
			reason: "5000 bytes", hint: "split"},

		"a pattern that is none":      {document: ruleDocument("/a", `{"var": 0}`, `["a", "^b(c"]`), at: atData + "[1]", reason: "is not a valid regular expression", hint: "fix"},
		"a capture the path has not":  {document: ruleDocument("/?", `{"var": 0}`, `["^a:(?<PC2>.+)$"]`), at: atData + "[0]", reason: "the path has only one capture (PC1), so PC2 is undefined", hint: "use PC1, or add"},
		"a capture of a plain path":   {document: ruleDocument("/a", `{"var": 0}`, `["^a:(?<PC1>.+)$"]`), at: atData + "[0]", reason: "the path has no captures, so PC1 is undefined", hint: "add a `?`"},
		"a capture not referred to":   {document: ruleDocument("/a", `{"var": 0}`, `["a", "^a:(?<PC1>.+)$"]`), at: atData + "[1]", reason: "the path has no captures, so PC1 is undefined", hint: "add a `?`"},
		"a capture PC0":               {document: ruleDocument("/?", `{"var": 0}`, `["^a:(?<PC0>.+)$"]`), at: atData + "[0]", reason: `"PC0" is named like a capture`, hint: "PC1 to PC9"},
		"a capture PC10":              {document: ruleDocument("/?", `{"var": 0}`, `["^a:(?<PC10>.+)$"]`), at: atData + "[0]", reason: `"PC10" is named like a capture`, hint: "PC1 to PC9"},
		"a capture PC01":              {document: ruleDocument("/?", `{"var": 0}`, `["^a:(?<PC01>.+)$"]`), at: atData + "[0]", reason: `"PC01" is named like a capture`, hint: "PC1 to PC9"},
		"a capture pc1":               {document: ruleDocument("/?", `{"var": 0}`, `["^a:(?<pc1>.+)$"]`), at: atData + "[0]", reason: `"pc1" is named like a capture`, hint: "PC1 to PC9"},
		"a placeholder in a pattern":  {document: ruleDocument("/?", `{"var": 0}`, `["^a:{http.request.uri.path}$"]`), at: atData + "[0]", reason: `placeholder "{http.request.uri.path}"`, hint: "PC1"},
		"a repetition out of measure": {document: ruleDocument("/?", `{"var": 0}`, `["^((a{100}){100}){100}$"]`), at: atData + "[0]", reason: "is not a valid regular expression", hint: "fix"},

		"a resource id without UMA": {document: strings.Replace("["+`{"path": "/a", "conditions": [`+good+"]}]", `"httpMethods"`, `"resource_id": "x", "httpMethods"`, 1),
			at: "[0].conditions[0].resource_id", reason: "is only for UMA", hint: "gluu_uma_pep"},
		"a resource name without UMA": {document: strings.Replace("["+`{"path": "/a", "conditions": [`+good+"]}]", `"httpMethods"`, `"resource_name": "x", "httpMethods"`, 1),
			at: "[0].conditions[0].resource_name", reason: "is only for UMA", hint: "gluu_uma_pep"},
		"a resource by id and name": {document: strings.Replace("["+`{"path": "/a", "conditions": [`+good+"]}]", `"httpMethods"`, `"resource_id": "y", "resource_name": "x", "httpMethods"`, 1),
			opts: Options{UMA: true}, at: "[0].conditions[0].resource_name", reason: "both", hint: "keep resource_id"},
		"an empty resource id": {document: strings.Replace("["+`{"path": "/a", "conditions": [`+good+"]}]", `"httpMethods"`, `"resource_id": "", "httpMethods"`, 1),
			opts: Options{UMA: true}, at: "[0].conditions[0].resource_id", reason: "empty", hint: "leave it out"},
		"a pattern with UMA": {document: ruleDocument("/a", `{"var": 0}`, `["^b$"]`), opts: Options{UMA: true}, at: atData + "[0]", reason: `a pattern such as "^b$"`, hint: "one by one"},
		"not with UMA":       {document: onA(`{"and": [{"var": 0}, {"!": {"var": 1}}]}`), opts: Options{UMA: true}, at: atRule, reason: `cannot use "not"`, hint: "authorization server"},
		"== with UMA":        {document: onA(`{"==": [{"var": 0}, false]}`), opts: Options{UMA: true}, at: atRule, reason: `cannot use "=="`, hint: `"and" and "or"`},
		"no acr in acr": {document: strings.Replace("["+`{"path": "/a", "conditions": [`+good+"]}]", `"httpMethods"`, `"acr": [], "httpMethods"`, 1),
			at: "[0].conditions[0].acr", reason: "no token could satisfy it", hint: "leave acr out"},
		"two acr in one": {document: strings.Replace("["+`{"path": "/a", "conditions": [`+good+"]}]", `"httpMethods"`, `"acr": ["a b"], "httpMethods"`, 1),
			at: "[0].conditions[0].acr[0]", reason: "not an authentication context class", hint: "one class per element"},
		"max_age of nothing": {document: strings.Replace("["+`{"path": "/a", "conditions": [`+good+"]}]", `"httpMethods"`, `"max_age": 0, "httpMethods"`, 1),
			at: "[0].conditions[0].max_age", reason: "is not a number of seconds", hint: "1 or more"},
		"max_age in words": {document: strings.Replace("["+`{"path": "/a", "conditions": [`+good+"]}]", `"httpMethods"`, `"max_age": "5m", "httpMethods"`, 1),
			at: "[0].conditions[0].max_age", reason: "must be a number, not a string", hint: "number of seconds"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := ParseDocument([]byte(test.document))
			if err == nil {
				_, err = d.Compile(test.opts)
			}
			e, ok := err.(*Error)
			if !ok {
				t.Fatalf("got %v, want it refused", err)
			}
			if got := e.Path.String(); got != test.at {
				t.Errorf("at %q, want %q", got, test.at)
			}
			if !strings.Contains(e.Reason, test.reason) {
				t.Errorf("reason %q, want it to say %q", e.Reason, test.reason)
			}
			if !strings.Contains(e.Hint, test.hint) {
				t.Errorf("hint %q, want it to say %q", e.Hint, test.hint)
			}
			if e.Line == 0 && name != "no paths" { // there is nothing to point at
				t.Error("no line")
			}
		})
	}
}

func TestErrorsPointIntoTheText(t *testing.T) {
	text := `[
	{"path": "/ä", "conditions": [
		{"httpMethods": ["GET"], "scope_expression": {
			"rule": {"and": [{"var": 0},
				{"xor": [{"var": 1}]}]},
			"data": ["a", "b"]}}]}
]`
	want := `line 5, column 13: [0].conditions[0].scope_expression.rule.and[1].xor: ` +
		`unknown operator "xor"; use and, or, !, !!, ==, !=, ===, !==, if (?:) or var`
	if _, err := load([]byte(text)); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}

	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := load(quoted); err == nil || err.Error() != want {
		t.Errorf("in a string: got %v\nwant %s", err, want)
	}

	text = `[{"path": "/a", "conditions": [], "ü": 1, "x": 2}]`
	want = `line 1, column 35: [0]["ü"]: a rule cannot have a member "ü"; write {"path": ..., "conditions": ...}`
	if _, err := load([]byte(text)); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestDocumentsBuiltInCodeAreRefusedToo(t *testing.T) {
	expression, err := ParseShort("a and ^b:(?<PC1>.+)$")
	if err != nil {
		t.Fatal(err)
	}
	d := Document{
		{Path: "/?", Conditions: []Condition{{HTTPMethods: []string{"GET"}, ScopeExpression: expression}}},
		{Path: "/b", Conditions: []Condition{{HTTPMethods: []string{"GET"}, ScopeExpression: expression}}},
	}
	want := "[1].conditions[0].scope_expression.data[1]: the path has no captures, so PC1 is undefined; " +
		"add a `?` or `{...}` to the path, or rename the group"
	if _, err := d.Compile(Options{}); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	d = Document{{Path: "/b", Conditions: []Condition{{HTTPMethods: []string{"GET"}}}}}
	if _, err := d.Compile(Options{}); err == nil || !strings.Contains(err.Error(), "has no scope expression") {
		t.Errorf("without an expression: %v", err)
	}
	d = Document{{Path: "/b", Conditions: []Condition{{HTTPMethods: []string{"GET"}, ScopeExpression: &Expression{Rule: []byte(`{"var":`)}}}}}
	if _, err := d.Compile(Options{}); err == nil || !strings.Contains(err.Error(), "the rule is not valid JSON") {
		t.Errorf("with broken JSON: %v", err)
	}
}

// What a document of text may not have, one built from a Caddyfile may not have
// either: written out, it could not be read again.
func TestDamagedTextIsRefused(t *testing.T) {
	rule := func(path, scope, acr string) Document {
		return Document{{Path: path, Conditions: []Condition{{
			HTTPMethods: []string{"GET"}, ACR: []string{acr},
			ScopeExpression: &Expression{Rule: []byte(`{"var":0}`), Data: []string{scope}},
		}}}}
	}
	if _, err := rule("/a", "s", "gold").Compile(Options{}); err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]Document{
		"path": rule("/{\ufffd}", "s", "gold"), "scope": rule("/a", "s\ufffd", "gold"), "acr": rule("/a", "s", "\ufffd"),
		"invalid UTF-8": rule("/a", "s\xff", "gold"),
	} {
		_, err := d.Compile(Options{})
		if err == nil || !strings.Contains(err.Error(), "has a character that is not one") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestADocumentWithinJSONIsReadStrictly(t *testing.T) {
	var config struct {
		Document Document `json:"document"`
	}
	for text, ok := range map[string]bool{
		`{"document": ` + ruleDocument("/a", `{"var": 0}`, `["a"]`) + `}`:            true,
		`{"document": [{"PATH": "/a", "conditions": [` + good + `]}]}`:               false,
		`{"document": [{"path": "/a", "path": "/b", "conditions": [` + good + `]}]}`: false,
		`{"document": "[{\"path\": \"/a\", \"conditions\": [{\"httpMethods\": [\"GET\"],` +
			` \"scope_expression\": {\"rule\": {\"var\": 0}, \"data\": [\"a\"]}}]}]"}`: true,
	} {
		err := json.Unmarshal([]byte(text), &config)
		if (err == nil) != ok {
			t.Errorf("%s: got %v, want it read: %v", text, err, ok)
		}
	}
}

func TestADocumentIsWrittenAsItWasRead(t *testing.T) {
	text := `[{"path":"/a/?","conditions":[{"httpMethods":["GET","?"],"scope_expression":{"rule":{"and":[{"var":0},{"var":1}]},` +
		`"data":["a","^b:(?\u003cPC1\u003e.+)$"]},"acr":["gold"],"max_age":300}]}]`
	d, err := ParseDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, []byte(text)) {
		t.Errorf("got  %s\nwant %s", got, text)
	}
}
