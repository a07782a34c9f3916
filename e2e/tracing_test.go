// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// With Caddy's tracing, a call to the authorization server is a child span of
// the request that needs it.
func TestTracesShowTheCallsToTheAuthorizationServer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(claimsServer{"token-that-may-read-only": {}})
	t.Cleanup(server.Close)
	a := &api{t: t, upstream: harness.StartUpstream(t)}
	a.Gateway = harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: strings.Replace(strings.Replace(answersCaddyfile, "FORMAT", "", 1), "\tgluu_cors {", "\ttracing {\n\t\tspan api\n\t}\n\tgluu_cors {", 1),
		Env: map[string]string{
			"ISSUER": server.URL, "UPSTREAM": a.upstream.Addr, "CLIENT_SECRET": gatewaySecret,
			// Spans are written to the standard output, as JSON.
			"OTEL_TRACES_EXPORTER": "console", "OTEL_BSP_SCHEDULE_DELAY": "50",
		},
	})
	a.Forbid(gatewaySecret)
	a.passed(get("/todos", "token-that-may-read-only"))
	a.passed(get("/todos", "token-that-may-read-only"))

	type identity struct{ TraceID, SpanID string }
	type span struct {
		Name                string
		SpanContext, Parent identity
	}
	var spans []span
	harness.Eventually(t, patience, func() string {
		spans = nil
		for _, entry := range a.Log.Entries(func(e harness.Entry) bool { return e["SpanContext"] != nil }) {
			text, _ := json.Marshal(entry)
			var s span
			if err := json.Unmarshal(text, &s); err != nil {
				return err.Error()
			}
			spans = append(spans, s)
		}
		if len(spans) < 3 {
			return "fewer than three spans are in the log"
		}
		return ""
	})
	var calls int
	requests := map[identity]bool{}
	for _, s := range spans {
		if s.Name == "api" {
			requests[s.SpanContext] = true
		}
	}
	for _, s := range spans {
		if s.Name == "gluu introspection_endpoint" {
			calls++
			if !requests[s.Parent] {
				t.Errorf("the parent of the call: got %v, want one of %v", s.Parent, requests)
			}
		}
	}
	if calls != 1 || len(requests) != 2 {
		t.Errorf("got spans of %d calls and %d requests, want 1 and 2: %v", calls, len(requests), spans)
	}
}
