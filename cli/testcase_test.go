// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/scopeexpr"
)

const twoPolicies = `# how todos are guarded
policy: first.json
tests: [{want: refused}]
---
scope_expression:
  - path: /todos/?
    conditions:
      - {httpMethods: [GET], scope_expression: {rule: {var: 0}, data: [todos:read]}}
tests:
  # the owner
  - request: GET /todos/1
    scopes: [todos:read]
    want: allow
  - {request: GET /todos/1, scopes: [], want: deny} # a stranger
`

// A case is added below the others of the last policy; not a byte of the file is another.
func TestACaseIsAdded(t *testing.T) {
	added := (&TestCase{Request: "GET /todos/a%20b", Scopes: []string{"todos:read", "true"}, Want: allow, Rule: "/todos/?", Captures: []*string{new("a b"), nil}}).YAML()
	for name, c := range map[string]struct{ before, indent, behind string }{
		"at the end":             {twoPolicies, "  ", ""},
		"without an end of line": {strings.TrimSuffix(twoPolicies, "\n"), "  ", ""},
		"before other members":   {twoPolicies, "  ", "# what is left open\numa: false\n"},
		"not indented":           {"scope_expression: []\ntests:\n- want: refused\n", "", "deny_by_default: true\n"},
		"further indented":       {"scope_expression: []\ntests:\n        - want: refused\n", "        ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, "todos_test.yaml", c.before+c.behind)
			if err := AddTestCase(file, added); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.TrimSuffix(c.before, "\n") + "\n"
			for _, line := range []string{"- request: GET /todos/a%20b", `  scopes: ['todos:read', "true"]`, "  want: allow", "  rule: /todos/?", "  captures: [a b, ~]"} {
				want += c.indent + line + "\n"
			}
			if want += c.behind; string(got) != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// What is not one case, and a file that has no place for it, stay as they are.
func TestWhatIsNotAdded(t *testing.T) {
	const ok = "- {request: GET /, want: deny}\n"
	for name, c := range map[string]struct{ file, text, want string }{
		"nothing":             {twoPolicies, "", "write one case"},
		"two cases":           {twoPolicies, ok + ok, "write one case"},
		"a document":          {twoPolicies, ok + "---\npolicy: /etc/passwd\n", "no second document"},
		"a policy":            {twoPolicies, "policy: /etc/passwd\n", "not a test case"},
		"an unknown member":   {twoPolicies, "- {request: GET /, want: deny, policy: x}\n", "field policy not found"},
		"no verdict":          {twoPolicies, "- {request: GET /}\n", "want must be one of"},
		"not a request":       {twoPolicies, "- {request: todos, want: deny}\n", "is not a request"},
		"tests on a line":     {"scope_expression: []\ntests: [{want: refused}]\n", ok, "write the first one yourself"},
		"no tests":            {"scope_expression: []\n", ok, "write the first one yourself"},
		"an empty file":       {"", ok, "add a list named tests"},
		"an end of documents": {"scope_expression: []\ntests:\n- want: refused\n...\n", ok, "write it there yourself"},
		"the same case":       {twoPolicies, "- {request: GET /todos/1, want: deny, scopes: []}\n", "has this case already"},
		"not YAML":            {"tests: [", ok, "did not find"},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, "todos_test.yaml", c.file)
			if err := AddTestCase(file, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to say %q", err, c.want)
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != c.file {
				t.Errorf("the file is now %q, %v", got, err)
			}
		})
	}
}

// A draft decides the cases of a file in place of its policies, with their options.
func TestADraftDecidesTheCasesOfAFile(t *testing.T) {
	file := write(t, "todos_test.yaml", "deny_by_default: false\n"+inline+`
tests:
  - {request: GET /x/a, scopes: [x], want: allow}
  - {request: GET /elsewhere, want: unprotected}
---
uma: true
scope_expression: []
tests:
  - {request: GET /x/a, scopes: [y], want: allow}
---
policy: "*.rego"
tests:
  - {request: GET /x/a, want: allow}
`)
	draft, err := scopeexpr.ParseDocument([]byte(`[{"path": "/x/a", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}, "data": ["y"]}}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	results, err := RunTestFile(file, draft)
	if err != nil || len(results) != 4 {
		t.Fatalf("got %v, %v", results, err)
	}
	for i, want := range []struct {
		got  string
		pass bool
	}{{deny, false}, {unprotected, true}, {allow, true}, {"", false}} {
		if r := results[i]; r.Got != want.got || r.Pass != want.pass || r.Index != i+1 {
			t.Errorf("case %d: got %+v, want %+v", i+1, r, want)
		}
	}
}

// What explain decides is printed as a case that passes.
func TestExplainAsATest(t *testing.T) {
	policy := write(t, "scopes.json", `[{"path": "/x/{a|(b)}", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}, "data": ["x"]}}]}]`)
	out, code, err := execute(newExplainCommand, "--policy", policy, "--request", "GET /x/%61", "--scopes", "y x", "--as-test")
	want := "- request: GET /x/%61\n  scopes: [y, x]\n  want: allow\n  rule: /x/{a|(b)}\n  captures: [~]\n"
	if out != want || code != exitYes || err != nil {
		t.Fatalf("exit code %d, error %v, got\n%s\nwant\n%s", code, err, out, want)
	}
	file := write(t, "x_test.yaml", "policy: "+policy+"\ntests:\n"+out)
	if results, err := RunTestFile(file, nil); err != nil || len(results) != 1 || !results[0].Pass {
		t.Errorf("the case gets %+v, %v", results, err)
	}
	for _, args := range [][]string{{"--no-token"}, {"--policy", "x.rego"}} {
		if _, code, err := execute(newExplainCommand, append(args, "--request", "GET /", "--as-test")...); code != exitError || err == nil || !strings.Contains(err.Error(), "scope expressions") {
			t.Errorf("%q: exit code %d, error %v", args, code, err)
		}
	}
}
