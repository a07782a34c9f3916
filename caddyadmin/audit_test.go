// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/audit"
	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// Every request that is not a GET either is recorded as a change or is known to
// change nothing.
func TestEveryChangeIsRecorded(t *testing.T) {
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(index, &document); err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for path, operations := range document.Paths {
		for method := range operations {
			if slices.Contains([]string{"get", "head", "parameters"}, method) {
				continue
			}
			request := strings.ToUpper(method) + " " + path
			described[request] = true
			if (changes[request] != "") == slices.Contains(questions, request) {
				t.Errorf("%s is neither a change nor a question, or both", request)
			}
		}
	}
	for request := range changes {
		if !described[request] {
			t.Errorf("there is no %s", request)
		}
	}
}

// lastChange is the newest change of this process.
func lastChange() audit.Change {
	if list := audit.Recent.List(0, 1); len(list) > 0 {
		return list[0]
	}
	return audit.Change{}
}

func TestChangesOfTheAdminAPIAreRecorded(t *testing.T) {
	log := load(t, `{}`)
	for _, c := range []struct {
		method, target, body string
		status               int
		change, subject      string // "" if nothing is changed
	}{
		{"PUT", "/gluu/consumers/acme", `{"custom_id": "acme-app"}`, http.StatusCreated, "consumer saved", "acme"},
		{"PATCH", "/gluu/consumers/acme", `{"tags": ["a"]}`, http.StatusOK, "consumer saved", "acme"},
		{"PUT", "/gluu/consumers/other", `{"custom_id": 5}`, http.StatusBadRequest, "", ""},
		{"GET", "/gluu/consumers/acme", "", http.StatusOK, "", ""},
		{"DELETE", "/gluu/consumers/nobody", "", http.StatusNotFound, "", ""},
		{"DELETE", "/gluu/consumers/acme", "", http.StatusNoContent, "consumer deleted", "acme"},
		{"DELETE", "/gluu/tokens", "", http.StatusOK, "tokens forgotten: all", ""},
		{"DELETE", "/gluu/tokens/client/app%2F1", "", http.StatusOK, "tokens forgotten: client", "app/1"},
		{"DELETE", "/gluu/tokens/token", "a-secret-token", http.StatusOK, "tokens forgotten: one", ""},
		{"DELETE", "/gluu/tokens/token", "", http.StatusBadRequest, "", ""},
		{"DELETE", "/gluu/streams?client_id=app", "", http.StatusOK, "streams ended", "client_id=app"},
		{"DELETE", "/gluu/streams", "", http.StatusBadRequest, "", ""},
		{"POST", "/gluu/streams?all=true", "", http.StatusMethodNotAllowed, "", ""},
		{"POST", "/gluu/explain", `{"request": "GET /"}`, http.StatusBadRequest, "", ""},
	} {
		t.Run(c.method+" "+c.target, func(t *testing.T) {
			before := lastChange()
			status, body := caddytest.Admin(t, c.method, c.target, c.body)
			if status != c.status {
				t.Fatalf("got %d %s, want %d", status, body, c.status)
			}
			after := lastChange()
			switch isNew := after.Number > before.Number; {
			case c.change == "" && isNew:
				t.Errorf("recorded %+v, although nothing was changed", after)
			case c.change != "" && (after.Number != before.Number+1 || after.Change != c.change || after.Subject != c.subject || after.From != audit.AdminAPI || after.Address != "192.0.2.1"):
				t.Errorf("recorded %+v, want %q of %q", after, c.change, c.subject)
			}
		})
	}
	var answer struct {
		Changes []audit.Change `json:"changes"`
		Before  uint64         `json:"before"`
	}
	get(t, "/gluu/audit?limit=2", &answer)
	if len(answer.Changes) != 2 || answer.Changes[0].Change != "streams ended" || answer.Before != answer.Changes[1].Number {
		t.Errorf("got %+v", answer)
	}
	get(t, "/gluu/audit?"+url.Values{"before": {"1"}}.Encode(), &answer)
	if len(answer.Changes) != 0 {
		t.Errorf("before the first change: got %+v", answer)
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "before=0", "before=-1", "colour=red"} {
		if status, _ := caddytest.Admin(t, "GET", "/gluu/audit?"+query, ""); status != http.StatusBadRequest {
			t.Errorf("%s: got %d", query, status)
		}
	}
	if status, _ := caddytest.Admin(t, "DELETE", "/gluu/audit", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: got %d", status)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), `"logger":"gluu.audit","msg":"changed"`); n != 7 {
		t.Errorf("the log has %d changes, want 7", n)
	}
	if strings.Contains(string(text), "a-secret-token") {
		t.Error("the log has a token")
	}
}
