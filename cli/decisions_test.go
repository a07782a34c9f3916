// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// adminAt is an admin endpoint that answers one target.
func adminAt(t *testing.T, target string, status int, answer string) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.String() != target {
			t.Errorf("got %s %s, want %s", r.Method, r.URL, target)
		}
		if strings.HasPrefix(answer, ":") != (r.Header.Get("Accept") == "text/event-stream") {
			t.Errorf("asked for %s", r.Header.Get("Accept"))
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

const refusedTodo = `{"number":7,"time":"2026-03-01T12:00:00Z","request_id":"id-1","method":"POST","host":"api.example.com","path":"/todos/\u202e\u001b[31m","client_ip":"203.0.113.7","handler":"gluu_oauth_pep","chain":[{"handler":"gluu_oauth_auth","verdict":"authenticated"},{"handler":"gluu_oauth_pep","verdict":"refused"}],"status":403,"reason":"scope_missing","error":"insufficient_scope","rule":"/todos/?","policy":"4f2a","client_id":"app","consumer":"todo-app","provider":"default","required":"todos:write","grants":["todos:read"],"enough":["todos:write"],"missing":["todos:write"]`

func TestDecisionsAreListed(t *testing.T) {
	answer := `{"decisions":[` + refusedTodo + `},{"time":"2026-03-01T11:59:00Z","request_id":"id-0","method":"GET","host":"h","path":"/","client_ip":"203.0.113.8","status":401,"reason":"no_token","dry_run":true}]}` + "\n"
	address := adminAt(t, "/gluu/decisions?client_id=app&limit=2&reason=scope_missing", http.StatusOK, answer)
	args := []string{"--address", address, "--client", "app", "--reason", "scope_missing", "--limit", "2"}
	check(t, newDecisionsCommand, args, exitYes, `
time             status  reason              request                                      caller       request id
03-01 12:00:00Z  403     scope_missing       POST api.example.com/todos/\u202e\u001b[31m  todo-app     id-1
03-01 11:59:00Z  401     no_token (dry run)  GET h/                                       203.0.113.8  id-0
`)
	check(t, newDecisionsCommand, append(args, "--json"), exitYes, "\n"+answer)
	check(t, newDecisionsCommand, []string{"--address", adminAt(t, "/gluu/decisions?limit=50", 200, `{"decisions":[]}`)}, exitYes, "\nno refusals\n")
	checkError(t, newDecisionsCommand, []string{"--address", adminAt(t, "/gluu/decisions?limit=0", 400, `{"error":"limit is a number"}`), "-n", "0"}, "limit is a number")
	checkError(t, newDecisionsCommand, []string{"--address", "127.0.0.1:1"}, "write its admin address with --address")
}

func TestDecisionsAreFollowed(t *testing.T) {
	const target = "/gluu/decisions?host=api.example.com"
	stream := ": comment\n\nevent: decision\nid: 7\ndata: " + refusedTodo + "}\n\nevent: missed\ndata: 12\n\nevent: unknown\ndata: x\n\n"
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"text": {nil, `03-01 12:00:00Z  403 scope_missing  POST api.example.com/todos/\u202e\u001b[31m  todo-app  id-1` + "\n12 refusals were too fast to be shown\n"},
		"json": {[]string{"--json"}, refusedTodo + "}\n12 refusals were too fast to be shown\n"},
	} {
		t.Run(name, func(t *testing.T) {
			address := adminAt(t, target, http.StatusOK, stream)
			out, code, err := execute(newDecisionsCommand, append(test.args, "--address", address, "--host", "api.example.com", "--follow")...)
			if code != exitError || err == nil || !strings.Contains(err.Error(), "has ended the stream") {
				t.Errorf("exit code %d, error %v", code, err)
			}
			if out, _, _ = strings.Cut(out, "Error:"); out != test.want {
				t.Errorf("got %q, want %q", out, test.want)
			}
		})
	}
}

func TestWhy(t *testing.T) {
	answer := `{"request_id":"id-1","decisions":[` + refusedTodo + `,"meaning":"the token does not have the scopes that the rule requires","who_can_fix_it":"the client","detail":"cause","for_client":"The request was refused."}]}` + "\n"
	args := []string{"--address", adminAt(t, "/gluu/decisions/id%2F1", http.StatusOK, answer), "id/1"}
	check(t, newWhyCommand, args, exitYes, `
request    POST api.example.com/todos/\u202e\u001b[31m
time       2026-03-01 12:00:00 UTC
address    203.0.113.7
client     app
consumer   todo-app
provider   default
handlers   gluu_oauth_auth authenticated
           gluu_oauth_pep refused
rule       /todos/?
policy     4f2a
requires   todos:write
scopes     todos:read
missing    todos:write
would do   todos:write

refused    403 scope_missing
meaning    the token does not have the scopes that the rule requires
cause      cause
who        the client

to send to the client:
The request was refused.
`)
	check(t, newWhyCommand, append(args, "--json"), exitYes, "\n"+answer)
	checkError(t, newWhyCommand, []string{"--address", adminAt(t, "/gluu/decisions/x", 404, `{"error":"no refusal of a request"}`), "x"}, "no refusal of a request")
}

func TestColumnsFit(t *testing.T) {
	var out bytes.Buffer
	table := &columns{header: []string{"name", "a long column", "id"}}
	table.add("x", strings.Repeat("ü", 60), "0123456789")
	table.add("y", "short\nline", "1")
	table.print(newPainter(&out), 40)
	want := "name  a long column           id\nx     " + strings.Repeat("ü", 21) + "…  0123456789\ny     short\\u000aline         1\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	out.Reset()
	table.print(newPainter(&out), 5)
	if lines := strings.Split(out.String(), "\n"); !strings.HasPrefix(lines[1], "x     "+strings.Repeat("ü", 11)+"…") {
		t.Errorf("got %q", out.String())
	}
}
