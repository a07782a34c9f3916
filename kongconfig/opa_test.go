// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A server of Open Policy Agent decides, and its failure refuses.
func TestGluuOPA(t *testing.T) {
	as := newAuthorizationServer(t)
	opa := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var question struct {
			Input struct{ Method string }
		}
		_ = json.NewDecoder(r.Body).Decode(&question)
		if r.URL.Path != "/v1/data/httpapi/authz" || r.URL.RawQuery != "pretty=true&explain=full" {
			t.Errorf("asked at %s", r.URL)
		}
		switch question.Input.Method {
		case "GET":
			answer(w, map[string]any{"result": map[string]any{"allow": true}})
		case "PUT":
			answer(w, map[string]any{"result": map[string]any{"allow": false}})
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer opa.Close()
	g := run(t, fmt.Sprintf(`{_format_version: "1.1", consumers: [{username: c, custom_id: client-c}], services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: [/]}]}],
 plugins: [%s, {name: gluu-opa-pep, config: {opa_url: "%s/v1/data/httpapi/authz?pretty=true&explain=full", forward_request_body: false}}]}`, as.plugin(""), opa.URL), nil)
	for method, want := range map[string]int{"GET": 200, "PUT": 403, "DELETE": 503} {
		if got := g.ask(method+" h /x", "Authorization: Bearer of-client-c"); got.status != want {
			t.Errorf("%s: got %d %s, want %d", method, got.status, got.body, want)
		}
	}
	if got := g.ask("GET h /x"); got.status != 401 {
		t.Errorf("without a token: got %d", got.status)
	}
	_, _, err := adapt(t, `{_format_version: "1.1", plugins: [{name: gluu-opa-pep, config: {opa_url: nowhere}}]}`, nil)
	if err == nil || !strings.Contains(err.Error(), `config.opa_url: "nowhere" is not the address of a decision`) {
		t.Errorf("got %v", err)
	}
}
