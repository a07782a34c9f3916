// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/consumer"
)

// sites on which a header can be forged: whatever becomes of a request, the
// upstream must not receive it.
const forgerySite = `
	handle_path /verified/* {
		gluu_oauth_auth
		reverse_proxy {upstream}
	}
	handle_path /silent/* {
		gluu_oauth_auth {
			upstream_headers off
		}
		reverse_proxy {upstream}
	}
	handle_path /anonymous/* {
		gluu_oauth_auth {
			anonymous guest
			upstream_headers off
		}
		reverse_proxy {upstream}
	}
	handle_path /custom/* {
		gluu_oauth_auth {
			header X-Tenant introspect_data.tenant
			header_each X-Claim-{*} introspect_data.profile
		}
		reverse_proxy {upstream}
	}
	handle_path /public/* {
		gluu_oauth_pep {
			path /private {
				GET scope read
			}
			deny_by_default false
		}
		reverse_proxy {upstream}
	}
	handle_path /dry/* {
		gluu_oauth_pep {
			path /?? {
				GET POST scope read
			}
			dry_run
		}
		reverse_proxy {upstream}
	}
	handle_path /refused/* {
		gluu_oauth_auth
		reverse_proxy {upstream}
	}
	handle_errors {
		rewrite * /error
		reverse_proxy {upstream}
	}`

// forged are the names of the standard set and those that a configuration adds,
// in spellings that are one to some backend.
func forged(added ...string) (lines []string, names []string) {
	names = append([]string{
		"X-Consumer-ID", "X-Consumer-Custom-ID", "X-Consumer-Username", "X-OAuth-Client-ID",
		"X-OAuth-Expiration", "X-RPT-Expiration", "X-Authenticated-Scope", "X-Authenticated-Userid",
		"X-Anonymous-Consumer", "X-Consumer-Groups", "X-Credential-Identifier",
	}, added...)
	for _, name := range names {
		for _, spelling := range []string{
			name, strings.ToLower(name), strings.ToUpper(name),
			strings.ReplaceAll(name, "-", "_"), strings.ToLower(strings.ReplaceAll(name, "-", "_")),
			strings.ReplaceAll(name, "-", "."), strings.Replace(name, "-", "_", 1), strings.Replace(name, "-", ".", 1),
			strings.ReplaceAll(name, "-", "~"), strings.ReplaceAll(name, "-", "!"),
		} {
			lines = append(lines, spelling+": forged")
		}
	}
	return lines, names
}

func (g *gateway) expectNothingForged(got answer, where string) {
	g.Helper()
	if strings.Contains(got.body, "forged") {
		g.Errorf("%s: the upstream received\n%s", where, got.body)
	}
}

func TestSec_S18_S20_ForgedHeadersNeverArrive(t *testing.T) {
	g := start(t, simpleApp+"\nerror_format caddy\n", forgerySite)
	g.auth.issue("good", claims("client-a", "read"))
	lines, _ := forged("X-Tenant", "X-Claim-Role") // also of other routes
	tests := []struct {
		target, token string
		status        int
	}{
		{"/verified/", "good", 200},
		{"/silent/", "good", 200},
		{"/anonymous/", "", 200},
		{"/anonymous/", "nonsense", 200},
		{"/custom/", "good", 200}, // whose claims lack what the headers say
		{"/public/", "", 200},
		{"/public/", "good", 200},
		{"/public/private", "good", 200}, // refused; the error route asks the upstream
		{"/dry/x", "good", 200},
		{"/refused/", "nonsense", 200},
		{"/refused/", "", 200},
	}
	for _, test := range tests {
		before := g.upstream.requests()
		got := g.get(test.target, test.token, lines...)
		if got.status != test.status || g.upstream.requests() != before+1 {
			t.Errorf("%s: got %d, %d requests upstream", test.target, got.status, g.upstream.requests()-before)
		}
		g.expectNothingForged(got, test.target)
	}
}

// An unprotected site of the same configuration is none of the gateway's
// business, and a header of another name neither.
func TestOtherHeadersArrive(t *testing.T) {
	g := start(t, simpleApp, `handle /plain {
			reverse_proxy {upstream}
		}
		handle {
			gluu_oauth_auth
			reverse_proxy {upstream}
		}`)
	g.auth.issue("good", claims("client-a", "read"))
	g.expectReceived(g.get("/", "good", "X-Consumer: a", "X-Consumer-Id2: b", "XConsumerID: c"), map[string]string{
		"X-Consumer": "a", "X-Consumer-Id2": "b", "XConsumerID": "c",
	})
	if got := g.get("/plain", "", "X-Tenant: t"); !slices.Equal(got.received("X-Tenant"), []string{"t"}) {
		t.Errorf("got %q", got.received("X-Tenant"))
	}
}

func TestSec_S22_ConnectionCannotNameOurHeadersAway(t *testing.T) {
	g := start(t, simpleApp, "gluu_oauth_auth {\npass_credentials phantom_token\n}\n"+noPEP)
	g.auth.issue("good", claims("client-a", "read"))
	for _, connection := range []string{
		"Connection: X-Consumer-Id",
		"connection: keep-alive, x-consumer-id , X-Consumer-Username",
		"CONNECTION: X-Consumer-ID\nConnection: close, X-OAuth-Client-ID",
		"Connection: X-Consumer-Id, authorization",
		"Connection: X_Consumer_Id",
		"Proxy-Connection: X-Consumer-Id",
	} {
		got := g.get("/", "good", connection)
		g.expectReceived(got, map[string]string{
			"X-Consumer-ID": consumer.DeriveID("ann"), "X-Consumer-Username": "ann", "X-OAuth-Client-ID": "client-a",
		})
		if credential := got.received("Authorization"); len(credential) != 1 || strings.Contains(credential[0], "good") {
			t.Errorf("%s: the upstream received Authorization %q", connection, credential)
		}
	}
}

func TestSec_TrailersAreHeadersToo(t *testing.T) {
	g := start(t, simpleApp, forgerySite)
	g.auth.issue("good", claims("client-a", "read"))
	_, names := forged("X-Tenant", "X-Claim-Role")
	for _, target := range []string{"/verified/", "/silent/", "/anonymous/", "/custom/", "/public/", "/dry/x"} {
		for _, announced := range []string{"Trailer: " + strings.Join(names, ", "), "Trailer: X-Other", "X-None: here"} {
			trailers := ""
			for _, name := range names {
				trailers += name + ": forged\n" + strings.ReplaceAll(name, "-", "_") + ": forged\n"
			}
			request := "POST " + target + " HTTP/1.1\nHost: " + g.address + "\nAuthorization: Bearer good\n" +
				announced + "\nTransfer-Encoding: chunked\n\n4\nbody\n0\n" + trailers + "X-Other: kept\n\n"
			got := g.send(request)
			g.expectNothingForged(got, target+" "+announced)
		}
	}
}

// What a request is decided by comes from its path, its method and its token,
// and what the challenge says from the configuration.
func TestSec_S13_S24_S27_NothingElseThatAClientSendsDecides(t *testing.T) {
	g := start(t, simpleApp, "gluu_oauth_auth\n"+`gluu_oauth_pep {
			path /admin {
				POST scope admin
				GET scope read
			}
			path /public {
				GET scope read
			}
		}
		reverse_proxy {upstream}`)
	g.auth.issue("good", claims("client-a", "read"))
	for _, line := range []string{
		"X-Forwarded-Uri: /public", "X-Original-URL: /public", "X-Rewrite-URL: /public", "X-Original-URI: /public",
		"X-Forwarded-Method: GET", "X-HTTP-Method-Override: GET", "X-HTTP-Method: GET", "X-Method-Override: GET",
		"X-Forwarded-Host: trusted", "Forwarded: host=trusted;proto=https", "X-Forwarded-For: 127.0.0.1",
		"User-Agent: kube-probe/1.30", "User-Agent: GoogleHC/1.0", "X-Authenticated-Scope: admin",
		"X-Forwarded-Access-Token: good", "Cookie: access_token=good", "Proxy-Authorization: Bearer good",
	} {
		got := g.request("POST", "/admin", "good", line)
		if want := `Bearer realm="api", error="insufficient_scope", scope="admin"`; got.status != 403 || got.header.Get("Www-Authenticate") != want {
			t.Errorf("%s: got %d %q, want 403 %q", line, got.status, got.header.Get("Www-Authenticate"), want)
		}
		if got := g.get("/public", "", line); got.status != 401 || got.header.Get("Www-Authenticate") != `Bearer realm="api"` {
			t.Errorf("%s: got %d without a token, want 401", line, got.status)
		}
	}
	for _, target := range []string{"/public?access_token=good", "/public?_method=GET"} {
		if got := g.get(target, ""); got.status != 401 {
			t.Errorf("%s: got %d, want 401", target, got.status)
		}
	}
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 403, "PROPFIND": 403, "get": 400, "Post": 400, "GETX": 403} {
		if got := g.request(method, "/admin", "good"); got.status != want {
			t.Errorf("%s: got %d, want %d", method, got.status, want)
		}
	}
}

func TestSec_S26_ADryRunSendsNoIdentityThatWasNotVerified(t *testing.T) {
	g := start(t, simpleApp, `route /bare {
			gluu_oauth_pep {
				path /bare {
					GET scope admin
				}
				dry_run
			}
			reverse_proxy {upstream}
		}
		route {
			gluu_oauth_auth {
				anonymous guest
			}
			gluu_oauth_pep {
				path /?? {
					GET scope admin
				}
				dry_run
			}
			reverse_proxy {upstream}
		}`)
	g.auth.issue("good", claims("client-a", "read"))
	lines, _ := forged()
	tests := []struct {
		target, token, reason string
		received              map[string]string
	}{
		{"/bare", "good", "not_authenticated", map[string]string{"X-Consumer-ID": "", "X-OAuth-Client-ID": ""}},
		{"/x", "good", "scope_missing", map[string]string{"X-Consumer-Username": "ann"}},
		{"/x", "nonsense", "no_token", map[string]string{"X-Consumer-Username": "guest", "Authorization": ""}},
		{"/x", "", "no_token", map[string]string{"X-Consumer-Username": "guest"}},
		{"/a%2fb", "good", "ambiguous_path", map[string]string{"X-Consumer-Username": "ann"}},
	}
	for _, test := range tests {
		got := g.get(test.target, test.token, lines...)
		g.expectReceived(got, test.received)
		g.expectNothingForged(got, test.target)
		records := g.records("request would be refused")
		if len(records) == 0 || records[len(records)-1]["reason"] != test.reason {
			t.Errorf("%s: got records %v, want the last with the reason %s", test.target, records, test.reason)
		}
	}
	if got := g.records("request refused"); len(got) > 0 {
		t.Errorf("a dry run recorded refusals: %v", got)
	}
}
