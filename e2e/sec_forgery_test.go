// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// forgeryCaddyfile has a route for each way in which a forged header could get
// past the gateway, and header names that only one of the routes sets.
const forgeryCaddyfile = `
{
	debug
	servers {
		protocols h1 h2c h2 h3
	}
	gluu {
		provider {
			issuer {$ISSUER}
			introspection_endpoint {$ISSUER}/introspect
			verify introspection
			audience api
			client_id gateway
			client_secret {env.CLIENT_SECRET}
		}
		consumer ann {
			custom_id app
		}
		consumer guest
		error_format caddy
	}
}
(api) {
	log
	handle /verified/* {
		gluu_oauth_auth {
			header X-Tenant introspect_data.tenant
			header X-Note introspect_data.note string
			header X-Absent introspect_data.no_such_claim
			header_each X-Profile-{*} introspect_data.profile string
		}
		gluu_oauth_pep {
			path /verified/?? {
				GET POST scope read
			}
		}
		reverse_proxy {$UPSTREAM} {
			header_up X-Placeholder "{gluu.token.note}"
		}
	}
	handle /anonymous/* {
		gluu_oauth_auth {
			anonymous guest
		}
		reverse_proxy {$UPSTREAM}
	}
	handle /public/* {
		gluu_oauth_pep {
			path /nothing {
				GET scope read
			}
			deny_by_default false
		}
		reverse_proxy {$UPSTREAM}
	}
	handle /dry/* {
		gluu_oauth_auth {
			anonymous guest
			upstream_headers on
		}
		gluu_oauth_pep {
			path /dry/?? {
				GET scope not-granted
			}
			dry_run
		}
		reverse_proxy {$UPSTREAM}
	}
	handle {
		reverse_proxy {$UPSTREAM}
	}
	handle_errors {
		reverse_proxy {$UPSTREAM}
	}
}
{$SITE} {
	import api
}
{$TLS_SITE} {
	tls tls.crt tls.key
	import api
}
`

// claimsServer is an authorization server whose tokens mean what a test says.
type claimsServer map[string]map[string]any

func (c claimsServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := map[string]any{"active": false}
	if claims := c[r.PostFormValue("token")]; claims != nil {
		answer = map[string]any{"active": true, "client_id": "app", "sub": "ann", "scope": "read", "aud": "api"}
		maps.Copy(answer, claims)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// forgery is the gateway with all those routes.
type forgery struct {
	*api
	clients []harness.Client
}

func startForgery(t *testing.T, tokens claimsServer) *forgery {
	t.Helper()
	server := httptest.NewServer(tokens)
	t.Cleanup(server.Close)
	certificate, key := harness.Certificate(t)
	a := &api{t: t, upstream: harness.StartUpstream(t)}
	a.Gateway = harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: forgeryCaddyfile,
		Env:       map[string]string{"ISSUER": server.URL, "UPSTREAM": a.upstream.Addr, "CLIENT_SECRET": gatewaySecret, "MARK": "expanded-by-the-gateway"},
		Files:     map[string]string{"tls.crt": certificate, "tls.key": key},
	})
	a.Forbid(gatewaySecret)
	return &forgery{a, []harness.Client{harness.HTTP1(a.Addr), harness.HTTP2(a.Addr), harness.HTTP3(a.TLS)}}
}

// everyName is all that this configuration can send.
var everyName = slices.Concat(identityHeaders, []string{"X-Tenant", "X-Note", "X-Absent", "X-Profile-City", "X-Profile-Anything"})

func forgeEverything() []harness.Field {
	var fields []harness.Field
	for _, name := range everyName {
		for _, spelling := range spellings(name) {
			fields = append(fields, harness.Field{Name: spelling, Value: forged})
		}
	}
	return fields
}

// S-18, S-20, S-26: on every route, with every outcome, over every version of
// HTTP, a header that the configuration can set never comes from the client.
func TestSec_S18_S20_S26_NoIdentityHeaderComesFromTheClient(t *testing.T) {
	t.Parallel()
	a := startForgery(t, claimsServer{
		"token-with-all-the-claims": {"tenant": "acme", "profile": map[string]any{"city": "Bonn"}},
		"token-without-any-of-them": {},
	})
	all, none := harness.Bearer("token-with-all-the-claims"), harness.Bearer("token-without-any-of-them")
	for _, test := range []struct {
		name   string
		target string
		fields []harness.Field
		want   map[string]string // what the gateway itself says
	}{
		{"verified", "/verified/x", []harness.Field{all}, map[string]string{"X-Tenant": "acme", "X-Profile-city": "Bonn", "X-Consumer-Username": "ann"}},
		{"verified, claims absent", "/verified/x", []harness.Field{none}, map[string]string{"X-Tenant": "", "X-Consumer-Username": "ann"}},
		{"anonymous", "/anonymous/x", nil, map[string]string{"X-Anonymous-Consumer": "true", "X-Consumer-Username": "guest"}},
		{"anonymous for a bad token", "/anonymous/x", []harness.Field{harness.Bearer("made-up-token-made-up")}, map[string]string{"X-Anonymous-Consumer": "true", "Authorization": ""}},
		{"public", "/public/x", nil, map[string]string{"X-Consumer-Username": ""}},
		{"public with a token that is not checked", "/public/x", []harness.Field{all}, map[string]string{"X-Consumer-Username": "", "X-OAuth-Client-ID": ""}},
		{"dry run, not verified", "/dry/x", []harness.Field{harness.Bearer("made-up-token-made-up")}, map[string]string{"X-Anonymous-Consumer": "true", "X-OAuth-Client-ID": "", "X-Authenticated-Scope": ""}},
		{"dry run, verified", "/dry/x", []harness.Field{all}, map[string]string{"X-OAuth-Client-ID": "app"}},
		{"no handler on this path", "/elsewhere/x", nil, map[string]string{"X-Consumer-Username": ""}},
		{"the page for errors", "/verified/x", nil, map[string]string{"X-Consumer-Username": ""}},
		{"the page for errors, token invalid", "/verified/x", []harness.Field{harness.Bearer("made-up-token-made-up")}, map[string]string{"X-OAuth-Client-ID": ""}},
	} {
		for _, client := range a.clients {
			name := client.Protocol() + ", " + test.name
			before := a.upstream.Count()
			a.SendOver(client, harness.Request{Method: "GET", Target: test.target, Fields: append(forgeEverything(), test.fields...)})
			received := a.upstream.Received()
			if len(received) != before+1 {
				t.Errorf("%s: the upstream received %d requests, want 1", name, len(received)-before)
				continue
			}
			echo := received[before]
			noForgery(t, name, echo)
			for header, want := range test.want {
				if got := echo.Value(header); got != want {
					t.Errorf("%s: %s is %q, want %q", name, header, got, want)
				}
			}
		}
	}
}

// Header injection through claims: whatever a claim contains, the upstream
// receives it as one header line or not at all, and the gateway expands nothing
// in it.
func TestSec_ClaimsCannotBreakOutOfTheirHeader(t *testing.T) {
	t.Parallel()
	type row struct {
		note any
		want string // X-Note and X-Placeholder; "" for none
	}
	rows := map[string]row{
		"token-of-plain-text-0000":  {"plain", "plain"},
		"token-of-crlf-0000000000":  {"a\r\nX-Consumer-ID: forged-by-the-client", ""},
		"token-of-bare-lf-0000000":  {"a\nb", ""},
		"token-of-nul-00000000000":  {"a\x00b", ""},
		"token-of-c1-000000000000":  {"a\u0085b", ""},
		"token-of-del-00000000000":  {"a\x7fb", ""},
		"token-of-separator-00000":  {"a\u2028b", ""},
		"token-of-env-placeholder":  {"{env.MARK}", "{env.MARK}"},
		"token-of-req-placeholder":  {"{http.request.header.Authorization}", "{http.request.header.Authorization}"},
		"token-of-file-placeholder": {"{file./etc/hostname}", "{file./etc/hostname}"},
		"token-of-config-words-00":  {"{$UPSTREAM} ${HOME} $(id) %0d%0a", "{$UPSTREAM} ${HOME} $(id) %0d%0a"},
		"token-of-64-kib-00000000":  {strings.Repeat("x", 64<<10), ""},
		"token-of-8-kib-000000000":  {strings.Repeat("x", 8<<10), strings.Repeat("x", 8<<10)},
		"token-of-han-00000000000":  {"王小明", "王小明"},
		"token-of-arabic-00000000":  {"محمد", "محمد"},
		"token-of-emoji-000000000":  {"👩‍🚀", "👩‍🚀"},
		"token-of-an-object-00000":  {map[string]any{"a": []any{1, "<b>"}}, `{"a":[1,"<b>"]}`},
		"token-of-a-number-000000":  {json.Number("12345678901234567890"), "12345678901234567890"},
	}
	tokens := claimsServer{}
	for token, r := range rows {
		tokens[token] = map[string]any{"note": r.note, "profile": map[string]any{"Weird name\r\n": "x", "a:b": "y", "": "z"}}
	}
	a := startForgery(t, tokens)
	for token, r := range rows {
		for _, client := range a.clients {
			name := client.Protocol() + ", " + token
			echo := a.passedOver(client, get("/verified/x", token))
			noForgery(t, name, echo)
			if got := echo.Value("X-Note"); got != r.want {
				t.Errorf("%s: X-Note is %.200q, want %.200q", name, got, r.want)
			}
			for _, field := range echo.Fields {
				if strings.Contains(field.Value, "expanded-by-the-gateway") {
					t.Errorf("%s: a placeholder in a claim was replaced: %s: %s", name, field.Name, field.Value)
				}
				// Caddy expands header_up itself, and forwards C1 control
				// characters as the UTF-8 bytes that they are.
				if field.Name != "X-Placeholder" && strings.ContainsFunc(field.Name+field.Value, unicode.IsControl) {
					t.Errorf("%s: got the header line %q: %.200q, want no control character", name, field.Name, field.Value)
				}
			}
		}
	}
}

// S-22: over HTTP/1.1 a client cannot remove the gateway's headers by naming
// them in Connection. Later versions have no such header: a request with it is
// refused, or the header is ignored.
func TestSec_S22_ConnectionCannotRemoveHeaders(t *testing.T) {
	t.Parallel()
	a := startForgery(t, claimsServer{"token-with-all-the-claims": {"tenant": "acme"}})
	for _, client := range a.clients {
		for _, value := range []string{"X-Consumer-Username", "close, x-consumer-username, X-TENANT", "x-tenant"} {
			before := a.upstream.Count()
			response := a.SendOver(client, get("/verified/x", "token-with-all-the-claims", harness.Field{Name: "Connection", Value: value}))
			if a.upstream.Count() == before {
				if client.Protocol() == "HTTP/1.1" || response.Status != http.StatusBadRequest {
					t.Errorf("%s with %q: got %s, want 400", client.Protocol(), value, response)
				}
				continue
			}
			echo := a.upstream.Received()[before]
			if echo.Value("X-Consumer-Username") != "ann" || echo.Value("X-Tenant") != "acme" {
				t.Errorf("%s with %q: got X-Consumer-Username %q and X-Tenant %q, want ann and acme", client.Protocol(), value,
					echo.Value("X-Consumer-Username"), echo.Value("X-Tenant"))
			}
		}
	}
}

// S-24, S-27: what a client says about its request, its route or itself never
// changes the decision, over any version of HTTP.
func TestSec_S24_S27_NothingButTheCredentialDecides(t *testing.T) {
	t.Parallel()
	a := startForgery(t, claimsServer{"token-without-the-scope-": {"scope": "write"}})
	for _, client := range a.clients {
		for _, fields := range [][]harness.Field{
			nil,
			{harness.Bearer("token-without-the-scope-")},
		} {
			for _, extra := range [][]harness.Field{
				{{Name: "User-Agent", Value: "GoogleHC/1.0"}},
				{{Name: "User-Agent", Value: "kube-probe/1.30"}, {Name: "X-Forwarded-For", Value: "127.0.0.1"}},
				{{Name: "X-Forwarded-Uri", Value: "/public/x"}, {Name: "X-Original-Url", Value: "/public/x"}, {Name: "X-Rewrite-Url", Value: "/public/x"}},
				{{Name: "X-Forwarded-Prefix", Value: "/public"}, {Name: "Forwarded", Value: "for=127.0.0.1;host=internal"}},
			} {
				mark := a.Log.Mark()
				a.SendOver(client, harness.Request{Method: "GET", Target: "/verified/x", Fields: slices.Concat(fields, extra)})
				if fields == nil {
					a.WaitReason(mark, "no_token")
				} else {
					a.WaitReason(mark, "scope_missing")
				}
			}
		}
	}
}
