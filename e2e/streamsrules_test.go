// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// A reload changes the rule that let streams in. The proxy would close WebSockets by
// itself without a delay, and with another code.
func TestSec_S516_AStreamEndsWithItsRule(t *testing.T) {
	t.Parallel()
	stub := newStubServer(t)
	gateway := harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: strings.NewReplacer(
			"path /?? {", "path /kept {\nGET scope todos:read\n}\npath /?? {",
			"reverse_proxy {$UPSTREAM}", "reverse_proxy {$UPSTREAM} {\nstream_close_delay 1h\n}",
		).Replace(streamsCaddyfile),
		Env: map[string]string{"SERVER": stub.addr, "UPSTREAM": streamUpstream(t)},
	})
	gateway.WaitReady("/ready", harness.Bearer("is-the-server-there"))
	ending, kept := socket(t, gateway, "ended"), socketAt(t, gateway, "/kept", "kept")
	harness.Eventually(t, patience, func() string {
		if list := adminDo(t, gateway, http.MethodGet, "/gluu/streams", ""); !strings.Contains(list, `"total":2`) {
			return list
		}
		return ""
	})

	rule := func(path, scope string) string {
		return `{"path": "` + path + `", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}, "data": ["` + scope + `"]}}]}`
	}
	gateway.Config(http.MethodPatch, gateway.HandlerPath("gluu_oauth_pep")+"/oauth_scope_expression",
		json.RawMessage("["+rule("/kept", "todos:read")+","+rule("/??", "todos:admin")+"]"))
	if code, reason := closeFrame(t, ending); code != 3003 || reason != "rule_changed" {
		t.Errorf("got %d %q, want 3003 rule_changed", code, reason)
	}
	if list := adminDo(t, gateway, http.MethodGet, "/gluu/streams", ""); !strings.Contains(list, `"/kept"`) {
		t.Errorf("the stream that its rule still lets in is not open: %s", list)
	}
	// The register outlives the reload, so that a revocation still finds the stream.
	adminDo(t, gateway, http.MethodDelete, "/gluu/tokens/token", "kept")
	if code, reason := closeFrame(t, kept); code != 3000 || reason != "token_revoked" {
		t.Errorf("the other one: got %d %q", code, reason)
	}
}
