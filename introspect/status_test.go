// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"fmt"
	"testing"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
)

func TestProviderStatuses(t *testing.T) {
	server := providertest.NewServer(t)
	app := mustLoad(t, t.TempDir(), fmt.Sprintf(`{"providers": {
		"default": %s,
		"absent": {"issuer": "http://127.0.0.1:1", "verify": "jwt", "audience": ["a"]}
	}}`, providerJSON(introspecting(server))))
	server.On("/introspect", providertest.RespondWith(500, "text/plain", "down"))
	for i := range provider.BreakerFailures {
		_, _ = verify(t, app, "", fmt.Sprint("token-", i))
	}
	got := app.ProviderStatuses()
	if len(got) != 2 || got[0].Name != "absent" || got[1].Name != "default" {
		t.Fatalf("got %+v, want both in the order of their names", got)
	}
	if p := got[0]; p.Health != provider.HealthPending || p.Discovery == nil || p.Discovery.Done {
		t.Errorf("the unreachable one: got %+v", p)
	}
	p := got[1]
	if p.Health != provider.HealthDegraded || p.Breakers["introspection_endpoint"] != "open" {
		t.Errorf("the failing one: got %+v", p)
	}
	if p.LastError == nil || p.LastError.Endpoint != "introspection_endpoint" || p.LastError.Error != "status 500" {
		t.Errorf("the failing one: got the last error %+v", p.LastError)
	}
	if p.Endpoints["introspection_endpoint"] != server.URL+"/introspect" {
		t.Errorf("got endpoints %v", p.Endpoints)
	}
}

// That the server refuses who the gateway is shows at once, and ends with the first
// answer.
func TestRejectedCredentialsAreDegraded(t *testing.T) {
	server := providertest.NewServer(t)
	app := mustLoad(t, t.TempDir(), fmt.Sprintf(`{"providers": {"default": %s}}`, providerJSON(introspecting(server))))
	for _, step := range []struct {
		status int
		body   string
		health string
	}{
		{401, `{"error":"invalid_client"}`, provider.HealthDegraded},
		{200, `{"active":false}`, provider.HealthOK},
	} {
		server.On("/introspect", providertest.RespondWith(step.status, "application/json", step.body))
		_, _ = verify(t, app, "", fmt.Sprint("token-", step.status))
		if got := app.ProviderStatuses()[0].Health; got != step.health {
			t.Errorf("after %d: got the health %s, want %s", step.status, got, step.health)
		}
	}
}
