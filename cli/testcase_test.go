// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/caddy-gluu/gateway/scopeexpr"
)

const twoPolicies = `# how todos are guarded
scope_expression: []
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
	added, err := (&TestCase{Request: "GET /todos/a%20b", Scopes: []string{"todos:read", "true"}, Want: allow, Rule: "/todos/?", Captures: []*string{new("a b"), nil}}).YAML()
	if err != nil {
		t.Fatal(err)
	}
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
		"other ends of lines": {"scope_expression: []\rtests:\r- want: refused\ruma: true\r", ok, "its lines do not end"},
		"claims":              {twoPolicies, "- {request: GET /, want: deny, claims: {sub: ann}}\n", "test 4: claims and consumer are for policies in Rego"},
		"a rule for Rego":     {"policy: p.rego\ntests:\n- {request: GET /, want: refused}\n", "- {request: GET /, want: deny, rule: /}\n", "test 2: rule and captures are for scope expressions"},
		"a file with faults":  {"policy: p.json\nhandler: 7\ntests:\n- {request: GET /a, want: deny}\n", ok, "caddy gluu test says why"},
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

// A file that is a link stays one: what it names gets the case.
func TestACaseIsAddedBehindALink(t *testing.T) {
	file := write(t, "todos_test.yaml", twoPolicies)
	link := filepath.Join(t.TempDir(), "link_test.yaml")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := AddTestCase(link, "- {request: GET /todos/2, want: deny}\n"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is now %v, %v", info.Mode(), err)
	}
	if got, err := os.ReadFile(file); err != nil || !strings.Contains(string(got), "GET /todos/2") {
		t.Errorf("the file is %s, %v", got, err)
	}
}

// A case says exactly what was decided, whatever a scope contains, or there is none.
func TestTextsOfACase(t *testing.T) {
	for _, text := range []string{"a\u2028b", "a\u2029", "a\u0085b", "\ufeff", "\x00", "a\tb", "\u202eb", "~", "- a", "'", "\"\\", "{{.}}", "#", "", " a "} {
		c := &TestCase{Request: "GET /", Scopes: []string{text}, Want: deny, Captures: []*string{&text}}
		written, err := c.YAML()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var read []struct{ Scopes, Captures []string }
		if err := yaml.Unmarshal([]byte(written), &read); err != nil || len(read) != 1 || !slices.Equal(read[0].Scopes, c.Scopes) || !slices.Equal(read[0].Captures, c.Scopes) {
			t.Errorf("%q is written as %s, which is %+v (%v)", text, written, read, err)
		}
	}
	if text, err := (&TestCase{Request: "GET /", Scopes: []string{"\xff"}, Want: deny}).YAML(); err == nil {
		t.Errorf("what is not UTF-8 is written as %q", text)
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
	if _, code, err := execute(newExplainCommand, "--policy", policy, "--request", "GET /x/a", "--scopes", "\xff", "--as-test"); code != exitError || err == nil {
		t.Errorf("a scope that is not UTF-8: exit code %d, error %v", code, err)
	}
	for _, args := range [][]string{{"--no-token"}, {"--policy", "x.rego"}} {
		if _, code, err := execute(newExplainCommand, append(args, "--request", "GET /", "--as-test")...); code != exitError || err == nil || !strings.Contains(err.Error(), "scope expressions") {
			t.Errorf("%q: exit code %d, error %v", args, code, err)
		}
	}
}
