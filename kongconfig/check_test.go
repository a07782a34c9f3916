// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// onRoute is a file in which a plugin stands in line 8, alone on a route.
func onRoute(name, config string) string {
	return fmt.Sprintf(`_format_version: "3.0"
services:
- name: s
  url: http://127.0.0.1:9
  routes:
  - name: r
    paths: [/]
    plugins: [{name: %s, config: {%s}}]
`, name, config)
}

const (
	grant  = "enable_client_credentials: true, provision_key: an-invented-key-of-ours, "
	server = "client_id: a, client_secret: b, op_url: "
	login  = server + "'https://as.example', "
	header = server + "'https://as.example', custom_headers: "
	basic  = "authorization_value: Basic Zzpz, consumer_by: client_id, introspection_url: "
)

// What the gateway would refuse when it loads the output is refused here, where the
// line is known.
func TestRefusedByLine(t *testing.T) {
	for _, test := range []struct{ plugin, config, field string }{
		{"oauth2", grant + `scopes: [a, "b c"]`, "scopes"}, {"oauth2", grant + `scopes: ['a"']`, "scopes"},
		{"oauth2", grant + "scopes: [é]", "scopes"}, {"oauth2", grant + `scopes: [""]`, "scopes"},
		{"oauth2", grant + "token_expiration: 99999999999", "token_expiration"}, {"oauth2", grant + "refresh_token_ttl: 99999999999", "refresh_token_ttl"},
		{"oauth2", grant + `realm: 'a"b'`, "realm"}, {"oauth2", grant + `realm: "a\nb"`, "realm"},
		{"oauth2", grant + "auth_header_name: cookie", "auth_header_name"}, {"oauth2", grant + "auth_header_name: host", "auth_header_name"},
		{"oauth2", grant + "auth_header_name: x_consumer_id", "auth_header_name"}, {"oauth2", grant + "auth_header_name: Connection", "auth_header_name"},

		{"gluu-oauth-auth", server + "'https://as.example/?a'", "op_url"}, {"gluu-oauth-auth", server + "'https://u:p@as.example'", "op_url"},
		{"gluu-oauth-auth", server + "'https://as.example#a'", "op_url"}, {"gluu-oauth-auth", server + "'https://as.example/.well-known/openid-configuration'", "op_url"},
		{"gluu-uma-auth", server + "'https://as.example/?a'", "op_url"},
		{"gluu-oauth-auth", header + `[{header_name: Host, value_lua_exp: "'a'"}]`, "custom_headers.header_name"},
		{"gluu-oauth-auth", header + `[{header_name: a b, value_lua_exp: "'a'"}]`, "custom_headers.header_name"},
		{"gluu-oauth-auth", header + `[{header_name: authorization, value_lua_exp: "'a'"}]`, "custom_headers.header_name"},
		{"gluu-oauth-auth", header + `[{header_name: "X-{*}", value_lua_exp: introspect_data}]`, "custom_headers.header_name"},
		{"gluu-oauth-auth", header + `[{header_name: X, value_lua_exp: introspect_data, iterate: true}]`, "custom_headers.header_name"},
		{"gluu-oauth-auth", header + `[{header_name: "X-{*}", value_lua_exp: introspect_data, iterate: true, format: list}]`, "custom_headers.format"},
		{"gluu-oauth-auth", header + `[{header_name: X, value_lua_exp: "'a'"}, {header_name: x, value_lua_exp: "'a'"}]`, "custom_headers.header_name"},
		{"gluu-oauth-auth", header + `[{header_name: X, value: "v1"}]`, "custom_headers.value"},
		{"oauth2-introspection", basic + "'https://as.example/x#a'", "introspection_url"}, {"oauth2-introspection", basic + "'https://u:p@as.example/x'", "introspection_url"},
		{"gluu-opa-pep", "opa_url: 'http://u:p@127.0.0.1:8181/v1/data/a'", "opa_url"},

		{"gluu-oauth-auth", header + `[{header_name: X, value_lua_exp: "'a'", format: xml}]`, "custom_headers.format"},
		{"gluu-openid-connect", login + "authorization_redirect_path: callback", "authorization_redirect_path"}, {"gluu-openid-connect", login + "authorization_redirect_path: '/a?b'", "authorization_redirect_path"},
		{"gluu-openid-connect", login + "authorization_redirect_path: /a, logout_path: /a", "logout_path"}, {"gluu-openid-connect", login + "logout_path: //a", "logout_path"},
		{"gluu-openid-connect", login + "post_logout_redirect_path_or_url: bye", "post_logout_redirect_path_or_url"}, {"gluu-openid-connect", login + "post_logout_redirect_path_or_url: 'javascript:a'", "post_logout_redirect_path_or_url"},
		{"gluu-openid-connect", login + "requested_scopes: [email]", "requested_scopes"}, {"gluu-openid-connect", login + "requested_scopes: [openid, a b]", "requested_scopes"},
		{"oauth2", grant + "mandatory_scope: true", "mandatory_scope"},
		{"ip-restriction", "allow: [10.0.0.1], status: 100", "status"}, {"redirect", "location: 'https://h/', status_code: 101", "status_code"},
		{"request-termination", "status_code: 600", "status_code"}, {"request-termination", "status_code: 101", "status_code"},
		{"request-termination", "content_type: text/plain", "content_type"}, {"request-termination", "message: a, body: b", "message"}, {"request-termination", `body: a, content_type: "a\nb"`, "content_type"},
		{"correlation-id", "header_name: a b", "header_name"}, {"correlation-id", "header_name: '*'", "header_name"},
		{"request-transformer", `add: {headers: ["x:a\r\nb"]}`, "add.headers"}, {"request-transformer", "rename: {headers: ['x:a b']}", "rename.headers"},
		{"request-transformer", "http_method: 'GET /'", "http_method"}, {"response-transformer", `add: {headers: ["x:a\nb"]}`, "add.headers"},
		{"cors", "origins: ['https://*.example.com']", "origins"}, {"cors", "origins: [example.com]", "origins"}, {"cors", "origins: ['(']", "origins"},
		{"cors", "origins: ['https://example.com/path']", "origins"}, {"cors", "origins: ['']", "origins"},
		{"cors", "methods: [get]", "methods"}, {"cors", "headers: [a b]", "headers"}, {"cors", "exposed_headers: ['a:']", "exposed_headers"},
		{"rate-limiting", "minute: 5, policy: redis, redis: {host: a b}", "redis"}, {"rate-limiting", "minute: 5, policy: redis, redis: {host: a, port: 99999}", "redis"},
	} {
		t.Run(test.plugin+" "+test.config, func(t *testing.T) {
			_, _, err := adapt(t, onRoute(test.plugin, test.config), nil)
			want := fmt.Sprintf("kong.yml:8: plugin %q: config.%s: ", test.plugin, test.field)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "write , ") {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

// The same for entities, each in line 3.
func TestRefusedEntitiesByLine(t *testing.T) {
	credential := func(text string) string {
		return "consumers: [{username: c}]\noauth2_credentials: [{name: x, consumer: c, " + text + "}]"
	}
	route := func(text string) string {
		return "services: [{name: s, url: 'http://h'}]\nroutes: [{name: r, service: s, " + text + "}]"
	}
	upstream := func(text string) string {
		return "\nupstreams: [{name: u, algorithm: consistent-hashing, " + text + "}]"
	}
	consumer := func(text string) string { return "consumers:\n- {" + text + "}" }
	for _, test := range []struct{ file, want string }{
		{credential("client_id: a, client_secret: b, redirect_uris: [/cb]"), "redirect_uris"},
		{credential("client_id: a, client_secret: b, redirect_uris: ['https://h/#a']"), "redirect_uris"},
		{credential("client_id: a, client_secret: b, redirect_uris: ['https://h/*']"), "redirect_uris"},
		{credential("client_id: a, client_secret: b, redirect_uris: ['javascript:alert(1)']"), "redirect_uris"},
		{credential("client_id: a, client_secret: b, redirect_uris: ['https://h/a b']"), "redirect_uris"},
		{credential("client_id: a b, client_secret: b"), "client_id"},
		{credential("client_id: é, client_secret: b"), "client_id"},
		{credential("client_id: a, client_secret: $pbkdf2-sha512$junk"), "client_secret"},
		{credential("client_id: a, client_secret: $pbkdf2-sha512$i=10,l=32$c2FsdHNhbHRzYWx0$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"), "client_secret"},
		{credential("client_id: a, client_secret: $argon2id$junk"), "client_secret"},
		{credential("client_id: a, client_secret: $2a$junk"), "client_secret"}, {credential("client_id: a, client_secret: $2y$junk"), "client_secret"},
		{consumer(`username: "a\nb"`), "username"}, {consumer(`username: " a"`), "username"},
		{consumer("username: " + strings.Repeat("a", 5000)), "username"},
		{consumer("username: a, id: x"), "id"}, {consumer("username: 5c9ec0ef-1f0b-4d0a-9c53-3f1c3f2a7a01"), "username"},
		{consumer(`username: a, custom_id: "b "`), "custom_id"}, {consumer(`username: a, tags: [""]`), "tags"},
		{consumer("username: a, acls: [{group: 'b,c'}]"), "group"}, {consumer(`username: a, acls: [{group: "b\nc"}]`), "group"},
		{route("hosts: ['h:99999']"), "hosts"}, {route("hosts: ['[::1]:0']"), "hosts"}, {route("headers: {a b: [x]}"), "a b"},
		{route("headers: {x-a: [x], X-A: [y]}"), "X-A"},
		{route("protocols: [https], snis: ['']"), "snis"}, {route("protocols: [https], snis: [10.0.0.1]"), "snis"}, {route("protocols: [https], snis: ['a:443']"), "snis"},
		{route("protocols: [http], snis: [a.example]"), "snis"}, {route("protocols: [http, grpc], paths: [/]"), "protocols"},
		{route("protocols: [grpc], paths: [/], methods: [POST]"), "methods"}, {route("protocols: [grpc], paths: [/], strip_path: true"), "strip_path"},
		{"\nservices: [{name: s, host: 'h:80'}]", "host"}, {"\nservices: [{name: s, host: '{http.request.host}'}]", "host"},
		{"\nservices: [{name: s, host: h, port: 65536}]", "port"}, {"\nservices: [{name: s, url: 'http://h:99999'}]", "url"},
		{"\nservices: [{name: s, url: 'https://h', tls_verify: true, tls_sans: {dnsnames: [a.example]}}]", "tls_sans.dnsnames"},
		{upstream("hash_on: header"), "hash_on_header"}, {upstream("hash_on: header, hash_on_header: a b"), "hash_on_header"},
		{upstream("hash_on: cookie"), "hash_on_cookie"}, {upstream("hash_on: query_arg"), "hash_on_query_arg"}, {upstream("host_header: a b"), "host_header"},
		{"\nsnis: [{name: a.example}]", "certificate"}, {"\nworkspaces: [{name: default}, {name: other}]", "workspaces"},
	} {
		t.Run(test.file, func(t *testing.T) {
			_, _, err := adapt(t, "_format_version: '3.0'\n"+test.file, nil)
			if err == nil || !strings.Contains(err.Error(), "kong.yml:3: ") || !strings.Contains(err.Error(), test.want+": ") {
				t.Errorf("got %v, want %q of line 3", err, test.want)
			}
		})
	}
}

// A caller would have to satisfy Kong's own authentication and Gluu's with one header.
func TestAuthenticationTwice(t *testing.T) {
	const file = `_format_version: "3.0"
services: [{name: s, url: http://127.0.0.1:9, routes: [{name: r, paths: [/]}]}]
plugins:
- {name: oauth2, config: {enable_client_credentials: true, provision_key: an-invented-key-of-ours}}
- {name: gluu-oauth-auth, config: {client_id: a, client_secret: b, op_url: "https://as.example"}}
`
	_, _, err := adapt(t, file, nil)
	if want := `kong.yml:4: plugin "oauth2": gluu-oauth-auth authenticates on route "r" too: `; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	config, _, err := adapt(t, file, environment{"GLUU_KONG_UNSUPPORTED": "close"})
	if err != nil || !strings.Contains(string(config), "plugin oauth2 is not available") || strings.Contains(string(config), "reverse_proxy") {
		t.Errorf("got %s, %v; want the route closed", config, err)
	}
}

// What is not refused loads.
func TestOddValuesLoad(t *testing.T) {
	for name, value := range map[string]string{"XDG_DATA_HOME": t.TempDir(), "REDIS_HOST": "redis.example.com", "REDIS_PORT": "6380"} {
		t.Setenv(name, value)
	}
	for _, file := range []string{
		onRoute("oauth2", grant+"scopes: [a, a, 'b:c', 'x{y}'], token_expiration: 0, refresh_token_ttl: 0, realm: 'a, b', auth_header_name: x_access_token, mandatory_scope: true"),
		onRoute("cors", `origins: ['*', 'null', 'https://[::1]:8443', '^https://a\.example$', 'https://a_b.example', "http://localhost:3000"], methods: [GET, TRACE], headers: ['*'], max_age: 0`),
		onRoute("gluu-oauth-auth", header+`[{header_name: "X-{*}", value_lua_exp: introspect_data, iterate: true}, {header_name: x_a, value_lua_exp: "'{http.request.uri}'"}]`),
		onRoute("oauth2-introspection", basic+"'https://as.example/x?a=b', ttl: 0"),
		onRoute("rate-limiting", "minute: 5, policy: redis, redis: {host: '{vault://env/redis-host}', port: '{vault://env/redis-port}'}"),
		onRoute("request-termination", "status_code: 200, message: '{http.request.uri}'"),
		onRoute("gluu-oauth-auth", "op_url: 'https://as.example', client_id: 'a{b}', client_secret: 'c{d}{env.HOME'"),
		onRoute("gluu-oauth-auth", "op_url: 'http://as.example:8080', client_id: a, client_secret: b") + "plugins: [{name: gluu-opa-pep, config: {opa_url: 'http://opa:8181/v1/data/a', forward_request_body: true}}]\n",
		onRoute("bot-detection", "deny: ['a{2}', '[{]x[}]']"),
		"_format_version: '3.0'\nservices: [{name: '{x} é', host: h, path: '/%7Bx%7D/%2F', routes: [{name: 'a b', hosts: ['h:1', '*.x', 'é.example', '[::1]:443'], paths: ['~/(?<a>x)(?<b>y)'], headers: {a_b: ['~*x{2}', '{y}']}}]}]",
		"_format_version: '3.0'\nworkspaces: [{name: default}]\nservices: [{name: s, url: 'https://h', tls_verify: true, tls_sans: {dnsnames: []}}]",
		"_format_version: '3.0'\nconsumers: [{username: '{x} é', custom_id: '{y}', acls: [{group: 'b c'}]}, {username: X, tags: ['a,b']}]",
		"_format_version: '3.0'\nservices: [{name: s, host: u, routes: [{name: r, paths: [/]}]}]\nupstreams: [{name: u, host_header: 'a{b}', targets: [{target: 'h:65535'}, {target: '[::1]:1', weight: 65535}, {target: a, weight: 0}], healthchecks: {active: {http_path: '/a?b=c', healthy: {interval: 1}}}}]",
		"_format_version: '3.0'\nservices: [{name: s, url: 'http://h', routes: [{name: r, paths: [/]}]}]\nplugins: [{name: oauth2, config: {" + grant + "enable_authorization_code: true}}]\nconsumers: [{username: c, oauth2_credentials: [{name: x, client_id: 'a:{b}', client_secret: 'é {c}', redirect_uris: ['http://h/a?b=c', 'com.example.app:/cb', 'https://h:8443/%7E']}, {name: y, client_id: d, client_type: public}]}]",
	} {
		t.Run(file, func(t *testing.T) {
			config, _, err := adapt(t, file, environment{"KONG_PROXY_LISTEN": "127.0.0.1:18000"})
			if err != nil {
				t.Fatal(err)
			}
			var c caddy.Config
			if err := json.Unmarshal(config, &c); err != nil {
				t.Fatal(err)
			}
			if err := caddy.Validate(&c); err != nil {
				t.Error(err)
			}
		})
	}
}

// A path that is refused for an escape is offered as an expression, which matches.
func TestEscapesInPrefixes(t *testing.T) {
	const file = `{_format_version: "3.0", services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, strip_path: false, paths: [%q]}]}]}`
	for path, advice := range map[string]string{"/caf%C3%A9": "~/café", "/%7Bx%7D": `~/\{x\}`, "/a%5Eb": `~/a\^b`} {
		_, _, err := adapt(t, fmt.Sprintf(file, path), nil)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("write %q", advice)) {
			t.Errorf("%s: got %v, want the advice %q", path, err, advice)
		}
		if got := run(t, fmt.Sprintf(file, advice), nil).ask("GET h " + path + "/more").said(); got != path+"/more" {
			t.Errorf("%s: got %s", path, got)
		}
	}
}

// All the secrets of a file share an amount of work.
func TestHashesOfManySecrets(t *testing.T) {
	const short, long = "shop-secret", "an-invented-secret-of-a-client-0123456789"
	for _, test := range []struct {
		secret     string
		many, want int
	}{
		{short, 1, 4096}, {short, 256, 4096}, {short, 1024, 1024}, {short, 5_000, 209}, {short, 10_000, 128}, {long, 1, 128}, {long, 5_000, 128},
	} {
		var credentials strings.Builder
		for i := range test.many {
			hash := "$pbkdf2-sha512$i=1000,l=32$c2FsdHNhbHRzYWx0$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"
			if i == 0 {
				hash = test.secret
			}
			fmt.Fprintf(&credentials, "{name: x, client_id: c%d, client_secret: '%s'}, ", i, hash)
		}
		file := strings.Replace(onRoute("oauth2", grant+"scopes: [a]"), "services:", "consumers: [{username: c, oauth2_credentials: ["+credentials.String()+"]}]\nservices:", 1)
		config, _, err := adapt(t, file, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, client, _ := strings.Cut(string(config), `"c0":`)
		if want := fmt.Sprintf("$argon2id$v=19$m=%d,t=1,p=1$", test.want); !strings.Contains(client[:min(len(client), 300)], want) {
			t.Errorf("%q of %d: got %.300s, want %s", test.secret, test.many, client, want)
		}
	}
}
