// SPDX-License-Identifier: Apache-2.0

package cli

import "testing"

func TestUMAResources(t *testing.T) {
	const answer = `[{"hosts":["api.example.com"],"provider":"default","issuer":"https://as.example.com","registration":"on","resources":[` +
		`{"name":"GET /todos","id":"r-1","state":"registered","scopes":["todos:view"],"rules":["GET /todos"]},` +
		`{"id":"r-2","state":"existing","scopes":["a","b"],"rules":["GET /a","PUT /a"]},` +
		`{"name":"GET /new\u001b[2J","state":"missing","scopes":["c"]}],` +
		`"left":[{"name":"GET /old","id":"r-0","scopes":[]}],"tickets":{"issued":7,"failed":2,"limited":1},"problem":{"time":"2026-03-01T12:00:00Z","error":"status 500"}}]` + "\n"
	args := []string{"--address", adminAt(t, "/gluu/uma", 200, answer)}
	check(t, newUMACommand, args, exitYes, `
api.example.com provider default, https://as.example.com, registration on
since 2026-03-01 12:00:00 UTC: status 500
7 tickets issued, 2 failed, 1 not asked for
state       resource           scopes      id
registered  GET /todos         todos:view  r-1
existing    GET /a, PUT /a     a b         r-2
missing     GET /new\u001b[2J  c
left over   GET /old                       r-0

`)
	check(t, newUMACommand, append(args, "--json"), exitYes, "\n"+answer)
	check(t, newUMACommand, []string{"--address", adminAt(t, "/gluu/uma", 200, "[]\n")}, exitYes, "\nno handler gluu_uma_pep\n")
}

func TestOPAStatus(t *testing.T) {
	const answer = `{"engines":[{"name":"default","ready":true,"revision":"r1","since":"2026-03-01T12:00:00Z","modules":3,"files":["/etc/p.rego"],"age_seconds":75.2,` +
		`"bundles":[{"name":"authz","server":"https://b.example.com","revision":"r1","checked":"2026-03-01T12:00:00Z","problem":{"time":"2026-03-01T12:01:00Z","error":"the server answers with status 500"}}]},` +
		`{"name":"other","ready":false,"revision":"","modules":0,"age_seconds":0},` +
		`{"name":"old","ready":true,"stale":true,"revision":"r","since":"2026-03-01T12:00:00Z","modules":1,"age_seconds":7200,"max_stale_seconds":3600}],` +
		`"handlers":[{"hosts":[],"kind":"engine","by":"default","decision":"httpapi/authz"},{"hosts":["a.example.com"],"kind":"opa","by":"http://127.0.0.1:8181/v1/data/a","decision":"","breaker":"open","problem":{"time":"2026-03-01T12:01:00Z","error":"connection refused"}}]}` + "\n"
	args := []string{"--address", adminAt(t, "/gluu/opa", 200, answer)}
	check(t, newOPACommand, args, exitYes, `
engine default decides
revision r1 since 2026-03-01 12:00:00 UTC, 3 modules
file /etc/p.rego
age 1m15s
bundle  revision  newest at                server                 last error
authz   r1        2026-03-01 12:00:00 UTC  https://b.example.com  since 2026-03-01 12:01:00 UTC: the server answers with status 500

engine other no policies: requests are answered 503

engine old older than 1h0m0s: requests are answered 503
revision r since 2026-03-01 12:00:00 UTC, 1 module

site           asks                                 decision       breaker  last error
all hosts      engine default                       httpapi/authz
a.example.com  opa http://127.0.0.1:8181/v1/data/a                 open     since 2026-03-01 12:01:00 UTC: connection refused
`)
}
