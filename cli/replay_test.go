// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"net/http"
	"strings"
	"testing"
)

func TestReplay(t *testing.T) {
	refused := func(id, path, scope string) string {
		return `{"time":"2026-03-01T12:00:00Z","request_id":"` + id + `","method":"GET","host":"h","path":"` + path + `","handler":"gluu_oauth_pep","chain":null,"status":403,"reason":"scope_missing","client_id":"app","provider":"p","grants":["` + scope + `"]}`
	}
	answer := `{"decisions":[` + refused("id-1", "/a", "read") + "," + refused("id-2", "/a", "other") + "," + refused("id-3", `/a/..%2fb`, "read") + "," + refused("id-4", "/else", "read") + "]}"
	address := adminAt(t, "/gluu/decisions?handler=gluu_oauth_pep&host=h&limit=1000", http.StatusOK, answer)
	policy := write(t, "draft.json", `[{"path": "/a", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}, "data": ["read"]}}]}]`)
	args := []string{"--policy", policy, "--address", address, "--host", "h"}
	check(t, newReplayCommand, args, exitNo, `
time             status  reason         request  caller  request id
03-01 12:00:00Z  403     scope_missing  GET h/a  app     id-1
1 of 3 refused requests would pass
`)
	out, code, err := execute(newReplayCommand, append(args, "--json", "--deny-by-default=false")...)
	if err != nil || code != exitNo || !strings.HasPrefix(out, `{"tried":3,"decisions":[`) || strings.Count(out, `"request_id"`) != 2 || !strings.Contains(out, "id-4") {
		t.Errorf("exit code %d, error %v, got %s", code, err, out)
	}
	strict := write(t, "strict.json", `[{"path": "/a", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}, "data": ["admin"]}}]}]`)
	check(t, newReplayCommand, []string{"--policy", strict, "--address", address, "--host", "h"}, exitYes, "\n0 of 3 refused requests would pass\n")
	checkError(t, newReplayCommand, []string{"--policy", policy, "--uma"}, "rules of gluu_oauth_pep alone")
	checkError(t, newReplayCommand, nil, "missing required flag")
}
