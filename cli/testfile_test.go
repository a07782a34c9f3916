// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// inline is a policy for the test files below.
const inline = `
scope_expression:
  - path: /todos/?/command/{^(\d\d\d)-([a-d]{4})$}
    conditions:
      - httpMethods: [GET]
        scope_expression:
          rule: {and: [{var: 0}, {var: 1}]}
          data: ["^todos:(?<PC1>.+)$", "command:123"]
  - path: /x/{a|(b)}
    conditions:
      - httpMethods: [GET, "?"]
        scope_expression: {rule: {var: 0}, data: [x]}
`

// runTests runs a test file with these documents.
func runTests(t *testing.T, text string, args ...string) (out string, code int, err error) {
	t.Helper()
	file := write(t, "tests.yaml", text)
	out, code, err = execute(newTestCommand, append(args, file)...)
	return strings.ReplaceAll(out, file, "tests.yaml"), code, err
}

func TestTestFiles(t *testing.T) {
	out, code, err := runTests(t, inline+`
tests:
  - request: GET /todos/hh/command/123-abcd
    scopes: [todos:hh, command:123]
    want: allow
    rule: /todos/?/command/{^(\d\d\d)-([a-d]{4})$}
    captures: [hh, 123, abcd]
  - request: HEAD /x/%61
    scopes: x y
    want: allow
    rule: /x/{a|(b)}
    captures: [~]
  - {request: PUT /x/b, want: deny, captures: [b]}
  - {request: PUT /none, want: deny, rule: ~, captures: []}
  - {request: GET /x/..%2fb, want: bad_request}
---
`+inline+`
deny_by_default: false
ambiguous_paths: allow
tests:
  - {request: PUT /none, want: unprotected}
  - {request: GET /y/..%2fx/b, scopes: x, want: allow, captures: [b]}
---
scope_expression: []
tests:
  - want: refused
  - {request: GET /x, want: refused, name: nothing is allowed by no policy}
`, "-v")
	want := `ok   tests.yaml, test 1: GET /todos/hh/command/123-abcd
ok   tests.yaml, test 2: HEAD /x/a
ok   tests.yaml, test 3: PUT /x/b
ok   tests.yaml, test 4: PUT /none
ok   tests.yaml, test 5: GET /x/..%2fb
ok   tests.yaml, test 6: PUT /none
ok   tests.yaml, test 7: GET /x/b
ok   tests.yaml, test 8: the policy
ok   tests.yaml, test 9: nothing is allowed by no policy: GET /x
9 passed, 0 failed
`
	if out != want || code != exitYes || err != nil {
		t.Errorf("exit code %d, error %v, got\n%s\nwant\n%s", code, err, out, want)
	}
}

func TestTestsThatFail(t *testing.T) {
	file := inline + `
tests:
  - request: GET /todos/hh/command/123-abcd
    scopes: [todos:xx, command:124]
    want: allow
    rule: /todos/??
    captures: [hh, "123", ~]
  - {request: GET /x/a, scopes: [x], want: deny, captures: []}
  - {request: GET /x/a, scopes: [x], want: allow}
  - {request: GET /none, want: unprotected, rule: /x}
  - {name: it has no rules, want: refused}
---
scope_expression: [{path: x}]
tests:
  - {request: GET /x/a, want: deny}
`
	out, code, err := runTests(t, file)
	want := `FAIL tests.yaml, test 1: GET /todos/hh/command/123-abcd
     scopes ["todos:xx" "command:124"]
     want allow, got deny
     GET /todos/?/command/{^(\d\d\d)-([a-d]{4})$} does not allow these scopes; no scope satisfies ^todos:(?<PC1>.+)$ (todos:xx matches, but PC1 is "xx" there and "hh" in the path), command:123; rule: want /todos/??, got /todos/?/command/{^(\d\d\d)-([a-d]{4})$}; captures: want ["hh", "123", ~], got ["hh", "123", "abcd"]
FAIL tests.yaml, test 2: GET /x/a
     scopes ["x"]
     want deny, got allow
     GET /x/{a|(b)} allows these scopes; captures: want [], got [~]
FAIL tests.yaml, test 4: GET /none
     scopes []
     want unprotected, got deny
     no rule matches this path and method, and deny_by_default is true; rule: want /x, got none
FAIL tests.yaml, test 5: it has no rules: the policy
     want refused, got loads
     the policy loads
FAIL tests.yaml, test 6: GET /x/a
     scopes []
     want deny, got refused
     line 25, column 20: [0]: a rule has no member "conditions"; write {"path": ..., "conditions": ...}
1 passed, 5 failed
`
	if out != want || code != exitNo || err != nil {
		t.Errorf("exit code %d, error %v, got\n%s\nwant\n%s", code, err, out, want)
	}

	out, code, err = runTests(t, file, "--json")
	want = `{"file":"tests.yaml","index":1,"request":"GET /todos/hh/command/123-abcd","want":"allow","got":"deny","rule":"/todos/?/command/{^(\\d\\d\\d)-([a-d]{4})$}","captures":["hh","123","abcd"],"pass":false,"reason":"GET /todos/?/command/{^(\\d\\d\\d)-([a-d]{4})$} does not allow these scopes; no scope satisfies ^todos:(?<PC1>.+)$ (todos:xx matches, but PC1 is \"xx\" there and \"hh\" in the path), command:123; rule: want /todos/??, got /todos/?/command/{^(\\d\\d\\d)-([a-d]{4})$}; captures: want [\"hh\", \"123\", ~], got [\"hh\", \"123\", \"abcd\"]"}
{"file":"tests.yaml","index":2,"request":"GET /x/a","want":"deny","got":"allow","rule":"/x/{a|(b)}","captures":[null],"pass":false,"reason":"GET /x/{a|(b)} allows these scopes; captures: want [], got [~]"}
{"file":"tests.yaml","index":3,"request":"GET /x/a","want":"allow","got":"allow","rule":"/x/{a|(b)}","captures":[null],"pass":true,"reason":""}
{"file":"tests.yaml","index":4,"request":"GET /none","want":"unprotected","got":"deny","rule":null,"captures":[],"pass":false,"reason":"no rule matches this path and method, and deny_by_default is true; rule: want /x, got none"}
{"file":"tests.yaml","index":5,"request":"","want":"refused","got":"loads","rule":null,"captures":[],"pass":false,"reason":"the policy loads"}
{"file":"tests.yaml","index":6,"request":"GET /x/a","want":"deny","got":"refused","rule":null,"captures":[],"pass":false,"reason":"line 25, column 20: [0]: a rule has no member \"conditions\"; write {\"path\": ..., \"conditions\": ...}"}
`
	if out != want || code != exitNo || err != nil {
		t.Errorf("exit code %d, error %v, got\n%s\nwant\n%s", code, err, out, want)
	}
}

func TestTestsOfFiles(t *testing.T) {
	// Relative to the test file, not to where the command runs.
	check(t, newTestCommand, []string{"testdata/files.yaml", "--verbose"}, exitYes, `
ok   testdata/files.yaml, test 1: a document: GET /files/b
ok   testdata/files.yaml, test 2: the second handler of a Caddyfile: GET /open/path
ok   testdata/files.yaml, test 3: GET /elsewhere
ok   testdata/files.yaml, test 4: GET /photos/1
4 passed, 0 failed
`)
	check(t, newTestCommand, []string{"testdata/files.yaml", "testdata/files.yaml"}, exitYes, "8 passed, 0 failed\n")

	out, _, _ := runTests(t, `
uma: true
scope_expression: [{path: /a, conditions: [{httpMethods: [GET], scope_expression: {rule: {var: 0}, data: [read]}}]}]
tests: [{request: GET /a, want: allow}]
`, "--json")
	if want := `"resource":{"name":"GET /a","scopes":["read"]},"ticket":["read"]}`; !strings.Contains(out, want) {
		t.Errorf("got %s, want it to contain %s", out, want)
	}
}

// TestInlineDocumentsAreReadStrictly: a document in YAML is the same as one in
// JSON, and an error in it has the line of the YAML file.
func TestInlineDocumentsAreReadStrictly(t *testing.T) {
	const one = "{httpMethods: [GET], scope_expression: {rule: {var: 0}, data: [a]}}"
	for text, want := range map[string]string{
		"[{path: /a, path: /b, conditions: [" + one + "]}]":                                                  `two members "path"`,
		"[{path: /a, conditions: [" + one + "]}, {path: /a, conditions: [" + one + "]}]":                     `the path "/a" is already at [0]`,
		"[{path: 1, conditions: [" + one + "]}]":                                                             "must be a string, not a number",
		"[{path: /a, conditions: [{httpMethods: [GET], scope_expression: {rule: {var: ~}, data: [a]}}]}]":    "var null does not name an entry",
		"[{path: /a, conditions: [{httpMethods: [GET], scope_expression: {rule: {var: 0x1}, data: [a]}}]}]":  "var 1 does not name an entry of the data",
		"[{path: /a, conditions: [{httpMethods: [GET], scope_expression: {rule: {var: true}, data: [a]}}]}]": "var true does not name an entry",
		"[{path: /a, conditions: [{httpMethods: [GET], scope_expression: {rule: {[1]: 0}, data: [a]}}]}]":    "the name of a member must be a string",
		"[{path: /a, conditions: [{httpMethods: [GET], scope_expression: {rule: {var: .inf}, data: [a]}}]}]": "unsupported value",
		"'[{\"path\": \"/a\"}]'": `line 1, column 2: [0]: a rule has no member "conditions"`,
		"&a [*a]":                "the document is nested too deeply",
	} {
		out, code, err := runTests(t, "scope_expression: "+text+"\ntests: [{want: refused}]", "--json")
		if code != exitYes || err != nil || !strings.Contains(out, quoteJSON(want)) {
			t.Errorf("%s: exit code %d, error %v, output %s, want it to contain %s", text, code, err, out, want)
		}
	}
	out, code, _ := runTests(t, "scope_expression:\n  - path: /a\n    conditions:\n    - "+one+"\n    - "+one+"\ntests: [{want: refused}]", "--json")
	if want := `line 5, column 22: [0].conditions[1].httpMethods[0]: the method \"GET\" is given twice`; code != exitYes || !strings.Contains(out, want) {
		t.Errorf("got %s, want it to contain %s", out, want)
	}
}

func quoteJSON(s string) string { return strings.ReplaceAll(s, `"`, `\"`) }

func TestAliasesDoNotMultiply(t *testing.T) {
	var b strings.Builder
	b.WriteString("scope_expression:\n  - &a0 [xxxxxxxxxx]\n")
	last := "a0"
	for _, name := range []string{"a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"} {
		b.WriteString("  - &" + name + " [" + strings.Repeat("*"+last+", ", 10) + "]\n")
		last = name
	}
	b.WriteString("tests: [{want: refused}]\n")
	out, code, err := runTests(t, b.String(), "--json")
	if err != nil || code != exitYes || !strings.Contains(out, errTooLong.Error()) {
		t.Errorf("exit code %d, error %v, output %s, want it refused: %v", code, err, out, errTooLong)
	}
}

func TestTestFilesThatAreWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "this file has no tests",
		"scope_expression: []\n":   "a document has no tests; add a list named tests",
		"tests: [{want: refused}]": "a document needs either policy or openapi (a file name) or scope_expression (inline)",
		"policy: x\nscope_expression: []\ntests: [{want: refused}]":                                   "either policy or openapi (a file name) or",
		"policy: none.json\ntests: [{want: refused}]":                                                 "no such file",
		"scope_expression: []\nhandler: 1\ntests: [{want: refused}]":                                  "handler is only for a policy that is a configuration; leave it out",
		"scope_expression: []\nambiguous_paths: maybe\ntests: [{want: refused}]":                      "reject or allow",
		"scope_expression: []\nrules: []\ntests: [{want: refused}]":                                   "field rules not found",
		"scope_expression: []\ntests: [{request: GET /a, wants: deny}]":                               "field wants not found",
		"scope_expression: []\ntests: [{request: GET /a}]":                                            `want must be one of allow, deny, unprotected, bad_request, refused, not ""`,
		"scope_expression: []\ntests: [{request: GET /a, want: denied}]":                              `not "denied"`,
		"scope_expression: []\ntests: [{want: deny}]":                                                 "a case that wants \"deny\" needs a request",
		"scope_expression: []\ntests: [{request: GET /a, scopes: {a: b}, want: deny}]":                "this must be a list",
		"scope_expression: []\ntests: [{request: GET /a, scopes: [a, ~], want: deny}]":                "an element is empty",
		"scope_expression: []\ntests: [{request: GET /a, scopes: [[a]], want: deny}]":                 "this must be text",
		inline + "tests: [{request: GET, want: deny}]":                                                "test 1: \"GET\" is not a request",
		inline + "tests: [{request: GET /a, want: deny}, {request: GET /a, want: deny, captures: x}]": "test 2: captures: line",
		"policy: [": "did not find",
	} {
		out, code, err := runTests(t, text)
		if code != exitError || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: exit code %d, error %v, output %s, want %s", text, code, err, out, want)
		}
	}
}

// A ? at the end of a plain value in flow style is a syntax error of YAML.
func TestYAMLQuestionMarks(t *testing.T) {
	for name, text := range map[string]string{
		"flow style":  "policy: x.json\ntests:\n  - {request: GET /a, want: deny, rule: /todos/?}\n",
		"a list":      "policy: x.json\ntests:\n  - {request: GET /a, want: deny, captures: [?, a]}\n",
		"block style": "policy: x.json\ntests:\n  - request: GET /a\n    want: deny\n    rule: ?\n",
		"a document":  "scope_expression: [{path: /a/?, conditions: []}]\ntests: []\n",
	} {
		file := filepath.Join(t.TempDir(), "test.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := RunTestFile(file, nil); err == nil || !strings.Contains(err.Error(), "put it in quotes") {
			t.Errorf("%s: got %v, want the advice to put it in quotes", name, err)
		}
	}
}

// A case can be about a caller without a token, who may pass only where a rule is
// public.
func TestCasesWithoutAToken(t *testing.T) {
	const access = `
scope_expression:
  - path: /open
    conditions: [{httpMethods: [GET], access: public}]
  - path: /mine
    conditions: [{httpMethods: [GET], access: authenticated}]
  - path: /never
    conditions:
      - httpMethods: [GET]
        scope_expression: {rule: {"!": {var: 0}}, data: [blocked]}
tests:
`
	out, code, err := runTests(t, access+`
  - {request: GET /open, no_token: true, want: allow}
  - {request: GET /mine, no_token: true, want: deny}
  - {request: GET /mine, want: allow}
  - {request: GET /never, no_token: true, want: deny}
  - {request: GET /never, want: allow}
`)
	if err != nil || code != exitYes {
		t.Errorf("got %d, %v\n%s", code, err, out)
	}
	if _, _, err := runTests(t, access+"\n  - {request: GET /open, no_token: true, scopes: [a], want: allow}\n"); err == nil || !strings.Contains(err.Error(), "scopes or no_token, not both") {
		t.Errorf("got %v, want scopes refused beside no_token", err)
	}
}
