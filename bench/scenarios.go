// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A scenario is one row of the table: the gateway's part of the configuration
// and the requests that both proxies of the pair receive.
type scenario struct {
	name     string
	global   string // further global options
	provider string // words of the provider block
	app      string // further words of the app
	cache    int    // tokens that the cache may hold
	site     string // directives before reverse_proxy; empty for plain
	kong     int    // routes of a file of Kong, which takes the place of all of these
	request  func(n uint64) request
	status   int
	limited  bool // 429 is right too
	h2       bool
	warm     uint64 // requests that fill the cache before anything is measured
	plain    int    // status of the plain proxy, 200 if 0
	login    bool   // a person logs in first, and requests have the cookie of the session

	oauth2Proxy string // the program that takes the place of the gateway

	minted int // tokens that the gateway issues itself first, for requests to use in turn
}

// caddyfile is the configuration of the proxy under test.
func (s scenario) caddyfile(upstream string) string {
	protocols, app := "", ""
	if s.h2 {
		protocols = "\tservers {\n\t\tprotocols h1 h2c\n\t}\n"
	}
	if s.site != "" {
		app = fmt.Sprintf("\tgluu {\n\t\tprovider {\n%s\t\t}\n\t\tconsumer app {\n\t\t\tcustom_id %s\n\t\t}\n\t\tconsumer app-jwt {\n\t\t\tcustom_id %[2]s-jwt\n\t\t}\n\t\tconsumer guest\n\t\tcache {\n\t\t\tsize %[3]d\n\t\t\tmax_age 1h\n\t\t}\n%[4]s\t}\n", s.provider, s.client(), s.cache, s.app)
	}
	return fmt.Sprintf("{\n\tadmin {{admin}}\n\tlog {\n\t\tlevel WARN\n\t}\n%s%s%s}\nhttp://{{addr}} {\n%s\treverse_proxy %s\n}\n",
		s.global, protocols, app, s.site, upstream)
}

// start starts the proxy under test.
func (s scenario) start(env *environment, cfg settings, name string) (*proxy, error) {
	if s.oauth2Proxy != "" {
		return startOAuth2Proxy(s.oauth2Proxy, env.dir, env, cfg.core)
	}
	if s.kong == 0 {
		return startProxy(cfg.binary, env.dir, name, s.caddyfile(env.upstream), cfg.core)
	}
	return startAdapted(cfg.binary, env.dir, name, kongFile(s.kong, env.upstream), "kong", cfg.core)
}

// kongFile is a file of Kong with n routes as large installations have them: mostly
// prefixes, some with a host, some regular expressions.
func kongFile(n int, upstream string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "_format_version: \"3.0\"\nservices:\n- name: api\n  url: http://%s\n  routes:\n", upstream)
	for i := range n {
		fmt.Fprintf(&b, "  - name: r%d\n    strip_path: false\n    preserve_host: true\n", i)
		switch i % 5 {
		case 1:
			fmt.Fprintf(&b, "    hosts: [tenant-%d.example.com]\n    paths: [/api]\n", i)
		case 2:
			fmt.Fprintf(&b, "    paths: ['~/api/v1/service-%d/\\d+$']\n", i)
		default:
			fmt.Fprintf(&b, "    paths: [/api/v1/service-%d/]\n", i)
		}
	}
	return b.String()
}

// client is the client id of the token: that of the consumer, or an unknown one
// where the scenario wants a client without a consumer.
func (s scenario) client() string {
	if strings.Contains(s.site, four) {
		return "unknown"
	}
	return "app"
}

// plainCaddyfile is the configuration that the other proxy of the pair runs. It has the
// same logs: each further one costs Caddy something with every request.
func (s scenario) plainCaddyfile(upstream string) string {
	return scenario{h2: s.h2, global: s.global}.caddyfile(upstream)
}

// environment holds the servers that the scenarios share.
type environment struct {
	dir      string
	upstream string
	issuer   *issuer // answers for tokens that the benchmark made up
	embedded *embedded
	opa      string // the decision of an OPA server, "" if there is none

	oauth2Proxy string // a program, "" if there is none

	stopOPA func() // nil if there is none
	tokens  uint64 // how many tokens the scenario with many holds
}

const twentyRules = `		path /todos {
			GET scope todos:read
			POST scope todos:write
		}
		path /todos/? {
			GET scope todos:read
			PUT PATCH DELETE scope todos:write
		}
		path /todos/?/comments {
			GET scope todos:read
		}
		path /todos/?/comments/? {
			GET scope todos:read
			DELETE scope todos:write and profile
		}
		path /users/{\d+} {
			GET scope profile
			PUT scope profile and admin
		}
		path /users/{\d+}/{todos|photos} {
			GET scope todos:read
		}
		path /files/?? {
			GET scope files:read or admin
		}
		path /reports/??/{\d{4}\.pdf} {
			GET scope reports or admin
		}
		path /health {
			GET scope profile
		}
		path /admin/?? {
			? scope admin
		}
		path /search {
			GET scope todos:read or profile
		}
		path /export/?/csv {
			POST scope todos:read and profile
		}
		path /import {
			POST scope todos:write
		}
		path /labels/? {
			GET scope todos:read
		}
		path /labels {
			GET scope todos:read
		}
`

func auth(words string) string {
	if words == "" {
		return "\tgluu_oauth_auth\n"
	}
	return "\tgluu_oauth_auth {\n" + words + "\t}\n"
}

func pep(words string) string { return "\tgluu_oauth_pep {\n" + words + "\t}\n" }

const (
	bare = "\t\tupstream_headers off\n"
	// About a client that is not a consumer the upstream learns four things: client,
	// subject, scopes and when the token ends.
	four   = "\t\tconsumer_mapping false\n"
	tenCEL = `		header X-Bench-Subject introspect_data.sub
		header X-Bench-Client introspect_data.client_id
		header X-Bench-Issuer introspect_data.iss
		header X-Bench-Scope introspect_data.scope
		header X-Bench-Expiry introspect_data.exp
		header X-Bench-Consumer consumer.id
		header X-Bench-Name consumer.username
		header X-Bench-Version ` + "`\"version 2.0\"`" + `
		header X-Bench-Encoded introspect_data.sub base64
		header X-Bench-Whole consumer.username urlencoded
`
)

// scenarios lists the rows of the table. Tokens that stay the same come from
// the embedded authorization server, tokens by the thousand from the
// benchmark's own issuer.
func (env *environment) scenarios() ([]scenario, error) {
	rules, err := env.writeRules(10_000)
	if err != nil {
		return nil, err
	}
	opaque := fixed("/todos/17", env.embedded.opaque)
	local := env.embedded.provider
	policies, err := env.policies(local, opaque)
	if err != nil {
		return nil, err
	}
	own := fmt.Sprintf("\t\t\tissuer %s\n\t\t\tclient_id %s\n\t\t\tclient_secret %s\n\t\t\taudience api\n", env.issuer.url, issuerClient, issuerSecret)
	made := strings.Replace(own, "\t\t\taudience api\n", "", 1) // introspection answers of the issuer name no audience
	standard := auth("") + pep(twentyRules)
	fresh := new(atomic.Uint64)
	events := func(uint64) request {
		return request{path: "/todos/17", authorization: "Bearer " + env.embedded.opaque, accept: eventStream}
	}

	all := []scenario{
		{name: "A/A (plain beside plain)", request: fixed("/todos/17", ""), status: 200},
		{name: "cached opaque token, no headers", provider: local, site: auth(bare) + pep(twentyRules), request: opaque, status: 200},
		{name: "cached opaque token, four identity headers", provider: local, site: auth(four) + pep(twentyRules), request: opaque, status: 200},
		{name: "cached opaque token, standard headers", provider: local, site: standard, request: opaque, status: 200},
		{name: "cached JWT, no headers", provider: local, site: auth(bare) + pep(twentyRules), request: fixed("/todos/17", env.embedded.jwt), status: 200},
		{name: "cached JWT, four identity headers", provider: local, site: auth(four) + pep(twentyRules), request: fixed("/todos/17", env.embedded.jwt), status: 200},
		{name: "cached JWT, standard headers", provider: local, site: standard, request: fixed("/todos/17", env.embedded.jwt), status: 200},
		{name: "10,000 rules", provider: local, site: auth("") + pep("\t\toauth_scope_expression_file "+rules+"\n"), request: fixed("/api/v1/resource-4711/item-17/detail", env.embedded.opaque), status: 200},
		{name: "scope bound to a capture", provider: local, site: auth("") + pep("\t\tpath /todos/? {\n\t\t\tGET scope `^todo:(?<PC1>\\d+)$`\n\t\t}\n"), request: fixed("/todos/17", env.embedded.opaque), status: 200},
		{name: "ten custom headers", provider: local, site: auth(tenCEL) + pep(twentyRules), request: opaque, status: 200},
		{name: "phantom token", provider: local, site: auth("\t\tpass_credentials phantom_token\n") + pep(twentyRules), request: opaque, status: 200},
		{name: "anonymous consumer, open path", provider: local, site: auth("\t\tanonymous guest\n") + pep("\t\tdeny_by_default false\n"+twentyRules), request: fixed("/open/17", ""), status: 200},
		{name: "refused: no token", provider: local, site: standard, request: fixed("/todos/17", ""), status: 401},
		{name: "refused: flood of unknown tokens", provider: made, site: standard, request: numbered("unknown-", fresh), status: 401, limited: true},
		{name: "cold opaque tokens (each new)", provider: made, site: standard, request: numbered("opaque-cold-", fresh), status: 200},
		{name: "cold JWTs (each new)", provider: own, site: standard, request: env.coldJWTs(fresh), status: 200},
		{name: "cold JWTs, RS256, four identity headers", provider: own, site: auth(four) + pep(twentyRules), request: env.coldRSA(), status: 200},
		{
			name: "cold opaque tokens of the embedded server", provider: local,
			site: env.embedded.server + auth("\t\tprovider embedded\n") + pep(twentyRules), request: fixed("/todos/17", ""), status: 200, minted: 5000, cache: 1,
		},
		{name: "event stream of one event", provider: local, site: standard, request: events, status: 200},
		{name: "rate limit by consumer", provider: local, site: standard + "\tgluu_rate_limit {\n\t\thour 1000000000\n\t}\n", request: opaque, status: 200},
		{name: fmt.Sprintf("%d distinct cached tokens", env.tokens), provider: made, site: standard, request: env.cycle(), status: 200, warm: env.tokens, cache: int(env.tokens + env.tokens/5)},
		{name: "10 routes of a Kong file", kong: 10, request: fixed("/api/v1/service-8/items/17", ""), status: 200},
		{name: "10,000 routes of a Kong file", kong: 10_000, request: fixed("/api/v1/service-4713/items/17", ""), status: 200},
		{name: "HTTP/2, cached opaque token", provider: local, site: standard, request: opaque, status: 200, h2: true},
	}
	return slices.Concat(all, env.logins(), policies), nil
}

func fixed(path, token string) func(uint64) request {
	r := request{path: path}
	if token != "" {
		r.authorization = "Bearer " + token
	}
	return func(uint64) request { return r }
}

// numbered makes a new token for every request; the counter is shared by the
// scenarios so that no two of them ever use the same token.
func numbered(prefix string, next *atomic.Uint64) func(uint64) request {
	return func(uint64) request {
		return request{path: "/todos/17", authorization: fmt.Sprintf("Bearer %s%d", prefix, next.Add(1))}
	}
}

func (env *environment) coldJWTs(next *atomic.Uint64) func(uint64) request {
	return func(uint64) request {
		token, err := env.issuer.sign(next.Add(1))
		if err != nil {
			panic(err) // signing with a fresh P-256 key does not fail
		}
		return request{path: "/todos/17", authorization: "Bearer " + token}
	}
}

// signedAhead is how many tokens with RS256 are signed before a scenario: half a
// millisecond each, which the load generator would not have for every request.
const signedAhead = 64_000

// coldRSA makes tokens that are signed with RS256. Both proxies of a pair get the
// same ones, since they count alike and plain does not care.
func (env *environment) coldRSA() func(uint64) request {
	ahead := sync.OnceValue(func() []string {
		tokens := make([]string, signedAhead)
		var group sync.WaitGroup
		for worker := range runtime.NumCPU() {
			group.Go(func() {
				for i := worker; i < len(tokens); i += runtime.NumCPU() {
					tokens[i] = env.rsaToken(uint64(i))
				}
			})
		}
		group.Wait()
		return tokens
	})
	return func(n uint64) request {
		if tokens := ahead(); n < uint64(len(tokens)) {
			return request{path: "/todos/17", authorization: "Bearer " + tokens[n]}
		}
		return request{path: "/todos/17", authorization: "Bearer " + env.rsaToken(n)}
	}
}

func (env *environment) rsaToken(n uint64) string {
	token, err := env.issuer.signRSA(n)
	if err != nil {
		panic(err) // signing with a fresh key of 2048 bits does not fail
	}
	return token
}

// cycle walks through the distinct tokens again and again, with a stride so
// that neighbouring requests do not ask for neighbouring entries.
func (env *environment) cycle() func(uint64) request {
	const stride = 7919 // a prime that divides no round number of tokens
	return func(n uint64) request {
		return request{path: "/todos/17", authorization: fmt.Sprintf("Bearer opaque-many-%d", n*stride%env.tokens)}
	}
}

// writeRules writes a document of n rules as a large API has them: mostly
// exact paths and wildcards, some expressions, a few open ends.
func (env *environment) writeRules(n int) (file string, err error) {
	type condition struct {
		Methods    []string       `json:"httpMethods"`
		Expression map[string]any `json:"scope_expression"`
	}
	type rule struct {
		Path       string      `json:"path"`
		Conditions []condition `json:"conditions"`
	}
	document := make([]rule, 0, n)
	for i := range n {
		base := fmt.Sprintf("/api/v%d/resource-%d", i%3, i)
		path := base
		switch i % 10 {
		case 0, 1, 2:
			path = base + "/?"
		case 3, 4:
			path = base + `/{[a-z]+-\d+}/detail`
		case 5:
			path = base + "/??"
		case 6, 7:
			path = base + "/?/detail"
		}
		document = append(document, rule{path, []condition{{
			[]string{"GET"},
			map[string]any{"rule": map[string]any{"and": []any{map[string]any{"var": 0}, map[string]any{"var": 1}}}, "data": []string{"todos:read", "profile"}},
		}}})
	}
	// The path of the scenario is among them.
	document[4711].Path = `/api/v1/resource-4711/{[a-z]+-\d+}/detail`
	text, err := json.Marshal(document)
	if err != nil {
		return "", err
	}
	file = filepath.Join(env.dir, "rules.json")
	return file, os.WriteFile(file, text, 0o600)
}
