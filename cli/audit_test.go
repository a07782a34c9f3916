// SPDX-License-Identifier: Apache-2.0

package cli

import "testing"

func TestAudit(t *testing.T) {
	const answer = `{"changes":[{"number":2,"time":"2026-03-01T12:01:05Z","by":"ann@example.com","role":"admin","from":"pages","address":"203.0.113.7","change":"consumer saved","subject":"acme\u001b[2J"},{"number":1,"time":"2026-03-01T12:00:00Z","by":"","from":"admin API","address":"127.0.0.1","change":"tokens forgotten: all","subject":""}]}` + "\n"
	args := []string{"--address", adminAt(t, "/gluu/audit?limit=50", 200, answer)}
	check(t, newAuditCommand, args, exitYes, `
time             by               from       address      change                 subject        detail
03-01 12:01:05Z  ann@example.com  pages      203.0.113.7  consumer saved         acme\u001b[2J
03-01 12:00:00Z                   admin API  127.0.0.1    tokens forgotten: all
`)
	check(t, newAuditCommand, append(args, "--json"), exitYes, "\n"+answer)
	check(t, newAuditCommand, []string{"--address", adminAt(t, "/gluu/audit?limit=50", 200, `{"changes":[]}`)}, exitYes, "\nno changes since the gateway started\n")
	checkError(t, newAuditCommand, []string{"--address", adminAt(t, "/gluu/audit?limit=0", 400, `{"error":"limit is a number"}`), "-n", "0"}, "limit is a number")
}
