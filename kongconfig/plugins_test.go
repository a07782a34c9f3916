// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Eight instances of one plugin: the most specific that is there runs.
func TestPrecedence(t *testing.T) {
	levels := []struct{ name, refs string }{
		{"route, service, consumer", "route: r, service: s, consumer: c"},
		{"route, consumer", "route: r, consumer: c"},
		{"service, consumer", "service: s, consumer: c"},
		{"route, service", "route: r, service: s"},
		{"consumer", "consumer: c"},
		{"route", "route: r"},
		{"service", "service: s"},
		{"all", ""},
	}
	as := newAuthorizationServer(t)
	for first := range levels {
		t.Run(levels[first].name, func(t *testing.T) {
			var instances []string
			for level := first; level < len(levels); level++ {
				refs := ""
				if levels[level].refs != "" {
					refs = levels[level].refs + ", "
				}
				instances = append(instances, fmt.Sprintf("{name: request-termination, %sconfig: {status_code: %d}}", refs, 410+level))
			}
			g := run(t, fmt.Sprintf(`{_format_version: "3.0", consumers: [{username: c, custom_id: client-c}],
 services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: [/]}]}],
 plugins: [%s, %s]}`, as.plugin(""), strings.Join(instances, ", ")), nil)
			if got, want := g.ask("GET h /", "Authorization: Bearer of-client-c").status, 410+first; got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		})
	}
	t.Run("another consumer", func(t *testing.T) {
		g := run(t, fmt.Sprintf(`{_format_version: "3.0", consumers: [{username: c, custom_id: client-c}, {username: d, custom_id: client-d}],
 services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: [/]}]}],
 plugins: [%s, {name: request-termination, consumer: c, config: {status_code: 411}}]}`, as.plugin("")), nil)
		for token, want := range map[string]int{"of-client-c": 411, "of-client-d": 200, "none": 401} {
			if got := g.ask("GET h /", "Authorization: Bearer "+token).status; got != want {
				t.Errorf("%s: got %d, want %d", token, got, want)
			}
		}
	})
	t.Run("disabled", func(t *testing.T) {
		g := run(t, `{_format_version: "3.0", services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: [/]}]}],
 plugins: [{name: request-termination, config: {status_code: 417}}, {name: request-termination, route: r, enabled: false, config: {status_code: 411}}, {name: key-auth, enabled: false}]}`, nil)
		if got := g.ask("GET h /").status; got != 417 {
			t.Errorf("got %d, want 417", got)
		}
	})
}

// hub are the plugins of Kong's hub and of Gluu Gateway, with the least
// configuration that each needs. What the hub adds later is like a-plugin-of-our-own.
var hub = map[string]string{
	"acl": "allow: [g]", "acme": "account_email: a@example.com, domains: [a.example.com]", "ai-proxy": "", "ai-prompt-guard": "", "app-dynamics": "", "aws-lambda": "function_name: f", "azure-functions": "",
	"basic-auth": "", "bot-detection": "", "canary": "", "confluent": "", "cors": "", "correlation-id": "", "datadog": "", "degraphql": "", "exit-transformer": "",
	"file-log": "path: /tmp/x.log", "forward-proxy": "", "graphql-proxy-cache-advanced": "", "graphql-rate-limiting-advanced": "", "grpc-gateway": "", "grpc-web": "",
	"header-cert-auth": "", "hmac-auth": "", "http-log": "http_endpoint: https://log.example.com", "injection-protection": "", "ip-restriction": "deny: [127.0.0.1/32]", "jq": "", "json-threat-protection": "", "jwe-decrypt": "",
	"jwt": "", "jwt-signer": "", "kafka-log": "", "kafka-upstream": "", "key-auth": "", "key-auth-enc": "", "konnect-application-auth": "", "ldap-auth": "", "ldap-auth-advanced": "", "loggly": "key: k",
	"mocking": "", "mtls-auth": "", "oas-validation": "", "oauth2": "enable_client_credentials: true, scopes: [a], provision_key: an-invented-provision-key", "oauth2-introspection": "introspection_url: AS/introspect, authorization_value: Basic Zzpz, consumer_by: client_id", "opa": "", "openid-connect": "", "opentelemetry": "endpoint: http://otel.example.com",
	"post-function": "", "pre-function": "", "prometheus": "", "proxy-cache": "", "proxy-cache-advanced": "", "rate-limiting": "minute: 1", "rate-limiting-advanced": "", "redirect": "location: https://b.example.com/",
	"request-callout": "", "request-size-limiting": "allowed_payload_size: 1, size_unit: bytes", "request-termination": "", "request-transformer": "", "request-transformer-advanced": "", "request-validator": "", "response-ratelimiting": "",
	"response-transformer": "", "response-transformer-advanced": "", "route-by-header": "", "route-transformer-advanced": "", "saml": "", "service-protection": "", "session": "", "standard-webhooks": "", "statsd": "", "statsd-advanced": "", "syslog": "", "tcp-log": "host: a, port: 1",
	"tls-handshake-modifier": "", "tls-metadata-headers": "", "udp-log": "host: a, port: 1", "upstream-oauth": "", "upstream-timeout": "", "vault-auth": "", "websocket-size-limit": "", "websocket-validator": "", "xml-threat-protection": "", "zipkin": "",
	"ai-proxy-advanced": "", "ai-prompt-decorator": "", "ai-prompt-template": "", "ai-prompt-compressor": "", "ai-request-transformer": "", "ai-response-transformer": "", "ai-semantic-cache": "", "ai-semantic-prompt-guard": "", "ai-semantic-response-guard": "", "ai-rate-limiting-advanced": "", "ai-azure-content-safety": "", "ai-aws-guardrails": "", "ai-gcp-model-armor": "", "ai-lakera-guard": "", "ai-llm-as-judge": "", "ai-rag-injector": "", "ai-sanitizer": "", "ai-mcp-proxy": "", "ai-mcp-oauth2": "", "ai-a2a-proxy": "", "ai-custom-guardrail": "",
	"ace": "", "application-registration": "", "collector": "", "confluent-consume": "", "datakit": "", "kafka-consume": "", "metering-and-billing": "", "serverless-functions": "", "solace-consume": "", "solace-log": "", "solace-upstream": "", "wasm-filter": "",
	"gluu-oauth-auth": "GLUU", "gluu-uma-auth": "GLUU", "gluu-openid-connect": "GLUU, authorization_redirect_path: /callback, requested_scopes: [openid]",
	"gluu-oauth-pep": `GLUU, oauth_scope_expression: '[{"path":"/??","conditions":[{"httpMethods":["?"],"scope_expression":{"rule":{"var":0},"data":["a"]}}]}]'`,
	"gluu-uma-pep":   `GLUU, uma_scope_expression: '[{"path":"/??","conditions":[{"httpMethods":["?"],"scope_expression":{"rule":{"var":0},"data":["a"]}}]}]'`,
	"gluu-metrics":   "", "gluu-opa-pep": "opa_url: http://127.0.0.1:8181", "gluu-client-auth": "", "gluu-pep": "", "a-plugin-of-our-own": "",
}

// harmless are those that refuse nothing in Kong either, for the request of the
// test.
var harmless = strings.Fields(`acme bot-detection cors correlation-id datadog file-log http-log kafka-log loggly opentelemetry
	prometheus request-transformer response-transformer statsd syslog tcp-log udp-log zipkin gluu-metrics`)

// Nothing that protects is lost: a plugin alone on a route is enforced, or the
// file is refused, or the route is closed if that is asked for.
func TestEveryPluginIsEnforcedOrRefused(t *testing.T) {
	as := newAuthorizationServer(t)
	for name, config := range hub {
		t.Run(name, func(t *testing.T) {
			config = strings.ReplaceAll(strings.ReplaceAll(config, "GLUU", as.config("")), "AS", as.URL)
			file := fmt.Sprintf(`{_format_version: "3.0", services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: [/], plugins: [{name: %s, config: {%s}}]}]}]}`, name, config)
			_, _, err := adapt(t, strings.ReplaceAll(file, "UPSTREAM", "h:1"), environment{"GLUU_KONG_BASE_URL": "https://h"})
			if err != nil {
				if !strings.Contains(err.Error(), name) {
					t.Fatalf("got %v, want an error that names %s", err, name)
				}
				closed := run(t, file, environment{"GLUU_KONG_UNSUPPORTED": "close", "GLUU_KONG_BASE_URL": "https://h"})
				if got := closed.ask("GET h /"); got.upstream != nil || got.status != 501 || !strings.Contains(got.body, "plugin "+name+" is not available") {
					t.Errorf("got %+v, want 501", got)
				}
				return
			}
			g := run(t, file, environment{"GLUU_KONG_BASE_URL": "https://h"})
			if name == "rate-limiting" {
				g.ask("GET h /")
			}
			got := g.ask("POST h /", "Content-Length: 2", "", "xx")
			if passed, may := got.upstream != nil, contains(harmless, name); passed != may {
				t.Errorf("got %d %s, want a refusal: %v", got.status, got.body, !may)
			}
		})
	}
}

func contains(list []string, name string) bool {
	return slices.Contains(list, name)
}
