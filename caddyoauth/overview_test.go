// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/introspect"
)

// The overview has the rules in force, what loosens the configuration, and how many
// requests were granted and refused.
func TestTheOverviewOfAGateway(t *testing.T) {
	g := start(t, simpleApp, "gluu_oauth_auth\n"+strings.Replace(simplePEP, "{", "{\ndry_run", 1))
	g.auth.issue("good", claims("client-a", "read list"))
	before := introspect.Running().Overview(t.Context()).Requests
	for _, token := range []string{"good", "good", "good"} {
		g.send("GET /todos/1 HTTP/1.1\nHost: " + g.address + "\nAuthorization: Bearer " + token)
	}
	g.send("GET /todos/1 HTTP/1.1\nHost: " + g.address)
	got := introspect.Running().Overview(t.Context())
	if granted, refused := got.Requests.Granted-before.Granted, got.Requests.Refused-before.Refused; granted != 3 || refused != 1 {
		t.Errorf("got %d granted and %d refused, want 3 and 1", granted, refused)
	}
	if len(got.Policies) != 1 || got.Policies[0].Handler != "gluu_oauth_pep" || got.Policies[0].Rules != 2 || got.Policies[0].Revision == "" || got.Policies[0].Since.IsZero() || !got.Policies[0].DryRun {
		t.Errorf("got the policies %+v", got.Policies)
	}
	var dry bool
	for _, w := range got.Warnings {
		dry = dry || strings.Contains(w.Warning, "dry_run is on") && strings.Contains(w.Where, "gluu_oauth_pep")
	}
	if !dry {
		t.Errorf("got the warnings %+v, want one about dry_run", got.Warnings)
	}
	if len(got.Providers) != 1 || got.Versions.Go == "" || got.Loaded.IsZero() {
		t.Errorf("got %+v", got)
	}
}
