// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// What is refused: the message names the entity, the field and the line, and
// says what to write instead.
func TestRefused(t *testing.T) {
	const header = "_format_version: \"3.0\"\n"
	service := func(lines string) string { return header + "services:\n- name: s\n" + lines }
	route := func(lines string) string { return service("  url: http://h\n  routes:\n  - name: r\n" + lines) }
	plugin := func(text string) string {
		return route("    paths: [/]\n    plugins:\n    - " + text)
	}
	for _, test := range []struct {
		name, file string
		env        environment
		want       []string
	}{
		{"empty", "", nil, []string{"the file is empty"}},
		{"not YAML", "a: [", nil, []string{"kong.yml: line 1"}},
		{"a list", "- a", nil, []string{"kong.yml:1: is not an object"}},
		{"two documents", header + "---\n" + header, nil, []string{"more than one YAML document"}},
		{"a field twice", header + header, nil, []string{`"_format_version" is there twice`}},
		{"no version", "services: []", nil, []string{`_format_version: is required: write _format_version: "3.0"`}},
		{"another version", `_format_version: "4.0"`, nil, []string{`"4.0" is not known`}},
		{"an unknown collection", header + "servces: []", nil, []string{"kong.yml:2: servces: this field is not known"}},
		{"an unknown field", service("  url: http://h\n  retires: 3\n"), nil, []string{`kong.yml:5: service "s": retires: this field is not known`}},
		{"a wrong type", service("  url: http://h\n  retries: many\n"), nil, []string{`service "s": retries: "many" is not a whole number`}},
		{"a wrong boolean", route("    paths: [/]\n    strip_path: maybe\n"), nil, []string{`route "r": strip_path: "maybe" is not true or false`}},
		{"all errors at once", service("  url: h\n  retries: many\n  port: 0\n"), nil, []string{"url:", "retries:", "port:"}},

		{"stream service", service("  host: h\n  protocol: tcp\n"), nil, []string{`service "s": protocol: services of tcp are not kept`}},
		{"user in a URL", service("  url: http://u:p@h\n"), nil, []string{"url: contains a user name or password"}},
		{"query in a URL", service("  url: http://h/?a=b\n"), nil, []string{"has a query"}},
		{"path with grpc", service("  url: grpc://h/x\n"), nil, []string{"path: a service of grpc has no path"}},
		{"path not normal", service("  url: http://h/a//b\n"), nil, []string{`write "/a/b"`}},
		{"unknown certificate", service("  url: https://h\n  ca_certificates: [x]\n  routes: [{name: r, paths: [/]}]\n"), nil, []string{`ca_certificates: there is no "x" among the ca_certificates`}},

		{"route without conditions", route("    strip_path: true\n"), nil, []string{`route "r": has no condition`}},
		{"expression flavor", route("    expression: http.path == \"/\"\n    paths: [/]\n"), nil, []string{"expression: routes of the flavor expressions are not kept"}},
		{"sources", route("    paths: [/]\n    sources: [{ip: 1.2.3.4}]\n"), nil, []string{"sources: routes by address are not kept"}},
		{"stream route", route("    protocols: [tcp]\n    paths: [/]\n"), nil, []string{"protocols: routes of tcp"}},
		{"small letters", route("    methods: [get]\n"), nil, []string{`methods: "get" is not a method in capitals`}},
		{"wildcard inside", route("    hosts: [a.*.com]\n"), nil, []string{`hosts: "a.*.com" is not a host name`}},
		{"bad expression", route("    paths: ['~/(']\n"), nil, []string{"is not a valid regular expression"}},
		{"host as a header", route("    headers: {host: [a]}\n"), nil, []string{"write hosts"}},
		{"bad status", route("    paths: [/]\n    https_redirect_status_code: 200\n"), nil, []string{"write 426, 301, 302, 307 or 308"}},
		{"unknown service", header + "routes: [{name: r, paths: [/], service: x}]", nil, []string{`service: there is no "x" among the services`}},
		{"two routes of a name", header + "routes: [{name: r, paths: [/a]}, {name: r, paths: [/b]}]", nil, []string{`there are two routes with the id or name "r"`}},

		{"upstream algorithm", header + "upstreams: [{name: u, algorithm: latency}]", nil, []string{"algorithm: latency is not kept"}},
		{"hash on consumer", header + "upstreams: [{name: u, algorithm: consistent-hashing, hash_on: consumer}]", nil, []string{"hash_on: a hash of consumer is not kept"}},
		{"threshold", header + "upstreams: [{name: u, healthchecks: {threshold: 50}}]", nil, []string{"healthchecks.threshold"}},
		{"health by tcp", header + "upstreams: [{name: u, healthchecks: {active: {type: tcp, healthy: {interval: 1}}}}]", nil, []string{"healthchecks.active.type: health checks by tcp"}},

		{"custom_id twice", header + "consumers: [{username: a, custom_id: x}, {username: b, custom_id: x}]", nil, []string{`consumer "b": custom_id: "x" is that of consumer "a" already`}},
		{"consumer without a name", header + "consumers: [{tags: [a]}]", nil, []string{"write username or custom_id"}},
		{"acl of none", header + "acls: [{group: g}]", nil, []string{"name the consumer"}},
		{"consumer groups", header + "consumer_groups: [{name: g, plugins: [{name: rate-limiting-advanced}]}]", nil, []string{`consumer_group "g": consumer groups are not kept`}},
		{"key sets", header + "key_sets: [{name: k}]", nil, []string{"key_sets"}},

		{"unknown plugin", plugin("{name: my-plugin}"), nil, []string{`kong.yml:9: plugin "my-plugin": the plugin my-plugin is not available`, "GLUU_KONG_UNSUPPORTED=close"}},
		{"key-auth", plugin("{name: key-auth}"), nil, []string{"the plugin key-auth is not available: use gluu-oauth-auth"}},
		{"unknown field of a plugin", plugin("{name: cors, config: {origin: a}}"), nil, []string{"config.origin: this field is not known"}},
		{"plugin twice", plugin("{name: cors}\n    - {name: cors}"), nil, []string{"there is another one for the same requests, in line 9"}},
		{"authentication for a consumer", header + "consumers: [{username: c, plugins: [{name: cors}]}]", nil, []string{"runs before the consumer is known"}},
		{"ordering", plugin("{name: cors, ordering: {before: {access: [acl]}}}"), nil, []string{"remove ordering"}},
		{"rules without authentication", plugin(`{name: gluu-oauth-pep, config: {oauth_scope_expression: '[{"path":"/a","conditions":[{"httpMethods":["GET"],"scope_expression":{"rule":{"var":0},"data":["a"]}}]}]'}}`), nil, []string{`on route "r" there is no gluu-oauth-auth before it`}},
		{"bad rules", plugin(`{name: gluu-oauth-pep, config: {oauth_scope_expression: '[{"path":"a"}]'}}`), nil, []string{"config.oauth_scope_expression"}},
		{"Lua", plugin(`{name: gluu-oauth-auth, config: {op_url: https://as, client_id: a, client_secret: b, custom_headers: [{header_name: X, value_lua_exp: "string.upper('a')"}]}}`), nil, []string{"config.custom_headers.value_lua_exp:", "is Lua that goes beyond"}},
		{"Lua in a template", plugin(`{name: request-transformer, config: {add: {headers: ["X:$(os.time())"]}}}`), nil, []string{"is Lua, which does not run here"}},
		{"body of a transformer", plugin(`{name: request-transformer, config: {add: {body: ["a:b"]}}}`), nil, []string{"config.add.body: bodies are not changed"}},
		{"host of a transformer", plugin(`{name: request-transformer, config: {replace: {headers: ["Host:b"]}}}`), nil, []string{"preserve_host"}},
		{"unknown anonymous", plugin(`{name: gluu-oauth-auth, config: {op_url: https://as, client_id: a, client_secret: b, anonymous: x}}`), nil, []string{`anonymous: there is no consumer "x"`}},
		{"login without an address", plugin(`{name: gluu-openid-connect, config: {op_url: https://as, client_id: a, client_secret: b, authorization_redirect_path: /cb}}`), nil, []string{"GLUU_KONG_BASE_URL"}},
		{"acl without groups", plugin("{name: acl}"), nil, []string{"one of allow and deny is required"}},
		{"vault", plugin(`{name: gluu-oauth-auth, config: {op_url: https://as, client_id: a, client_secret: "{vault://hcv/x/y}"}}`), nil, []string{"refers to a vault that is not there"}},
		{"environment in a path", route("    paths: ['${{ env \"DECK_P\" }}']\n"), nil, []string{"refers to the environment"}},

		{"flavor", header, environment{"KONG_ROUTER_FLAVOR": "expressions"}, []string{`KONG_ROUTER_FLAVOR: routes of the flavor "expressions"`}},
		{"listen", header, environment{"KONG_PROXY_LISTEN": "8000"}, []string{`KONG_PROXY_LISTEN: "8000" is not an address`}},
		{"trusted", header, environment{"KONG_TRUSTED_IPS": "lan"}, []string{`KONG_TRUSTED_IPS: "lan"`}},
		{"unsupported", header, environment{"GLUU_KONG_UNSUPPORTED": "ignore"}, []string{`GLUU_KONG_UNSUPPORTED: there is no "ignore": write refuse or close`}},
		{"certificate without key", header, environment{"KONG_SSL_CERT": "a"}, []string{"needs its key"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := adapt(t, test.file, test.env)
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
		})
	}
}

func TestAtMostFiftyErrors(t *testing.T) {
	_, _, err := adapt(t, "_format_version: \"3.0\"\nroutes:\n"+strings.Repeat("- {methods: [get]}\n", 80), nil)
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 51 || lines[50] != "and 30 more" {
		t.Errorf("got %d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

// What is kept but changes: the most important warning comes first.
func TestWarnings(t *testing.T) {
	file := `_format_version: "3.0"
services:
- name: s
  url: https://backend.example.com
  routes:
  - {name: a, paths: [/x], path_handling: v1}
  - {name: b, paths: [/x]}
- {name: t, url: "https://other.example.com", tls_verify: false}
upstreams: [{name: u}]
consumers: [{username: c, keyauth_credentials: [{key: k}]}]
plugins: [{name: prometheus}]
`
	_, warnings, err := adapt(t, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	wants := []string{"is verified now", "is not verified, as the file says", "v1 has no effect", `route "a" is alike`, "has no target", "metrics are at /metrics", "keyauth credentials are not kept"}
	for _, want := range wants {
		if find(warnings, want) < 0 {
			t.Errorf("no warning %q in %v", want, warnings)
		}
	}
	if find(warnings, wants[0]) > 1 || find(warnings, wants[1]) > 1 {
		t.Errorf("got %v, want upstream TLS first", warnings)
	}
	if w := warnings[find(warnings, "v1 has no effect")]; w.File != "kong.yml" || w.Line != 6 || w.Directive != `route "a" path_handling` {
		t.Errorf("got %+v", w)
	}
}

func find(warnings []caddyconfig.Warning, text string) int {
	for i, w := range warnings {
		if strings.Contains(w.Message, text) {
			return i
		}
	}
	return -1
}

// YAML, JSON, nested, flat, by id and by name: all say the same.
func TestShapes(t *testing.T) {
	const id = "4c0e4cf3-5d2b-4a53-8a29-07e6c0a5ad6f"
	files := map[string]string{
		"nested YAML": "_format_version: \"3.0\"\nservices:\n- id: " + id + "\n  name: s\n  url: http://h:80/x\n  routes:\n  - name: r\n    paths:\n    - /a\n    plugins:\n    - name: cors\nconsumers:\n- username: c\n  acls:\n  - group: g\n",
		"flat JSON": `{"_format_version": "3.0",
	"services": [{"id": "` + id + `", "name": "s", "protocol": "http", "host": "h", "port": 80, "path": "/x"}],
	"routes": [{"name": "r", "paths": ["/a"], "service": {"id": "` + id + `"}}],
	"plugins": [{"name": "cors", "route": {"name": "r"}, "config": {}}],
	"consumers": [{"username": "c"}], "acls": [{"group": "g", "consumer": {"username": "c"}}]}`,
		"by name":  "_format_version: '3.0'\nplugins: [{name: cors, route: r}]\nroutes: [{name: r, paths: [/a], service: s}]\nservices: [{id: " + id + ", name: s, url: 'http://h/x'}]\nacls: [{group: g, consumer: c}]\nconsumers: [{username: c}]",
		"defaults": "_format_version: '3.0'\n_info: {defaults: {service: {protocol: http, port: 80, path: /x}, route: {paths: [/a]}}}\n_plugin_configs: {any: {origins: ['*']}}\nservices: [{id: " + id + ", name: s, host: h, routes: [{name: r, plugins: [{name: cors, _config: any, config: {origins: []}}]}]}]\nconsumers: [{username: c, acls: [{group: g}]}]",
		"anchors":  "_format_version: '3.0'\n_info: {defaults: {}}\nservices: [{<<: &base {protocol: http, host: h, port: 80}, id: " + id + ", name: s, path: /x, routes: [{name: r, paths: &paths [/a], plugins: [{name: cors}]}]}]\nconsumers: [{username: c, acls: [{group: g}]}]",
	}
	var first []byte
	for _, name := range []string{"nested YAML", "flat JSON", "by name", "defaults", "anchors"} {
		got, _, err := adapt(t, files[name], nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if first == nil {
			first = got
		} else if !bytes.Equal(first, got) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, first)
		}
	}
}

func TestEnvironmentReferences(t *testing.T) {
	file := `_format_version: "3.0"
services: [{name: s, host: '${{ env "DECK_HOST" }}', port: 9000, routes: [{name: r, paths: [/]}]}]
plugins: [{name: gluu-oauth-auth, config: {op_url: https://as.example.com, client_id: gateway, client_secret: "{vault://env/gateway-secret}"}}]
`
	got, _, err := adapt(t, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"dial":"{env.DECK_HOST}:9000"`, `"client_secret":"{env.GATEWAY_SECRET}"`} {
		if !strings.Contains(string(got), want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A secret with braces is not a placeholder.
func TestBracesInSecrets(t *testing.T) {
	got, _, err := adapt(t, `{"_format_version": "3.0", "plugins": [{"name": "gluu-oauth-auth", "config": {"op_url": "https://as.example.com", "client_id": "gateway", "client_secret": "a{env.HOME}"}}]}`, nil)
	if err != nil || !strings.Contains(string(got), `"client_secret":"a\\{env.HOME}"`) {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestSettings(t *testing.T) {
	got, _, err := adapt(t, `_format_version: "3.0"`, environment{
		"KONG_PROXY_LISTEN": "0.0.0.0:80 reuseport backlog=16384, [::]:80, 127.0.0.1:443 http2 ssl", "KONG_TRUSTED_IPS": "10.0.0.0/8, ::1", "KONG_REAL_IP_HEADER": "X-Forwarded-For",
	})
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Apps struct {
			HTTP struct {
				HTTPPort  int `json:"http_port"`
				HTTPSPort int `json:"https_port"`
				Servers   map[string]struct {
					Listen  []string
					Trusted struct{ Ranges []string } `json:"trusted_proxies"`
					Headers []string                  `json:"client_ip_headers"`
				}
			}
		}
	}
	if err := json.Unmarshal(got, &config); err != nil {
		t.Fatal(err)
	}
	server := config.Apps.HTTP.Servers["kong"]
	if fmt.Sprint(server.Listen) != "[:80 127.0.0.1:443]" || config.Apps.HTTP.HTTPPort != 80 || config.Apps.HTTP.HTTPSPort != 443 || fmt.Sprint(server.Trusted.Ranges, server.Headers) != "[10.0.0.0/8 ::1] [X-Forwarded-For]" {
		t.Errorf("got %+v", config)
	}
}

// A small file cannot stand for a huge one.
func TestAliasesOfAliases(t *testing.T) {
	file := "_format_version: '3.0'\n_info:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 10; i++ {
		file += fmt.Sprintf("  a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	if _, _, err := adapt(t, file, nil); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v", err)
	}
}

// large is a file as a big installation has it.
func large(routes, consumers int) string {
	var b strings.Builder
	b.WriteString("_format_version: \"3.0\"\nservices:\n")
	for i := range routes / 5 {
		fmt.Fprintf(&b, "- name: service-%d\n  url: http://127.0.0.1:9%03d/v1\n  routes:\n", i, i%1000)
		for j := range 5 {
			fmt.Fprintf(&b, "  - name: route-%d-%d\n    hosts: [tenant-%d.example.com]\n    paths:\n    - /service-%d/part-%d\n    methods: [GET, POST]\n", i, j, i%100, i, j)
		}
		if i%10 == 0 {
			fmt.Fprintf(&b, "  plugins:\n  - name: cors\n    config:\n      origins: ['https://app-%d.example.com']\n", i)
		}
	}
	b.WriteString("consumers:\n")
	for i := range consumers {
		fmt.Fprintf(&b, "- username: consumer-%d\n  custom_id: client-%d\n  acls:\n  - group: group-%d\n", i, i, i%10)
	}
	b.WriteString("plugins:\n- name: gluu-oauth-auth\n  config:\n    op_url: https://as.example.com\n    client_id: gateway\n    client_secret: secret\n")
	return b.String()
}

// BenchmarkAdapt adapts 10,000 routes and 10,000 consumers.
func BenchmarkAdapt(b *testing.B) {
	file := large(10_000, 10_000)
	for b.Loop() {
		if _, _, err := adapt(b, file, nil); err != nil {
			b.Fatal(err)
		}
	}
}
