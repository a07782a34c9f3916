// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/pathmatch"
)

func TestExplain(t *testing.T) {
	check(t, newExplainCommand, []string{"-p", "testdata/todos.json", "-r", "GET /todos/hh/command/123-abcd", "-s", "todos:hh  command:124 guest"}, exitNo, `
request    GET /todos/hh/command/123-abcd
scopes     todos:hh command:124 guest
rule       GET /todos/?/command/{^(\d\d\d)-([a-d]{4})$}
captures   PC1 = "hh"
           PC2 = "123"
           PC3 = "abcd"
before     GET /todos/??: ? is any element, ?? is any number of elements

data
  ✓ 0  ^todos:(?<PC1>.+)$     by todos:hh
  ✗ 1  ^command:(?<PC2>\d+)$  command:124 matches, but PC2 is "124" there and "123" in the path
  ✓ 2  guest                  by guest
  ✗ 3  unused                 (not used by the rule)

expression
  ✗ and
    ✓ ^todos:(?<PC1>.+)$
    ✗ or
      ✗ ^command:(?<PC2>\d+)$
      ✗ not
        ✓ guest

decision   deny
`)
	check(t, newExplainCommand, []string{"-p", "testdata/todos.json", "-r", "HEAD /todos/x%79/", "-s", "user"}, exitNo, `
request    HEAD /todos/xy/
scopes     user
rule       GET /todos/??

data
  ✗ 0  admin

expression
  • if = <nil>
    ✗ admin
    ✓ true

decision   deny
`)
	check(t, newExplainCommand, []string{"-p", "testdata/todos.json", "-r", "GET /files/a?x=/todos", "-s", "files"}, exitYes, `
request    GET /files/a
scopes     files
rule       GET /files/{a|(b)}
captures   PC1 = absent
asks also  acr gold or silver, max_age 300 s

data
  ✓ 0  files  by files

expression
  ✓ files

decision   allow
`)
	check(t, newExplainCommand, []string{"-p", "testdata/todos.json", "-r", "PUT /files/a"}, exitNo, `
request    PUT /files/a

decision   deny
           no rule matches this path and method, and deny_by_default is true
`)
	check(t, newExplainCommand, []string{"-p", "testdata/todos.json", "-r", "get /files/a", "--deny-by-default=false"}, exitNo, `
request    get /files/a

decision   bad_request
           ambiguous method: methods are case-sensitive; write GET
`)
	check(t, newExplainCommand, []string{"-p", "testdata/todos.json", "-r", "FROB /files/a", "--deny-by-default=false"}, exitNo, `
request    FROB /files/a

decision   unprotected
           no rule matches this path and method, and deny_by_default is false
`)
}

// Rules without a scope expression, and a slash that is kept.
func TestExplainAccess(t *testing.T) {
	flags := []string{"-p", "testdata/access.Caddyfile", "-r"}
	check(t, newExplainCommand, append(flags, "GET /health"), exitYes, `
request    GET /health
rule       GET /health

decision   allow
           the rule is public: no token is needed
`)
	check(t, newExplainCommand, append(flags, "POST /health"), exitYes, `
request    POST /health
rule       POST /health
asks also  max_age 60 s

decision   allow
           any verified token may pass; without one the answer is 401
`)
	check(t, newExplainCommand, append(flags, "GET /projects/group%2fproject", "-s", "read:group/project"), exitYes, `
request    GET /projects/group%2Fproject
scopes     read:group/project
rule       GET /projects/?
captures   PC1 = "group/project"

data
  ✓ 0  ^read:(?<PC1>.+)$  by read:group/project

expression
  ✓ ^read:(?<PC1>.+)$

decision   allow
`)
	check(t, newExplainCommand, append(flags, "GET /projects/group%2fproject", "--encoded-slashes", "reject"), exitNo, `
request    GET /projects/group%2fproject

decision   bad_request
           ambiguous path: encoded slash at offset 15
`)
	check(t, newExplainCommand, append(flags, "GET /health", "--json"), exitYes,
		`{"decision":"allow","rule":"/health","method":"GET","captures":[],"data":[],"expression":null,"access":"public","reason":"the rule is public: no token is needed"}`+"\n")
	check(t, newRulesCommand, flags[:2], exitYes, `
gluu_oauth_pep of example.com, 3 rules
  GET   /health      public
  POST  /health      authenticated, max_age 60 s
  GET   /projects/?  ^read:(?<PC1>.+)$
`)
}

func TestExplainJSON(t *testing.T) {
	for _, test := range []struct {
		request, scopes string
		code            int
		want            string
	}{
		{"GET /todos/hh/command/123-abcd", "todos:hh command:123", exitYes,
			`{"decision":"allow","rule":"/todos/?/command/{^(\\d\\d\\d)-([a-d]{4})$}","method":"GET","captures":["hh","123","abcd"],` +
				`"data":[{"entry":"^todos:(?<PC1>.+)$","matched":true,"by":"todos:hh"},{"entry":"^command:(?<PC2>\\d+)$","matched":true,"by":"command:123"},` +
				`{"entry":"guest","matched":false,"by":null},{"entry":"unused","matched":false,"by":null}],` +
				`"expression":{"and":[{"var":0},{"or":[{"var":1},{"!":{"var":2}}]}]}}`},
		{"DELETE /todos/hh/command/123-abcd", "", exitNo,
			`{"decision":"deny","rule":"/todos/?/command/{^(\\d\\d\\d)-([a-d]{4})$}","method":"?","captures":["hh","123","abcd"],` +
				`"data":[{"entry":"admin","matched":false,"by":null}],"expression":{"var":0}}`},
		{"GET /files/a", "files", exitYes,
			`{"decision":"allow","rule":"/files/{a|(b)}","method":"GET","captures":[null],"data":[{"entry":"files","matched":true,"by":"files"}],"expression":{"var":0}}`},
		{"GET /none", "files", exitNo,
			`{"decision":"deny","rule":null,"method":null,"captures":[],"data":[],"expression":null,` +
				`"reason":"no rule matches this path and method, and deny_by_default is true"}`},
		{"GET /files/..%2fa", "files", exitNo,
			`{"decision":"bad_request","rule":null,"method":null,"captures":[],"data":[],"expression":null,"reason":"ambiguous path: encoded slash at offset 9"}`},
	} {
		check(t, newExplainCommand, []string{"--json", "-p", "testdata/todos.json", "-r", test.request, "-s", test.scopes}, test.code, test.want+"\n")
	}
}

func TestExplainUMA(t *testing.T) {
	check(t, newExplainCommand, []string{"--uma", "-p", "testdata/uma.json", "-r", "HEAD /photos/7", "-s", "view"}, exitNo, `
request    HEAD /photos/7
scopes     view
rule       HEAD /photos/?
captures   PC1 = "7"
resource   GET,HEAD /photos/?, with read view

data
  ✓ 0  view  by view
  ✗ 1  read

expression
  ✗ and
    ✗ read
    ✓ view

decision   deny
           a permission ticket for GET,HEAD /photos/? would request read view
`)
	check(t, newExplainCommand, []string{"--json", "--uma", "-p", "testdata/uma.json", "-r", "DELETE /photos/7"}, exitNo,
		`{"decision":"deny","rule":"/photos/?","method":"DELETE","captures":["7"],"data":[{"entry":"delete","matched":false,"by":null}],`+
			`"expression":{"var":0},"resource":{"id":"4711","scopes":["delete"]},"ticket":["delete"]}`+"\n")
	check(t, newExplainCommand, []string{"--json", "--uma", "-p", "testdata/uma.json", "-r", "GET /photos/7", "-s", "read view"}, exitYes,
		`{"decision":"allow","rule":"/photos/?","method":"GET","captures":["7"],"data":[{"entry":"view","matched":true,"by":"view"},`+
			`{"entry":"read","matched":true,"by":"read"}],"expression":{"and":[{"var":1},{"var":0}]},`+
			`"resource":{"name":"GET,HEAD /photos/?","scopes":["read","view"]}}`+"\n")
}

// A gateway that obtains the permissions of people redeems the ticket itself.
func TestExplainAnUMAClient(t *testing.T) {
	config := write(t, "caddy.json", `{"apps": {"http": {"servers": {"s": {"routes": [{"handle": [{"handler": "gluu_uma_pep", "obtain_rpt": true, "uma_scope_expression":
		[{"path": "/todos", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}, "data": ["view"]}}]}]}]}]}}}}}`)
	check(t, newExplainCommand, []string{"-p", config, "-r", "GET /todos"}, exitNo, `
request    GET /todos
rule       GET /todos
resource   GET /todos, with view

data
  ✗ 0  view

expression
  ✗ view

decision   deny
           a permission ticket for GET /todos would request view
           the gateway redeems it for a person who has logged in (obtain_rpt)
`)
	check(t, newExplainCommand, []string{"--json", "-p", config, "-r", "GET /todos"}, exitNo,
		`{"decision":"deny","rule":"/todos","method":"GET","captures":[],"data":[{"entry":"view","matched":false,"by":null}],`+
			`"expression":{"var":0},"resource":{"name":"GET /todos","scopes":["view"]},"ticket":["view"],"obtain_rpt":true}`+"\n")
	check(t, newExplainCommand, []string{"--json", "-p", config, "-r", "GET /todos", "-s", "view"}, exitYes,
		`{"decision":"allow","rule":"/todos","method":"GET","captures":[],"data":[{"entry":"view","matched":true,"by":"view"}],`+
			`"expression":{"var":0},"resource":{"name":"GET /todos","scopes":["view"]}}`+"\n")
	tests := write(t, "uma.test.yaml", "policy: "+config+"\ntests:\n  - {request: GET /todos, scopes: [], want: deny}\n")
	got, code, err := execute(newTestCommand, "--json", tests)
	if code != exitYes || err != nil || !strings.Contains(got, `"ticket":["view"],"obtain_rpt":true`) {
		t.Errorf("test prints %s, exit code %d, %v", got, code, err)
	}
}

func TestExplainAConfiguration(t *testing.T) {
	check(t, newExplainCommand, []string{"-p", "testdata/two.Caddyfile", "--handler", "1", "-r", "GET /a", "-s", "read", "--json"}, exitYes,
		`{"decision":"allow","rule":"/a","method":"GET","captures":[],"data":[{"entry":"read","matched":true,"by":"read"}],"expression":{"var":0}}`+"\n")
	for _, test := range []struct {
		handler, request, scopes string
		more                     []string
		code                     int
		want                     string
	}{
		{"1", "GET /b", "", nil, exitNo, `"decision":"deny"`},
		{"1", "GET /b", "", []string{"--deny-by-default=false"}, exitNo, `"decision":"unprotected"`},
		{"1", "GET /x/..%2fa", "read", nil, exitNo, `"decision":"bad_request"`},
		{"1", "GET /x/..%2fa", "read", []string{"--ambiguous-paths", "allow"}, exitYes, `"decision":"allow"`},
		{"2", "GET /b", "", nil, exitNo, `"decision":"unprotected"`},
		{"2", "GET /b", "", []string{"--deny-by-default=true"}, exitNo, `"decision":"deny"`},
		{"2", "GET /open/x/../path", "a(b)", nil, exitYes, `"decision":"allow"`},
		{"2", "GET /open/x/../path", "a(b)", []string{"--ambiguous-paths", "reject"}, exitNo, `"decision":"bad_request"`},
		{"2", "HEAD /open/path", "c", nil, exitYes, `"rule":"/open/{(?:path)}","method":"GET"`},
	} {
		args := append([]string{"--json", "-p", "testdata/two.Caddyfile", "--handler", test.handler, "-r", test.request, "-s", test.scopes}, test.more...)
		out, code, err := execute(newExplainCommand, args...)
		if code != test.code || err != nil || !strings.Contains(out, test.want) {
			t.Errorf("%q: exit code %d, error %v, output %s, want %d and %s", args, code, err, out, test.code, test.want)
		}
	}
}

// TestWireForm shows that a request is read as a server would read it.
func TestWireForm(t *testing.T) {
	for text, want := range map[string]string{
		"GET /files/a":                      "GET /files/a",
		"GET /files/a HTTP/1.1":             "GET /files/a",
		"  GET   /files/a ":                 "GET /files/a",
		"GET http://h.example/files/a":      "GET /files/a",
		"GET http://h.example":              "GET /",
		"GET //files//a":                    "GET /files/a",
		"GET /files/%61?q=/../x":            "GET /files/a",
		"GET /%E4%BD%A0":                    "GET /你",
		"GET /a b":                          "400",
		"GET /a#b":                          "GET /a#b",
		"OPTIONS *":                         "400",
		"CONNECT example.com:443":           "400",
		"CONNECT /a":                        "400",
		"GET /a;b":                          "400",
		"GET /a%3bb":                        "400",
		"GET /a%zz":                         "400",
		"GET /a\r\nX-Header:%20x":           "400",
		"GET files/a":                       "400",
		"GE(T /a":                           "400",
		"GET /" + strings.Repeat("a/", 600): "400",
	} {
		r, err := parseRequest(text, pathmatch.Options{})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got := r.String()
		if r.bad != nil {
			got = "400"
		}
		if got != want {
			t.Errorf("%q: got %s (%v), want %s", text, got, r.bad, want)
		}
	}
}

// TestColour: only for a terminal, and whatever a token says does nothing to
// it.
func TestColour(t *testing.T) {
	var b strings.Builder
	p := newPainter(&b)
	p.line("%s %s", p.tick(true), p.bold("x"))
	p.colour = true
	p.line("%s %s", p.tick(true), p.bold("x"))
	if got, want := b.String(), "✓ x\n\x1b[32m✓\x1b[0m \x1b[1mx\x1b[0m\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for text, want := range map[string]string{
		"größe ✓":       "größe ✓",
		"a\x1b[2Jb":     `a\u001b[2Jb`,
		"a\nb":          `a\u000ab`,
		"a\u009b\u2028": `a\u009b\u2028`,
		"a\u202eb":      `a\u202eb`,
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
