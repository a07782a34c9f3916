// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// What each plugin does to a request, asked of a running gateway.
func TestPlugins(t *testing.T) {
	as := newAuthorizationServer(t)
	const rules = `'[{"path":"/todos/?","conditions":[{"httpMethods":["GET"],"scope_expression":{"rule":{"and":[{"var":0},{"var":1}]},"data":["read","^todo:(?<PC1>.+)$"]}}]}]'`
	for _, test := range []struct {
		name, plugins string // in flow style, within a list
		request       []string
		check         func(r response) string // what is wrong, or ""
	}{
		{"gluu-oauth-auth", as.plugin(""), []string{"GET h /x", "Authorization: Bearer of-client-c", "X-Consumer-ID: forged"}, func(r response) string {
			return want(r, 200, "X-Consumer-Username", "c", "X-Consumer-Custom-Id", "client-c", "X-Oauth-Client-Id", "client-c", "X-Consumer-Id", "c4511917-5bd2-5306-8ee5-d63ca5c67080")
		}},
		{"gluu-oauth-auth without a token", as.plugin(""), []string{"GET h /x"}, status(401)},
		{"gluu-oauth-auth of an unknown client", as.plugin(""), []string{"GET h /x", "Authorization: Bearer of-nobody"}, status(401)},
		{"gluu-oauth-auth without mapping", as.plugin("consumer_mapping: false"), []string{"GET h /x", "Authorization: Bearer of-nobody"}, status(200)},
		{"gluu-oauth-auth hides", as.plugin("pass_credentials: hide"), []string{"GET h /x", "Authorization: Bearer of-client-c"}, func(r response) string { return want(r, 200, "Authorization", "") }},
		{"gluu-oauth-auth with an anonymous consumer", as.plugin("anonymous: nobody"), []string{"GET h /x"}, func(r response) string {
			return want(r, 200, "X-Anonymous-Consumer", "true", "X-Consumer-Username", "nobody")
		}},
		{"gluu-oauth-auth with no anonymous consumer", as.plugin(`anonymous: " "`), []string{"GET h /x"}, status(401)},
		{"custom headers", as.plugin(`custom_headers: [{header_name: x_team, value_lua_exp: "introspect_data['team']", format: string}, {header_name: X-Kind, value_lua_exp: "'api'", format: string}, {header_name: X-User, value_lua_exp: consumer.username, format: string}]`),
			[]string{"GET h /x", "Authorization: Bearer of-client-c"}, func(r response) string { return want(r, 200, "X-Team", "blue", "X-Kind", "api", "X-User", "c") }},
		{"gluu-oauth-pep allows", as.plugin("") + ", {name: gluu-oauth-pep, config: {" + as.config("oauth_scope_expression: "+rules) + "}}",
			[]string{"GET h /todos/7", "Authorization: Bearer of-client-c-with-read+todo/7"}, status(200)},
		{"gluu-oauth-pep binds a scope to the path", as.plugin("") + ", {name: gluu-oauth-pep, config: {" + as.config("oauth_scope_expression: "+rules) + "}}",
			[]string{"GET h /todos/8", "Authorization: Bearer of-client-c-with-read+todo/7"}, status(403)},
		{"gluu-oauth-pep denies by default", as.plugin("") + ", {name: gluu-oauth-pep, config: {" + as.config("oauth_scope_expression: "+rules) + "}}",
			[]string{"GET h /other", "Authorization: Bearer of-client-c-with-read+todo/7"}, status(403)},
		{"gluu-oauth-pep allows what it does not name", as.plugin("") + ", {name: gluu-oauth-pep, config: {" + as.config("deny_by_default: false, oauth_scope_expression: "+rules) + "}}",
			[]string{"GET h /other", "Authorization: Bearer of-client-c"}, status(200)},
		{"gluu-oauth-pep without rules", as.plugin("") + ", {name: gluu-oauth-pep, config: {" + as.config("") + "}}",
			[]string{"GET h /x", "Authorization: Bearer of-client-c"}, said("403 Unprotected path/method are not allowed")},
		{"acl allows a group", as.plugin("") + ", {name: acl, config: {allow: [gold]}}", []string{"GET h /x", "Authorization: Bearer of-client-c"}, func(r response) string { return want(r, 200, "X-Consumer-Groups", "gold") }},
		{"acl refuses others", as.plugin("") + ", {name: acl, config: {whitelist: [silver]}}", []string{"GET h /x", "Authorization: Bearer of-client-c"}, said("403 You cannot consume this service")},
		{"acl without authentication", "{name: acl, config: {allow: [gold]}}", []string{"GET h /x"}, said("401 Unauthorized")},
		{"acl that denies, without authentication", "{name: acl, config: {deny: [gold]}}", []string{"GET h /x"}, func(r response) string { return want(r, 200) }},
		{"oauth2-introspection", fmt.Sprintf("{name: oauth2-introspection, config: {introspection_url: %q, authorization_value: Basic Z2F0ZXdheTpzZWNyZXQ=, consumer_by: client_id, hide_credentials: true}}", as.URL+"/introspect"),
			[]string{"GET h /x", "Authorization: Bearer of-client-c"}, func(r response) string { return want(r, 200, "X-Consumer-Username", "c", "Authorization", "") }},

		{"ip-restriction denies", "{name: ip-restriction, config: {deny: [127.0.0.0/8]}}", []string{"GET h /"}, said("403 Your IP address is not allowed")},
		{"ip-restriction allows", "{name: ip-restriction, config: {allow: [127.0.0.1]}}", []string{"GET h /"}, status(200)},
		{"ip-restriction allows others only", "{name: ip-restriction, config: {allow: [10.0.0.0/8], status: 404, message: no}}", []string{"GET h /"}, said("404 no")},
		{"ip-restriction does not trust headers", "{name: ip-restriction, config: {allow: [10.0.0.0/8]}}", []string{"GET h /", "X-Real-IP: 10.0.0.1", "X-Forwarded-For: 10.0.0.1"}, status(403)},

		{"cors", "{name: cors, config: {origins: ['https://a.example.com'], credentials: true, max_age: 60}}", []string{"OPTIONS h /", "Origin: https://a.example.com", "Access-Control-Request-Method: GET"}, func(r response) string {
			return wantAnswer(r, 204, "Access-Control-Allow-Origin", "https://a.example.com", "Access-Control-Max-Age", "60", "Access-Control-Allow-Credentials", "true")
		}},
		{"cors for all with credentials", "{name: cors, config: {credentials: true}}", []string{"GET h /", "Origin: https://b.example.com"}, func(r response) string {
			return wantAnswer(r, 200, "Access-Control-Allow-Origin", "https://b.example.com", "Access-Control-Allow-Credentials", "true")
		}},
		{"request-size-limiting", "{name: request-size-limiting, config: {allowed_payload_size: 1, size_unit: kilobytes}}", []string{"POST h /", "Content-Length: 2000", "", strings.Repeat("x", 2000)}, status(413)},
		{"request-size-limiting needs a length", "{name: request-size-limiting, config: {require_content_length: true}}", []string{"POST h /", "Transfer-Encoding: chunked", "", "0\r\n"}, status(411)},
		{"request-termination", "{name: request-termination, config: {status_code: 403, message: 'So {long}!'}}", []string{"GET h /"}, said("403 So {long}!")},
		{"request-termination without a message", "{name: request-termination}", []string{"GET h /"}, said("503 Service unavailable")},
		{"request-termination without a text", "{name: request-termination, config: {status_code: 410}}", []string{"GET h /"}, func(r response) string { return status(410)(r) + r.body }},
		{"request-termination that is off", "{name: request-termination, enabled: No}", []string{"GET h /"}, status(200)},
		{"request-termination with a body", "{name: request-termination, config: {status_code: 200, content_type: text/plain, body: pong}}", []string{"GET h /"}, func(r response) string {
			if r.body != "pong" {
				return r.body
			}
			return wantAnswer(r, 200, "Content-Type", "text/plain")
		}},
		{"request-termination by a trigger", "{name: request-termination, config: {trigger: X-Stop}}", []string{"GET h /", "X-Stop: 1"}, status(503)},
		{"request-termination without its trigger", "{name: request-termination, config: {trigger: X-Stop}}", []string{"GET h /"}, status(200)},
		{"redirect", "{name: redirect, config: {location: 'https://b.example.com/x', keep_incoming_path: true, status_code: 302}}", []string{"GET h /y?z=1"}, func(r response) string {
			return wantAnswer(r, 302, "Location", "https://b.example.com/y?z=1")
		}},
		{"correlation-id", "{name: correlation-id, config: {header_name: X-Id, generator: uuid, echo_downstream: true}}", []string{"GET h /", "X-Id: mine"}, func(r response) string {
			return want(r, 200, "X-Id", "mine") + wantAnswer(r, 200, "X-Id", "mine")
		}},
		{"correlation-id makes one", "{name: correlation-id, config: {header_name: X-Id, generator: uuid}}", []string{"GET h /"}, func(r response) string {
			if r.upstream == nil || len(r.upstream.Header.Get("X-Id")) != 36 {
				return "no id"
			}
			return ""
		}},
		{"bot-detection", "{name: bot-detection}", []string{"GET h /", "User-Agent: Googlebot/2.1 (+http://www.google.com/bot.html)"}, said("403 Forbidden")},
		{"bot-detection leaves browsers alone", "{name: bot-detection}", []string{"GET h /", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}, status(200)},
		{"bot-detection allows", "{name: bot-detection, config: {allow: ['Googlebot'], deny: [curl]}}", []string{"GET h /", "User-Agent: Googlebot/2.1"}, status(200)},
		{"bot-detection denies", "{name: bot-detection, config: {allow: ['Googlebot'], deny: [curl]}}", []string{"GET h /", "User-Agent: curl/8"}, status(403)},

		{"request-transformer", `{name: request-transformer, config: {remove: {headers: [X-Gone], querystring: [gone]}, rename: {headers: ["X-Old:X-New"], querystring: ["old:new"]},
			replace: {headers: ["X-There:$(headers.x_src)-r", "X-Missing:no"]}, add: {headers: ["X-Add:{a}", "X-There:no"], querystring: ["add:1", "there:no"]}, append: {headers: ["X-Add:b"], querystring: ["there:2"]}}}`,
			[]string{"GET h /p?gone=1&old=2&there=1", "X-Gone: 1", "X-Old: o", "X-There: t", "X-Src: s"}, func(r response) string {
				return want(r, 200, "X-Gone", "", "X-Old", "", "X-New", "o", "X-There", "s-r", "X-Missing", "", "X-Add", "{a},b") + wantURI(r, "/p?add=1&new=2&there=1&there=2")
			}},
		{"request-transformer replaces the path", `{name: request-transformer, config: {replace: {uri: "/v2/$(query_params.id)/x"}, http_method: put}}`, []string{"GET h /p?id=7"}, func(r response) string {
			if r.upstream != nil && r.upstream.Method != http.MethodPut {
				return "method " + r.upstream.Method
			}
			return wantURI(r, "/v2/7/x?id=7")
		}},
		{"response-transformer", `{name: response-transformer, config: {remove: {headers: [Date]}, rename: {headers: ["X-Upstream:X-Was"]}, replace: {headers: ["Content-Type:text/plain", "X-None:no"]}, add: {headers: ["X-Add:1", "Content-Type:no"]}, append: {headers: ["X-Add:2"]}}}`,
			[]string{"GET h /"}, func(r response) string {
				return wantAnswer(r, 200, "X-Was", "yes", "X-Upstream", "", "Content-Type", "text/plain", "X-None", "", "X-Add", "1,2")
			}},
		{"two plugins for a consumer", as.plugin("") + ", {name: rate-limiting, consumer: c, config: {minute: 30}}, {name: request-termination, consumer: c, config: {status_code: 418}}",
			[]string{"GET h /x", "Authorization: Bearer of-client-c"}, status(418)},
		{"two plugins for a consumer and for all, asked by another", as.plugin("anonymous: nobody") + ", {name: rate-limiting, consumer: c, config: {minute: 30}}, {name: request-termination, consumer: c, config: {status_code: 418}}, {name: request-termination, config: {status_code: 410}}",
			[]string{"GET h /x"}, status(410)},
		{"two plugins for a consumer and for all, asked by the consumer", as.plugin("") + ", {name: ip-restriction, consumer: c, config: {allow: [127.0.0.1]}}, {name: rate-limiting, consumer: c, config: {minute: 30}}, {name: rate-limiting, config: {minute: 7}}",
			[]string{"GET h /x", "Authorization: Bearer of-client-c"}, func(r response) string { return wantAnswer(r, 200, "X-Ratelimit-Limit-Minute", "30") }},
		{"a path for a consumer", as.plugin("") + `, {name: request-transformer, consumer: c, config: {add: {headers: ["X-Add:1"]}, replace: {uri: /zz}}}`,
			[]string{"GET h /x", "Authorization: Bearer of-client-c"}, func(r response) string { return want(r, 200, "X-Add", "1") + wantURI(r, "/zz") }},
		{"X-Forwarded-Path is what the client has written", "", []string{"GET h /x%20y/%00?a=b"}, func(r response) string { return want(r, 200, "X-Forwarded-Path", "/x%20y/%00") }},
		{"response-transformer goes by the order of the file", `{name: response-transformer, config: {replace: {headers: ["Content-Type:a/a", "Content-Type:b/b"]}, add: {headers: ["X-One:1", "X-One:2"]}, append: {headers: ["X-Two:1", "X-Two:2"]}}}`,
			[]string{"GET h /"}, func(r response) string {
				return wantAnswer(r, 200, "Content-Type", "b/b", "X-One", "1", "X-Two", "1,2")
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := run(t, strings.ReplaceAll(fmt.Sprintf(`{_format_version: "3.0", consumers: [{username: c, custom_id: client-c, acls: [{group: gold}]}, {username: nobody}],
 services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: [/], plugins: [%s]}]}]}`, test.plugins), "\t", ""), nil)
			if wrong := test.check(g.ask(test.request[0], test.request[1:]...)); wrong != "" {
				t.Error(wrong)
			}
		})
	}
}

func status(want int) func(response) string {
	return func(r response) string {
		if r.status != want {
			return fmt.Sprintf("got %d %s, want %d", r.status, r.body, want)
		}
		return ""
	}
}

func said(want string) func(response) string {
	return func(r response) string {
		if got := r.said(); got != want {
			return fmt.Sprintf("got %q, want %q", got, want)
		}
		return ""
	}
}

// want compares headers that the upstream has received; "" is none.
func want(r response, code int, headers ...string) string {
	if r.upstream == nil {
		return status(code)(r) + " and an upstream"
	}
	return compare(r, code, r.upstream.Header, headers)
}

func wantAnswer(r response, code int, headers ...string) string {
	return compare(r, code, r.header, headers)
}

func compare(r response, code int, header http.Header, pairs []string) string {
	wrong := status(code)(r)
	for i := 0; i < len(pairs); i += 2 {
		if got := strings.Join(header.Values(pairs[i]), ","); got != pairs[i+1] {
			wrong += fmt.Sprintf("; %s: got %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
	return wrong
}

func wantURI(r response, want string) string {
	if r.upstream == nil || r.upstream.URI != want {
		return fmt.Sprintf("; got %+v, want %s", r.upstream, want)
	}
	return ""
}
