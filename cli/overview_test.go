// SPDX-License-Identifier: Apache-2.0

package cli

import "testing"

func TestOverview(t *testing.T) {
	const answer = `{"time":"2026-03-01T12:01:05Z","configuration_loaded":"2026-03-01T11:00:00Z","versions":{"gateway":"v1.0.0","caddy":"v2.11.9","go":"go1.26"},"requests":{"from":"2026-03-01T12:00:00Z","to":"2026-03-01T12:01:05Z","granted":120,"refused":7,"would_refuse":2,"reasons":[{"reason":"no_token","count":5},{"reason":"no_rule","count":4}]},"providers":[{"name":"default","health":"degraded","issuer":"https://op.example.com","last_error":{"error":"status 500\u001b[2J"}}],"cache":{"positive":{"entries":12},"shared":{"state":"ok"}},"streams":3,"policies":[{"handler":"gluu_oauth_pep","hosts":["api.example.com"],"rules":4,"revision":"f9f27a4c7fc0","since":"2026-03-01T11:00:00Z"}],"missing":[{"what":"sessions","reason":"no store"}],"warnings":[{"where":"provider default","warning":"no audience"}]}` + "\n"
	args := []string{"--address", adminAt(t, "/gluu/overview", 200, answer)}
	check(t, newOverviewCommand, args, exitYes, `
gateway    v1.0.0, caddy v2.11.9, configuration of 2026-03-01 11:00:00 UTC
requests   120 granted, 7 refused in 1m5s
           2 passed because of a dry run
                5  no_token
                4  no_rule
cache      12 tokens, shared cache ok
streams    3 open
not ready  sessions: no store

provider  health    issuer                  last error
default   degraded  https://op.example.com  status 500\u001b[2J

rules of         handler         rules  revision      in force since
api.example.com  gluu_oauth_pep  4      f9f27a4c7fc0  2026-03-01 11:00:00 UTC

warning    provider default: no audience
`)
	check(t, newOverviewCommand, append(args, "--json"), exitYes, "\n"+answer)
}
