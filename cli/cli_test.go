// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/standard" // what configurations name beside
	"github.com/spf13/cobra"

	_ "github.com/caddy-gluu/gateway/caddyoauth" // the handlers with policies
)

// execute runs a command and returns what it prints, its exit code and its
// error.
func execute(newCommand func() *cobra.Command, args ...string) (out string, code int, err error) {
	cmd := newCommand()
	var b bytes.Buffer
	cmd.SetOut(&b)
	cmd.SetErr(&b)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.Execute()
	switch {
	case err == nil:
		return b.String(), exitYes, nil
	case errors.Is(err, errNo):
		return b.String(), exitNo, nil
	}
	return b.String(), exitError, err
}

// check runs a command and compares.
func check(t *testing.T, newCommand func() *cobra.Command, args []string, wantCode int, want string) {
	t.Helper()
	out, code, err := execute(newCommand, args...)
	if code != wantCode || err != nil {
		t.Errorf("%q: exit code %d, error %v, want %d", args, code, err, wantCode)
	}
	if want = strings.TrimPrefix(want, "\n"); out != want {
		t.Errorf("%q:\ngot\n%s\nwant\n%s", args, out, want)
	}
}

// checkError runs a command that must fail, and looks for a part of the error.
func checkError(t *testing.T, newCommand func() *cobra.Command, args []string, want string) {
	t.Helper()
	out, code, err := execute(newCommand, args...)
	if code != exitError || err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%q: exit code %d, error %v, output %q, want %d and %q", args, code, err, out, exitError, want)
	}
}

// write puts a file into a folder of the test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestEveryCommandHasItsHelp(t *testing.T) {
	for _, newCommand := range commands {
		cmd := newCommand()
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" || cmd.RunE == nil || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: no help", cmd.Use)
		}
	}
}

func TestWrongArgumentsAreErrors(t *testing.T) {
	checkError(t, newExplainCommand, nil, "missing required flag --request")
	checkError(t, newExplainCommand, []string{"--policy", "testdata/todos.json"}, "missing required flag --request")
	checkError(t, newExplainCommand, []string{"--polizy", "x"}, "unknown flag")
	checkError(t, newExplainCommand, []string{"-p", "testdata/none.json", "-r", "GET /"}, `the policy file "testdata/none.json" cannot be read: no such file or directory; write the path`)
	checkError(t, newExplainCommand, []string{"-p", "testdata/todos.json", "-r", "GET"}, `write a method and a path, for example "GET /todos/hh"`)
	checkError(t, newExplainCommand, []string{"-p", "testdata/todos.json", "-r", "GET /", "--ambiguous-paths", "maybe"}, "reject or allow")
	checkError(t, newExplainCommand, []string{"-p", "testdata/todos.json", "-r", "GET /", "--handler", "1"}, "is a scope expression document; leave the handler out")
	checkError(t, newExplainCommand, []string{"-p", "testdata/two.Caddyfile", "-r", "GET /", "--handler", "-1"}, "numbers start at 1")
	checkError(t, newExplainCommand, []string{"-p", "testdata/two.Caddyfile", "-r", "GET /", "--handler", "3"},
		"no handler 3; choose one of:\n\t1  gluu_oauth_pep of example.com\n\t2  gluu_oauth_pep of http://a.much.longer.name.example.com, https://a.much.longer.name.example.com")
	checkError(t, newExplainCommand, []string{"-p", "testdata/two.Caddyfile", "-r", "GET /"}, "several handlers with a policy; choose one by its number with --handler")
	checkError(t, newExplainCommand, []string{"-p", "testdata/two.Caddyfile", "-r", "GET /", "--uma"}, "leave uma out")
	checkError(t, newExplainCommand, []string{"-p", "testdata/uma.json", "-r", "GET /"}, "resource_id is only for UMA")
	checkError(t, newRulesCommand, nil, "missing required flag --policy")
	checkError(t, newRulesCommand, []string{"-p", "testdata/todos.json", "x"}, "unknown command")
	checkError(t, newTestCommand, nil, "at least 1 arg")
	checkError(t, newTestCommand, []string{"testdata/none.yaml"}, `the test file "testdata/none.yaml" cannot be read: no such file`)
}

// TestPoliciesThatDoNotLoad shows that an error names the place in the file,
// whatever the format.
func TestPoliciesThatDoNotLoad(t *testing.T) {
	rules := `[{"path": "/a", "conditions": [{"httpMethods": ["GET"],
		"scope_expression": {"rule": {"xor": [{"var": 0}]}, "data": ["a"]}}]}]`
	for _, test := range []struct{ name, text, want string }{
		{"p.json", rules, "p.json: line 2, column 40: [0].conditions[0].scope_expression.rule.xor: unknown operator"},
		{"p.txt", rules, "unknown operator"},
		{"p.json", "[{,]", "line 1, column 3: this is not valid JSON"},
		{"p.txt", "[{,]", "line 1, column 3: this is not valid JSON"},
		{"p.json", "{,}", "invalid character ','"},
		{"p.json", `{"apps": {}}`, "neither gluu_oauth_pep nor gluu_uma_pep"},
		{"p.json", `{"a": [{"handler": "gluu_oauth_pep", "oauth_scope_expression": ` + rules + `}]}`, "gluu_oauth_pep: oauth_scope_expression: line 2"},
		{"p.json", `{"a": [{"handler": "gluu_oauth_pep", "deny_by_default": "yes"}]}`, "deny_by_default"},
		{"p.json", `{"a": [{"handler": "gluu_oauth_pep"}]}`, "there are no rules"},
		{"Caddyfile", "example.com {\n\tgluu_oauth_pep {\n\t\tpath /a {\n\t\t\tGET scope a b\n\t\t}\n\t}\n}\n", "Caddyfile:4"},
		{"Caddyfile", "example.com {\n\tgluu_oauth_pep {\n\t\tpath /{path} {\n\t\t\tGET scope a\n\t\t}\n\t}\n}\n", "write {(?:path)}"},
		{"Caddyfile", "example.com {\n\trespond ok\n}\n", "neither gluu_oauth_pep nor gluu_uma_pep"},
		{"Caddyfile", "[::1]:8080 {\n\tgluu_oauth_pep\n}\n", "there are no rules"},
		{"site", "[::1]:8080 {\n\tgluu_oauth_pep\n}\n", "there are no rules"},
	} {
		file := write(t, test.name, test.text)
		checkError(t, newExplainCommand, []string{"-p", file, "-r", "GET /"}, test.want)
		checkError(t, newRulesCommand, []string{"-p", file}, test.want)
	}
}
