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
		mend     string // part of it
	}{
		"empty text":           {document: "  ", reason: "the document is empty", mend: `write [{"path"`},
		"no paths":             {document: "[]", reason: "has no paths", mend: `write [{"path"`},
		"no list":              {document: `{"path": "/a"}`, reason: "is an object where a list belongs", mend: "write [{"},
		"a comma too many":     {document: `[{"path": "/a",}]`, reason: "no valid JSON", mend: "comma"},
		"text after the end":   {document: `[] x`, reason: "no valid JSON", mend: "mend the JSON"},
		"byte order mark":      {document: "\ufeff[]", reason: "byte order mark", mend: "without one"},
		"not UTF-8":            {document: "[\"\xff\"]", reason: "not valid UTF-8", mend: "UTF-8"},
		"a string of a string": {document: `"\"[]\""`, reason: "is a string where a list belongs", mend: "write [{"},
		"a rule that is none":  {document: `["/a"]`, at: "[0]", reason: "a rule is a string where an object belongs", mend: `write {"path": ..., "conditions": ...}`},
		"no path": {document: `[{"conditions": [` + good + `]}]`, at: "[0]", reason: `lacks its member "path"`,
			mend: `write {"path": ..., "conditions": ...}`},
		"no conditions member": {document: `[{"path": "/a"}]`, at: "[0]", reason: `lacks its member "conditions"`, mend: "write {"},
		"no conditions": {document: `[{"path": "/a", "conditions": []}]`, at: "[0].conditions", reason: "no conditions",
			mend: `write [{"httpMethods"`},
		"conditions in no list": {document: `[{"path": "/a", "conditions": ` + good + `}]`, at: "[0].conditions",
			reason: "is an object where a list belongs", mend: `write "conditions": [...]`},
		"an unknown member": {document: `[{"path": "/a", "condition": []}]`, at: "[0].condition", reason: `no member "condition"`,
			mend: `write {"path": ..., "conditions": ...}`},
		"a member in another case": {document: `[{"Path": "/a", "conditions": []}]`, at: "[0].Path", reason: `no member "Path"`, mend: "write {"},
		"a member twice": {document: `[{"path": "/a", "conditions": [` + good + `], "path": "/b"}]`, at: "[0].path",
			reason: `two members "path"`, mend: "keep one"},
		"a path that is no string": {document: `[{"path": null, "conditions": [` + good + `]}]`, at: "[0].path",
			reason: "is null where a string belongs", mend: "put it in quotes"},
		"a path twice": {document: `[{"path": "/a", "conditions": [` + good + `]}, {"path": "/a", "conditions": [` + good + `]}]`,
			at: "[1].path", reason: "the path /a stands at [0] already", mend: "put its conditions there"},
		"a path without a slash": {document: ruleDocument("a", `{"var": 0}`, `["a"]`), at: "[0].path", reason: "begins with a slash",
			mend: "write /a"},
		"an empty element": {document: ruleDocument("/a//b", `{"var": 0}`, `["a"]`), at: "[0].path", reason: "an empty element", mend: "one slash"},
		"two ??":           {document: ruleDocument("/??/a/??", `{"var": 0}`, `["a"]`), at: "[0].path", reason: "a second ??", mend: "one ?? at most"},
		"a slash within braces": {document: ruleDocument("/{a/b}", `{"var": 0}`, `["a"]`), at: "[0].path", reason: "a slash within {}",
			mend: "an element never contains a slash"},
		"a path with a bad expression": {document: ruleDocument("/{a(}", `{"var": 0}`, `["a"]`), at: "[0].path", reason: "missing closing )", mend: "see"},
		"an expanded shorthand": {document: ruleDocument("/{http.request.uri.path}", `{"var": 0}`, `["a"]`), at: "[0].path",
			reason: "placeholder", mend: "write {(?:path)}"},

		"no methods": {document: `[{"path": "/a", "conditions": [{"httpMethods": [], "scope_expression": {"rule": {"var": 0}, "data": ["a"]}}]}]`,
			at: "[0].conditions[0].httpMethods", reason: "no methods", mend: `write ["GET"]`},
		"no methods member": {document: `[{"path": "/a", "conditions": [{"scope_expression": {"rule": {"var": 0}, "data": ["a"]}}]}]`,
			at: "[0].conditions[0]", reason: `lacks its member "httpMethods"`, mend: `write {"httpMethods": ..., "scope_expression": ...}`},
		"a method in lower case": {document: strings.Replace(ruleDocument("/a", `{"var": 0}`, `["a"]`), "GET", "get", 1),
			at: "[0].conditions[0].httpMethods[0]", reason: "in lower case", mend: "write GET"},
		"two methods in one": {document: strings.Replace(ruleDocument("/a", `{"var": 0}`, `["a"]`), "GET", "GET, POST", 1),
			at: "[0].conditions[0].httpMethods[0]", reason: "is no method", mend: "one method an element"},
		"two methods in one, as an alternative": {document: strings.Replace(ruleDocument("/a", `{"var": 0}`, `["a"]`), "GET", "GET|POST", 1),
			at: "[0].conditions[0].httpMethods[0]", reason: `"GET|POST" is no method`, mend: "one method an element"},
		"a star for a method": {document: strings.Replace(ruleDocument("/a", `{"var": 0}`, `["a"]`), "GET", "*", 1),
			at: "[0].conditions[0].httpMethods[0]", reason: "is no method", mend: "write ?"},
		"a method twice in a condition": {document: strings.Replace(ruleDocument("/a", `{"var": 0}`, `["a"]`), `"GET"`, `"GET", "GET"`, 1),
			at: "[0].conditions[0].httpMethods[1]", reason: "the method GET stands twice", mend: "once"},
		"a method twice in a path": {document: `[{"path": "/a", "conditions": [` + good + `, ` + good + `]}]`,
			at: "[0].conditions[1].httpMethods[0]", reason: "the method GET stands twice", mend: "once"},

		"no expression": {document: `[{"path": "/a", "conditions": [{"httpMethods": ["GET"]}]}]`, at: "[0].conditions[0]",
			reason: `lacks its member "scope_expression"`, mend: "write {"},
		"no data": {document: `[{"path": "/a", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}}}]}]`,
			at: "[0].conditions[0].scope_expression", reason: `lacks its member "data"`, mend: `write {"rule": ..., "data": ...}`},
		"data that is no string": {document: ruleDocument("/a", `{"var": 0}`, `["a", 1]`), at: atData + "[1]",
			reason: "is a number where a string belongs", mend: "quotes"},
		"a rule that is no object":     {document: onA(`true`), at: atRule, reason: "the rule is true where an object belongs", mend: "JSON Logic object"},
		"a rule that is null":          {document: onA(`null`), at: atRule, reason: "the rule is null", mend: "JSON Logic object"},
		"a rule that is a list":        {document: onA(`[{"var": 0}]`), at: atRule, reason: "the rule is a list", mend: "JSON Logic object"},
		"another operator":             {document: onA(`{"and": [{"var": 0}, {"xor": [{"var": 1}]}]}`), at: atRule + ".and[1].xor", reason: `no operator "xor"`, mend: "use and, or"},
		"several operators":            {document: onA(`{"or": [{"and": [{"var": 0}], "or": [{"var": 1}]}]}`), at: atRule + ".or[0]", reason: "several operators", mend: "one operator an object"},
		"one operator twice":           {document: onA(`{"and": [{"var": 0}], "and": [{"var": 1}]}`), at: atRule, reason: "several operators", mend: "one operator an object"},
		"no operator":                  {document: onA(`{"and": [{}]}`), at: atRule + ".and[0]", reason: "no operator", mend: "JSON Logic object"},
		"and of nothing":               {document: onA(`{"and": []}`), at: atRule + ".and", reason: `"and" has 0 operands`, mend: "one or more"},
		"or of nothing":                {document: onA(`{"or": []}`), at: atRule + ".or", reason: `"or" has 0 operands`, mend: "one or more"},
		"not of nothing":               {document: onA(`{"!": []}`), at: atRule + `["!"]`, reason: `"!" has 0 operands`, mend: "exactly one"},
		"not of two":                   {document: onA(`{"!": [{"var": 0}, {"var": 1}]}`), at: atRule + `["!"]`, reason: `"!" has 2 operands`, mend: `{"!": {"or": [...]}}`},
		"not of a constant":            {document: onA(`{"!": [false]}`), at: atRule + `["!"][0]`, reason: "applied to a constant", mend: `{"var": 0}`},
		"== of one":                    {document: onA(`{"==": [{"var": 0}]}`), at: atRule + `["=="]`, reason: `"==" has 1 operands`, mend: "exactly two"},
		"a list where a value belongs": {document: onA(`{"or": [{"var": 0}, []]}`), at: atRule + ".or[1]", reason: "a list stands where", mend: "brackets"},
		"a list within a list":         {document: onA(`{"!": [[{"var": 0}]]}`), at: atRule + `["!"][0]`, reason: "a list stands where", mend: "brackets"},
		"a var beyond the data":        {document: onA(`{"var": 2}`), at: atRule + ".var", reason: "var 2 is no entry of the data, which has 2", mend: "from 0 to 1"},
		"a var of no data":             {document: ruleDocument("/a", `{"var": 0}`, `[]`), at: atRule + ".var", reason: "which has 0", mend: "add the scope to the data"},
		"a var below the data":         {document: onA(`{"var": -1}`), at: atRule + ".var", reason: "var -1 is no entry", mend: "from 0 to 1"},
		"a var between two entries":    {document: onA(`{"var": 0.5}`), at: atRule + ".var", reason: "var 0.5 is no entry", mend: `{"var": 0}`},
		"a var with a default":         {document: onA(`{"var": [0, true]}`), at: atRule + ".var", reason: "var [0, true] is no entry", mend: `{"var": 0}`},
		"a var by name":                {document: onA(`{"var": "a"}`), at: atRule + ".var", reason: `var "a" is no entry`, mend: `{"var": 0}`},
		"a var of everything":          {document: onA(`{"var": ""}`), at: atRule + ".var", reason: `var "" is no entry`, mend: `{"var": 0}`},
		"a var with a leading zero":    {document: onA(`{"var": "00"}`), at: atRule + ".var", reason: `var "00" is no entry`, mend: `{"var": 0}`},
		"a computed var":               {document: onA(`{"var": {"var": 0}}`), at: atRule + ".var", reason: "is no entry", mend: `{"var": 0}`},
		"a rule too deep": {document: onA(strings.Repeat(`{"!":`, 40) + `{"var":0}` + strings.Repeat("}", 40)),
			at: atRule + strings.Repeat(`["!"]`, 32), reason: "nested more than 32 deep", mend: "side by side"},
		"a rule too wide": {document: onA(`{"and": [` + strings.Repeat(`{"var": 0}, `, 5000) + `{"var": 1}]}`),
			at: atRule + ".and[4095]", reason: "more than 4096 parts", mend: "pattern"},
		"too much data": {document: ruleDocument("/a", `{"var": 0}`, `["a"`+strings.Repeat(`, "b"`, 300)+`]`), at: atData,
			reason: "301 entries", mend: "pattern"},
		"an entry too long": {document: ruleDocument("/a", `{"var": 0}`, `["`+strings.Repeat("b", 5000)+`"]`), at: atData + "[0]",
			reason: "5000 bytes", mend: "split"},

		"a pattern that is none":      {document: ruleDocument("/a", `{"var": 0}`, `["a", "^b(c"]`), at: atData + "[1]", reason: "is no regular expression", mend: "mend it"},
		"a capture the path has not":  {document: ruleDocument("/?", `{"var": 0}`, `["^a:(?<PC2>.+)$"]`), at: atData + "[0]", reason: "PC2 is no capture of the path, which has 1", mend: "PC1 to PC1"},
		"a capture of a plain path":   {document: ruleDocument("/a", `{"var": 0}`, `["^a:(?<PC1>.+)$"]`), at: atData + "[0]", reason: "which has 0", mend: "write a path with ?"},
		"a capture not referred to":   {document: ruleDocument("/a", `{"var": 0}`, `["a", "^a:(?<PC1>.+)$"]`), at: atData + "[1]", reason: "which has 0", mend: "write a path with ?"},
		"a capture PC0":               {document: ruleDocument("/?", `{"var": 0}`, `["^a:(?<PC0>.+)$"]`), at: atData + "[0]", reason: `"PC0" is named like a capture`, mend: "PC1 to PC9"},
		"a capture PC10":              {document: ruleDocument("/?", `{"var": 0}`, `["^a:(?<PC10>.+)$"]`), at: atData + "[0]", reason: `"PC10" is named like a capture`, mend: "PC1 to PC9"},
		"a capture PC01":              {document: ruleDocument("/?", `{"var": 0}`, `["^a:(?<PC01>.+)$"]`), at: atData + "[0]", reason: `"PC01" is named like a capture`, mend: "PC1 to PC9"},
		"a capture pc1":               {document: ruleDocument("/?", `{"var": 0}`, `["^a:(?<pc1>.+)$"]`), at: atData + "[0]", reason: `"pc1" is named like a capture`, mend: "PC1 to PC9"},
		"a placeholder in a pattern":  {document: ruleDocument("/?", `{"var": 0}`, `["^a:{http.request.uri.path}$"]`), at: atData + "[0]", reason: "placeholder {http.request.uri.path}", mend: "PC1"},
		"a repetition out of measure": {document: ruleDocument("/?", `{"var": 0}`, `["^((a{100}){100}){100}$"]`), at: atData + "[0]", reason: "is no regular expression", mend: "mend it"},

		"a resource id without UMA": {document: strings.Replace("["+`{"path": "/a", "conditions": [`+good+"]}]", `"httpMethods"`, `"resource_id": "x", "httpMethods"`, 1),
			at: "[0].conditions[0].resource_id", reason: "belongs to UMA", mend: "gluu_uma_pep"},
		"a resource name without UMA": {document: strings.Replace("["+`{"path": "/a", "conditions": [`+good+"]}]", `"httpMethods"`, `"resource_name": "x", "httpMethods"`, 1),
			at: "[0].conditions[0].resource_name", reason: "belongs to UMA", mend: "gluu_uma_pep"},
		"a resource by id and name": {document: strings.Replace("["+`{"path": "/a", "conditions": [`+good+"]}]", `"httpMethods"`, `"resource_id": "y", "resource_name": "x", "httpMethods"`, 1),
			opts: Options{UMA: true}, at: "[0].conditions[0].resource_name", reason: "both", mend: "keep resource_id"},
		"an empty resource id": {document: strings.Replace("["+`{"path": "/a", "conditions": [`+good+"]}]", `"httpMethods"`, `"resource_id": "", "httpMethods"`, 1),
			opts: Options{UMA: true}, at: "[0].conditions[0].resource_id", reason: "empty", mend: "leave the member out"},
		"a pattern with UMA": {document: ruleDocument("/a", `{"var": 0}`, `["^b$"]`), opts: Options{UMA: true}, at: atData + "[0]", reason: "has the pattern ^b$", mend: "one by one"},
		"not with UMA":       {document: onA(`{"and": [{"var": 0}, {"!": {"var": 1}}]}`), opts: Options{UMA: true}, at: atRule, reason: "says not", mend: "authorization server"},
		"== with UMA":        {document: onA(`{"==": [{"var": 0}, false]}`), opts: Options{UMA: true}, at: atRule, reason: "uses ==", mend: "and and or"},
		"no acr in acr": {document: strings.Replace("["+`{"path": "/a", "conditions": [`+good+"]}]", `"httpMethods"`, `"acr": [], "httpMethods"`, 1),
			at: "[0].conditions[0].acr", reason: "no token would do", mend: "leave acr out"},
		"two acr in one": {document: strings.Replace("["+`{"path": "/a", "conditions": [`+good+"]}]", `"httpMethods"`, `"acr": ["a b"], "httpMethods"`, 1),
			at: "[0].conditions[0].acr[0]", reason: "no authentication context class", mend: "one class an element"},
		"max_age of nothing": {document: strings.Replace("["+`{"path": "/a", "conditions": [`+good+"]}]", `"httpMethods"`, `"max_age": 0, "httpMethods"`, 1),
			at: "[0].conditions[0].max_age", reason: "no such time", mend: "1 or more"},
		"max_age in words": {document: strings.Replace("["+`{"path": "/a", "conditions": [`+good+"]}]", `"httpMethods"`, `"max_age": "5m", "httpMethods"`, 1),
			at: "[0].conditions[0].max_age", reason: "is a string where a number belongs", mend: "number of seconds"},
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
			if !strings.Contains(e.Mend, test.mend) {
				t.Errorf("mend %q, want it to say %q", e.Mend, test.mend)
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
		`there is no operator "xor"; use and, or, !, !!, ==, !=, ===, !==, if (?:) or var`
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
	want = `line 1, column 35: [0]["ü"]: a rule has no member "ü"; write {"path": ..., "conditions": ...}`
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
	want := "[1].conditions[0].scope_expression.data[1]: PC1 is no capture of the path, which has 0; " +
		"write a path with ? or {...}, or name the group something else"
	if _, err := d.Compile(Options{}); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	d = Document{{Path: "/b", Conditions: []Condition{{HTTPMethods: []string{"GET"}}}}}
	if _, err := d.Compile(Options{}); err == nil || !strings.Contains(err.Error(), "lacks its scope expression") {
		t.Errorf("without an expression: %v", err)
	}
	d = Document{{Path: "/b", Conditions: []Condition{{HTTPMethods: []string{"GET"}, ScopeExpression: &Expression{Rule: []byte(`{"var":`)}}}}}
	if _, err := d.Compile(Options{}); err == nil || !strings.Contains(err.Error(), "the rule is no valid JSON") {
		t.Errorf("with broken JSON: %v", err)
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
