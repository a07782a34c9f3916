// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// An api is a protected API: gateway, upstream and authorization server.
type api struct {
	*harness.Gateway
	t        *testing.T
	upstream *harness.Upstream
	server   *harness.OIDCProvider
}

// A site is what differs between the configurations of the tests.
type site struct {
	app     string // added to the global option gluu
	auth    string // within gluu_oauth_auth
	pep     string // within gluu_oauth_pep; todoRules if empty
	before  string // directives before these two
	binary  string // another binary
	server  *harness.OIDCProvider
	files   map[string]string // beside the configuration
	options string            // more global options
	client  string            // how the provider knows this gateway; by its secret if empty
	address string            // of the site; {$SITE} if empty
	env     map[string]string // added to that of the process
}

// todoRules are the rules of most tests: plain scopes, a scope bound to an
// element of the path, an expression.
const todoRules = `
	path /todos {
		GET      scope todos:read
		POST PUT scope todos:write
	}
	path /todos/?/?? {
		? scope ^todos:(?<PC1>.+)$
	}
	path /staff/?? {
		GET scope admin and (employee or customer)
	}`

const caddyfile = `
{
	debug
	servers {
		protocols h1 h2c
	}
	OPTIONS
	gluu {
		provider {
			issuer {$ISSUER}
			CREDENTIALS
			audience urn:e2e:opaque urn:e2e:jwt
		}
		consumer todo-app {
			id 5c9ec0ef-1f0b-4d0a-9c53-3f1c3f2a7a01
			custom_id todo-app
			tags gold
		}
		consumer guest {
			id 7f6fcd0a-52b5-4d2f-8a6e-0a1b2c3d4e5f
		}
		APP
	}
}
ADDRESS {
	log
	BEFORE
	gluu_oauth_auth {
		AUTH
	}
	gluu_oauth_pep {
		PEP
	}
	reverse_proxy {$UPSTREAM}
}
`

// config returns the configuration of a site in front of an upstream.
func (s site) config(upstream, issuer string) harness.GatewayConfig {
	if s.pep == "" {
		s.pep = todoRules
	}
	if s.client == "" {
		s.client = "client_id {$CLIENT_ID}\n client_secret {env.CLIENT_SECRET}"
	}
	if s.address == "" {
		s.address = "{$SITE}"
	}
	text := strings.NewReplacer(
		"CREDENTIALS", s.client, "ADDRESS", s.address,
		"OPTIONS", s.options, "APP", s.app, "BEFORE", s.before, "AUTH", s.auth, "PEP", s.pep,
	).Replace(caddyfile)
	env := map[string]string{"UPSTREAM": upstream, "ISSUER": issuer, "CLIENT_ID": gatewayID, "CLIENT_SECRET": gatewaySecret}
	maps.Copy(env, s.env)
	return harness.GatewayConfig{Caddyfile: text, Binary: s.binary, Files: s.files, Env: env}
}

// start starts the site and waits until it has found its authorization
// server.
func (s site) start(t *testing.T) *api {
	t.Helper()
	if s.server == nil {
		s.server = sharedServer(t)
	}
	upstream := harness.StartUpstream(t)
	a := &api{t: t, upstream: upstream, server: s.server}
	a.Gateway = harness.StartGateway(t, s.config(upstream.Addr, s.server.Issuer))
	a.Forbid(gatewaySecret)
	// Only a gateway that has reached its server can refuse an unknown token.
	a.WaitReady("/", harness.Bearer("is-the-authorization-server-there"))
	return a
}

// A want is what an answer must be.
type want struct {
	status    int
	code      string   // "error" of the body
	reason    string   // reason code in the log
	challenge []string // pieces of WWW-Authenticate; none: there must be none
	hidden    []string // pieces that must not be in it
}

// The usual refusals.
var (
	noToken = want{status: 401, code: "unauthorized", reason: "no_token",
		challenge: []string{`Bearer realm="api"`}, hidden: []string{"error="}}
	malformed = want{status: 400, code: "invalid_request", reason: "malformed_request",
		challenge: []string{"Bearer ", `error="invalid_request"`}}
	invalidToken = want{status: 401, code: "invalid_token", reason: "token_invalid",
		challenge: []string{"Bearer ", `error="invalid_token"`}}
	inactiveToken = want{status: 401, code: "invalid_token", reason: "token_inactive",
		challenge: []string{"Bearer ", `error="invalid_token"`}}
	noRule    = want{status: 403, code: "access_denied", reason: "no_rule"}
	ambiguous = want{status: 400, code: "invalid_request", reason: "ambiguous_path"}
)

// missingScope is the refusal that names what is missing; "" if no one set
// of scopes would do.
func missingScope(scope string) want {
	w := want{status: 403, code: "insufficient_scope", reason: "scope_missing",
		challenge: []string{"Bearer ", `error="insufficient_scope"`}}
	if scope == "" {
		w.hidden = []string{"scope="}
	} else {
		w.challenge = append(w.challenge, `scope="`+scope+`"`)
	}
	return w
}

// refused checks an answer against what it must be, and that the request
// did not reach the upstream.
func (a *api) refused(request harness.Request, w want) {
	a.t.Helper()
	a.refusedOver(harness.HTTP1(a.Addr), request, w)
}

func (a *api) refusedOver(client harness.Client, request harness.Request, w want) {
	a.t.Helper()
	before, mark := a.upstream.Count(), a.Log.Mark()
	response := a.SendOver(client, request)
	name := client.Protocol() + " " + request.Method + " " + request.Target
	if response.Status != w.status {
		a.t.Errorf("%s: got %s, want status %d", name, response, w.status)
		return
	}
	if code, description := response.Error(); code != w.code || description == "" {
		a.t.Errorf("%s: got %s, want error %q and a description", name, response, w.code)
	}
	challenges := response.Header.Values("WWW-Authenticate")
	challenge := strings.Join(challenges, " || ")
	if len(w.challenge) == 0 && len(challenges) > 0 || len(w.challenge) > 0 && len(challenges) != 1 {
		a.t.Errorf("%s: got the challenges %q, want %d with %q", name, challenges, min(len(w.challenge), 1), w.challenge)
	}
	for _, piece := range w.challenge {
		if !strings.Contains(challenge, piece) {
			a.t.Errorf("%s: got the challenge %q, want %q in it", name, challenge, piece)
		}
	}
	for _, piece := range w.hidden {
		if strings.Contains(challenge, piece) {
			a.t.Errorf("%s: got the challenge %q, want no %q in it", name, challenge, piece)
		}
	}
	if got := a.upstream.Count(); got != before {
		a.t.Errorf("%s: the upstream received %d requests", name, got-before)
	}
	a.WaitReason(mark, w.reason)
}

// status checks only the status of an answer.
func (a *api) status(request harness.Request, want int) {
	a.t.Helper()
	if response := a.Send(request); response.Status != want {
		a.t.Errorf("got %s, want status %d", response, want)
	}
}

// passed checks that a request reaches the upstream and returns what the
// upstream received.
func (a *api) passed(request harness.Request) *harness.Received {
	a.t.Helper()
	return a.passedOver(harness.HTTP1(a.Addr), request)
}

func (a *api) passedOver(client harness.Client, request harness.Request) *harness.Received {
	a.t.Helper()
	response := a.SendOver(client, request)
	echo := response.Echo()
	if all := a.upstream.Received(); request.Method == http.MethodHead && response.Status == 200 && len(all) > 0 {
		echo = all[len(all)-1] // such an answer has no body
	}
	if echo == nil {
		a.t.Fatalf("%s %s %s: got %s, want the upstream's answer", client.Protocol(), request.Method, request.Target, response)
	}
	return echo
}

// get is a GET with a bearer token.
func get(target, token string, more ...harness.Field) harness.Request {
	return harness.Request{
		Method: http.MethodGet,
		Target: target,
		Fields: slices.Concat([]harness.Field{harness.Bearer(token)}, more),
	}
}
