// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/optest"
)

// What users of Gluu Gateway 4 rely on, asked of the gateway that runs their file.

const clientID = "a28a0f83-0000-4b58-94b3-e4ecaf8b6a01" // that of the consumer of the files

// gluuFile is a file for DB-less mode as Gluu Gateway's users write it.
func gluuFile(plugins string, consumers ...string) string {
	return fmt.Sprintf(`{"_format_version": "1.1",
		"services": [{"name": "demo-service", "url": "http://UPSTREAM"}],
		"routes": [{"name": "demo-route", "service": "demo-service", "hosts": ["backend.example.com"]}],
		"plugins": [%s, {"name": "gluu-metrics"}],
		"consumers": [%s]}`, plugins, strings.Join(consumers, ", "))
}

// gluuPlugin is a plugin of the service with the fields that Gluu's plugins share.
func gluuPlugin(name, op, secret, more string) string {
	if more != "" {
		more = ", " + more
	}
	return fmt.Sprintf(`{"name": %q, "service": "demo-service", "config": {"op_url": %q, "oxd_url": "http://oxd.invalid", "oxd_id": "x", "client_id": "gateway", "client_secret": %q%s}}`, name, op, secret, more)
}

// document writes a scope expression document as the plugins have it, in a text.
func document(text string) string {
	quoted, _ := json.Marshal(text)
	return string(quoted)
}

const (
	gluuConsumer  = `{"id": "a28a0f83-b619-4b58-94b3-e4ecaf8b6a2d", "custom_id": "` + clientID + `"}`
	gluuAnonymous = `{"id": "a28a0f83-b619-4b58-94b3-e4ecaf8b6a2e", "custom_id": "anonymous_123"}`
	gluuHeaders   = `"custom_headers": [{"header_name": "x-consumer-id", "value_lua_exp": "consumer.id", "format": "string"}, {"header_name": "x-oauth-client-id", "value_lua_exp": "introspect_data.client_id", "format": "string"},
		{"header_name": "x-consumer-custom-id", "value_lua_exp": "introspect_data.client_id", "format": "string"}, {"header_name": "x-oauth-expiration", "value_lua_exp": "introspect_data.exp", "format": "string"},
		{"header_name": "x-authenticated-scope", "value_lua_exp": "introspect_data.scope", "format": "list"}]`
	gluuRules = `[{"path": "/??", "conditions": [{"httpMethods": ["GET", "DELETE", "POST"], "scope_expression": {"rule": {"and": [{"var": 0}]}, "data": ["admin"]}}]},
		{"path": "/posts", "conditions": [{"httpMethods": ["GET", "DELETE", "POST"], "scope_expression": {"rule": {"and": [{"var": 0}, {"var": 1}]}, "data": ["admin", "employee"]}}]},
		{"path": "/comments", "conditions": [{"httpMethods": ["GET", "DELETE", "POST"], "scope_expression": {"rule": {"or": [{"var": 0}, {"var": 1}]}, "data": ["admin", "employee"]}}]},
		{"path": "/todos", "conditions": [{"httpMethods": ["GET", "DELETE", "POST"], "scope_expression": {"rule": {"!": {"var": 0}}, "data": ["customer"]}}]},
		{"path": "/test/??", "conditions": [{"httpMethods": ["GET", "DELETE", "POST"], "scope_expression": {"rule": {"and": [{"var": 0}]}, "data": ["impossible"]}}]}]`
	gluuOneRule = `[{"path": "/posts", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"and": [{"var": 0}, {"var": 1}]}, "data": ["admin", "employee"]}}]},
		{"path": "/comments", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"and": [{"var": 0}, {"var": 1}]}, "data": ["customer"]}}]}]`
)

func TestGluuOAuth(t *testing.T) {
	as := newAuthorizationServer(t)
	token := "Authorization: Bearer of-" + clientID + "-with-admin+employee"
	auth := func(more string) string { return gluuPlugin("gluu-oauth-auth", as.URL, "secret", more) }
	pep := func(rules, more string) string {
		return gluuPlugin("gluu-oauth-pep", as.URL, "secret", `"oauth_scope_expression": `+document(rules)+more)
	}
	identified := func(r response) string {
		return want(r, 200, "X-Consumer-Id", "a28a0f83-b619-4b58-94b3-e4ecaf8b6a2d", "X-Oauth-Client-Id", clientID, "X-Consumer-Custom-Id", clientID, "X-Oauth-Expiration", "4102444800", "X-Anonymous-Consumer", "")
	}
	type ask struct {
		path, token string
		check       func(response) string
	}
	for _, test := range []struct {
		name, file string
		asks       []ask
	}{
		{"a token", gluuFile(auth(""), gluuConsumer), []ask{
			{"/", "", refused(401, "unauthorized")}, {"/", token, identified}, {"/", token, identified}, {"/", "Authorization: Bearer bla-bla", status(401)}, {"/", token, identified}}},
		{"an unknown consumer", gluuFile(auth("")), []ask{{"/", token, refused(401, "invalid_token")}}},
		{"an anonymous consumer", gluuFile(auth(`"anonymous": "a28a0f83-b619-4b58-94b3-e4ecaf8b6a2e"`), gluuAnonymous), []ask{
			{"/", "Authorization: Bearer bla-bla", func(r response) string {
				return want(r, 200, "X-Consumer-Id", "a28a0f83-b619-4b58-94b3-e4ecaf8b6a2e", "X-Anonymous-Consumer", "true", "X-Oauth-Client-Id", "")
			}}}},
		{"hidden credentials", gluuFile(auth(`"pass_credentials": "hide"`), gluuConsumer), []ask{{"/todos", token, func(r response) string { return identified(r) + want(r, 200, "Authorization", "") }}}},
		{"phantom token", gluuFile(auth(`"pass_credentials": "phantom_token"`), gluuConsumer), []ask{{"/todos", token, func(r response) string {
			if r.upstream == nil || strings.Count(r.upstream.Header.Get("Authorization"), ".") != 2 {
				return fmt.Sprintf("got %+v", r.upstream)
			}
			return identified(r)
		}}}},
		{"without consumers", gluuFile(auth(`"consumer_mapping": false, "anonymous": "allow"`), gluuConsumer), []ask{
			{"/", token, func(r response) string {
				return want(r, 200, "X-Oauth-Client-Id", clientID, "X-Oauth-Expiration", "4102444800", "X-Authenticated-Scope", "admin employee")
			}},
			{"/", "", func(r response) string { return want(r, 200, "X-Oauth-Client-Id", "") }}}},
		{"custom headers", gluuFile(auth(gluuHeaders), gluuConsumer), []ask{{"/", token, func(r response) string {
			return identified(r) + want(r, 200, "X-Authenticated-Scope", "admin employee")
		}}}},
		{"rules that leave a path out", gluuFile(auth("")+", "+pep(gluuOneRule, `, "deny_by_default": false`), gluuConsumer), []ask{
			{"/", "", status(401)}, {"/", token, identified}, {"/", "Authorization: Bearer bla-bla", status(401)}}},
		{"rules and an anonymous consumer", gluuFile(auth(`"anonymous": "a28a0f83-b619-4b58-94b3-e4ecaf8b6a2e"`)+", "+pep(gluuOneRule, `, "deny_by_default": false`), gluuAnonymous), []ask{
			{"/", "Authorization: Bearer bla-bla", status(200)}}},
		{"denied by default", gluuFile(auth("")+", "+pep(gluuOneRule, `, "deny_by_default": true`), gluuConsumer), []ask{{"/", token, refused(403, "access_denied")}}},
		{"an anonymous consumer, denied by default", gluuFile(auth(`"anonymous": "a28a0f83-b619-4b58-94b3-e4ecaf8b6a2e"`)+", "+pep(gluuOneRule, ""), gluuAnonymous), []ask{{"/", "", refused(403, "access_denied")}, {"/posts", "", refused(401, "unauthorized")}}},
		{"expressions", gluuFile(auth(`"pass_credentials": "hide", `+gluuHeaders)+", "+pep(gluuRules, ""), gluuConsumer), []ask{
			{"/posts", token, identified}, {"/comments", token, identified}, {"/todos", token, identified}, {"/", token, identified}, {"/photos", token, identified},
			{"/test", token, refused(403, "insufficient_scope")}, {"/test/whatever", token, refused(403, "insufficient_scope")}}},
		{"a var without an entry", gluuFile(auth("")+", "+pep(gluuOneRule, ""), gluuConsumer), []ask{
			{"/posts", token, identified}, {"/comments", token, status(403)}, {"/comments", "Authorization: Bearer of-" + clientID + "-with-customer", status(403)}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := run(t, test.file, nil)
			for _, ask := range test.asks {
				if wrong := ask.check(g.ask("GET backend.example.com "+ask.path, "X-Consumer-ID: forged", cmp.Or(ask.token, "X-No-Token: 1"))); wrong != "" {
					t.Errorf("%s with %q: %s", ask.path, ask.token, wrong)
				}
			}
		})
	}
}

// refused is the error of an answer of RFC 6750.
func refused(code int, name string) func(response) string {
	return func(r response) string {
		var body struct{ Error string }
		if err := json.Unmarshal([]byte(r.body), &body); r.status != code || body.Error != name {
			return fmt.Sprintf("got %d %s, %v, want %d %s", r.status, r.body, err, code, name)
		}
		return ""
	}
}

// Two services with a client each at the same server.
func TestGluuTwoClients(t *testing.T) {
	as := newAuthorizationServer(t)
	auth := gluuPlugin("gluu-oauth-auth", as.URL, "secret", "")
	other := strings.NewReplacer("demo-service", "demo-service2", `"client_id": "gateway"`, `"client_id": "gateway2"`).Replace(auth)
	file := gluuFile(auth+", "+other, gluuConsumer, `{"custom_id": "second"}`)
	file = strings.NewReplacer(`"services": [`, `"services": [{"name": "demo-service2", "url": "http://UPSTREAM"}, `, `"routes": [`, `"routes": [{"name": "demo-route2", "service": "demo-service2", "hosts": ["backend2.example.com"]}, `).Replace(file)
	g := run(t, file, nil)
	for host, client := range map[string]string{"backend.example.com": clientID, "backend2.example.com": "second"} {
		r := g.ask("GET "+host+" /", "Authorization: Bearer of-"+client)
		if wrong := want(r, 200, "X-Oauth-Client-Id", client); wrong != "" {
			t.Errorf("%s: %s", host, wrong)
		}
	}
}

// JWTs are checked with the keys of op_url.
func TestGluuJWT(t *testing.T) {
	op := optest.New(t)
	for _, plugin := range []string{"gluu-oauth-auth", "gluu-uma-auth"} {
		t.Run(plugin, func(t *testing.T) {
			g := run(t, gluuFile(gluuPlugin(plugin, op.Issuer(), "secret", ""), gluuConsumer), nil)
			claims := map[string]any{"iss": op.Issuer(), "client_id": clientID, "exp": time.Now().Add(time.Hour).Unix(), "scope": "admin"}
			good := op.Sign(t, claims, "at+jwt")
			parts := strings.Split(good, ".")
			none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"x"}`)) + "." + parts[1] + "."
			var known struct{ Alg, Kid string }
			decoded, _ := base64.RawURLEncoding.DecodeString(parts[0])
			if err := json.Unmarshal(decoded, &known); err != nil {
				t.Fatal(err)
			}
			mismatch := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS384","typ":"at+jwt","kid":"`+known.Kid+`"}`)) + "." + parts[1] + "." + parts[2]
			for _, ask := range []struct {
				name, token string
				want        int
			}{{"good", good, 200}, {"again", good, 200}, {"alg none", none, 401}, {"another alg than the key's", mismatch, 401}} {
				if got := g.ask("GET backend.example.com /", "Authorization: Bearer "+ask.token); got.status != ask.want {
					t.Errorf("%s: got %d %s, want %d", ask.name, got.status, got.body, ask.want)
				}
			}
		})
	}
}

// What Gluu Gateway does not start with is refused here, too.
func TestGluuDocumentsThatAreRefused(t *testing.T) {
	const expression = `"scope_expression": {"rule": {"and": [{"var": 0}]}, "data": ["admin"]}`
	for _, test := range []struct{ name, rules, want string }{
		{"no path", `[{"conditions": [{"httpMethods": ["GET"], ` + expression + `}]}]`, "path"},
		{"empty path", `[{"path": "", "conditions": [{"httpMethods": ["GET"], ` + expression + `}]}]`, "path"},
		{"empty", `[]`, "is an empty document, which Gluu Gateway refuses too"},
		{"empty, as Lua writes it", `{}`, "is an empty document, which Gluu Gateway refuses too"},
		{"a path twice", `[{"path": "/posts/??", "conditions": [{"httpMethods": ["GET"], ` + expression + `}]}, {"path": "/posts/??", "conditions": [{"httpMethods": ["GET"], ` + expression + `}]}]`, "/posts/??"},
		{"no conditions", `[{"path": "/posts/??"}]`, "conditions"},
		{"no methods", `[{"path": "/posts/??", "conditions": [{` + expression + `}]}]`, "httpMethods"},
		{"no method", `[{"path": "/posts/??", "conditions": [{"httpMethods": [], ` + expression + `}]}]`, "httpMethods"},
		{"a method twice", `[{"path": "/posts/??", "conditions": [{"httpMethods": ["GET"], ` + expression + `}, {"httpMethods": ["GET"], ` + expression + `}]}]`, "GET"},
		{"a var that could grant", `[{"path": "/x", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"!": {"var": 1}}, "data": ["admin"]}}]}]`, "var 1 does not name an entry"},
		{"and one deeper", `[{"path": "/x", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"and": [{"!": {"or": [{"var": 1}]}}]}, "data": ["admin"]}}]}]`, "var 1 does not name an entry"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := gluuFile(gluuPlugin("gluu-oauth-auth", "https://as.example.com", "secret", "")+", "+gluuPlugin("gluu-oauth-pep", "https://as.example.com", "secret", `"oauth_scope_expression": `+document(test.rules)), gluuConsumer)
			_, _, err := adapt(t, strings.ReplaceAll(file, "UPSTREAM", "localhost:1"), nil)
			if err == nil || !strings.Contains(err.Error(), `plugin "gluu-oauth-pep": config.oauth_scope_expression`) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

const gluuUMARules = `[{"path": "/??", "conditions": [{"httpMethods": ["GET"]}]}, {"path": "/posts", "conditions": [{"httpMethods": ["POST"]}]}]`

type umaAsk struct {
	request, token string
	check          func(response) string
}

func TestGluuUMA(t *testing.T) {
	server := harness.StartUMAServer(t, harness.UMAConfig{})
	server.PutResource(harness.UMAResource{ID: "all", Name: "GET /??", Scopes: []string{"read"}})
	server.PutResource(harness.UMAResource{ID: "posts", Name: "POST /posts", Scopes: []string{"write"}})
	server.PutResource(harness.UMAResource{ID: "get-posts", Name: "GET /posts", Scopes: []string{"read"}})
	rpt := func(resource string) map[string]any {
		return map[string]any{"active": true, "client_id": clientID, "exp": time.Now().Add(time.Hour).Unix(), "permissions": []any{map[string]any{"resource_id": resource, "resource_scopes": []string{"read", "write"}, "exp": time.Now().Add(time.Hour).Unix()}}}
	}
	server.Issue("1234567890", rpt("all"))
	server.Issue("POSTS1234567890", rpt("posts"))
	server.Issue("GETPOSTS", rpt("get-posts"))
	const anonymous = `"anonymous": "a28a0f83-b619-4b58-94b3-e4ecaf8b6a2a"`
	// Gluu's own files have a consumer of this id twice, of which the last one counts.
	consumers := []string{`{"id": "a28a0f83-b619-4b58-94b3-e4ecaf8b6a2a", "custom_id": "nobody"}`, `{"id": "a28a0f83-b619-4b58-94b3-e4ecaf8b6a2a", "custom_id": "` + clientID + `"}`}
	identified := func(r response) string {
		if r.upstream == nil || r.upstream.Header.Get("X-Rpt-Expiration") == "" {
			return fmt.Sprintf("got %d %s", r.status, r.body)
		}
		return want(r, 200, "X-Consumer-Id", "a28a0f83-b619-4b58-94b3-e4ecaf8b6a2a", "X-Oauth-Client-Id", clientID, "X-Consumer-Custom-Id", clientID)
	}
	ticket := func(r response) string {
		if challenge := r.header.Get("WWW-Authenticate"); r.status != 401 || !strings.Contains(challenge, "UMA ") || !strings.Contains(challenge, `ticket="`) {
			return fmt.Sprintf("got %d %v %s", r.status, r.header, r.body)
		}
		return ""
	}
	auth := func(more string) string { return gluuPlugin("gluu-uma-auth", server.Issuer, "gateway-secret", more) }
	pep := func(rules, more string) string {
		return gluuPlugin("gluu-uma-pep", server.Issuer, "gateway-secret", `"uma_scope_expression": `+document(rules)+more)
	}
	const onePath = `[{"path": "/posts", "conditions": [{"httpMethods": ["GET"]}]}]`
	for _, test := range []struct {
		name, file string
		asks       []umaAsk
	}{
		{"authentication", gluuFile(auth(""), consumers[1]), []umaAsk{{"GET /", "", status(401)}, {"GET /", "1234567890", identified}, {"GET /", "1234567890", identified}, {"POST /posts", "POSTS_INVALID", status(401)}, {"POST /posts", "POSTS1234567890", identified}, {"GET /todos", "POSTS1234567890", identified}}},
		{"hidden credentials", gluuFile(auth(`"pass_credentials": "hide"`), consumers[1]), []umaAsk{{"GET /posts", "", status(401)}, {"GET /posts", "1234567890", func(r response) string { return identified(r) + want(r, 200, "Authorization", "") }}}},
		{"phantom token", gluuFile(auth(`"pass_credentials": "phantom_token"`), consumers[1]), []umaAsk{{"GET /", "", status(401)}, {"GET /", "1234567890", func(r response) string {
			if r.upstream != nil && strings.Contains(r.upstream.Header.Get("Authorization"), "1234567890") {
				return "the token is passed on"
			}
			return identified(r)
		}}}},
		{"an anonymous consumer", gluuFile(auth(anonymous), consumers[0]), []umaAsk{{"GET /todos", "", func(r response) string {
			return want(r, 200, "X-Consumer-Id", "a28a0f83-b619-4b58-94b3-e4ecaf8b6a2a", "X-Anonymous-Consumer", "true")
		}}}},
		{"resources", gluuFile(auth(anonymous)+", "+pep(gluuUMARules, ""), consumers...), []umaAsk{{"GET /", "", ticket}, {"GET /", "1234567890", identified}, {"GET /", "1234567890", identified}, {"POST /posts", "POSTS_INVALID", status(401)}, {"POST /posts", "POSTS1234567890", identified}, {"GET /todos", "1234567890", identified}, {"GET /todos", "POSTS1234567890", ticket}}},
		{"denied by default", gluuFile(auth(anonymous)+", "+pep(onePath, `, "deny_by_default": true`), consumers...), []umaAsk{{"GET /posts", "", ticket}, {"GET /todos", "1234567890", refused(403, "access_denied")}}},
		{"not denied by default", gluuFile(auth(anonymous+`, "pass_credentials": "hide"`)+", "+pep(onePath, `, "deny_by_default": false`), consumers...), []umaAsk{{"GET /posts", "", ticket}, {"GET /posts", "GETPOSTS", func(r response) string { return identified(r) + want(r, 200, "Authorization", "") }}, {"GET /todos", "1234567890", identified}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := run(t, test.file, nil)
			if strings.Contains(test.file, "gluu-uma-pep") {
				harness.Eventually(t, 20*time.Second, func() string { return ticketOrWhy(g) })
			}
			for _, ask := range test.asks {
				method, path, _ := strings.Cut(ask.request, " ")
				token := "X-No-Token: 1"
				if ask.token != "" {
					token = "Authorization: Bearer " + ask.token
				}
				if wrong := ask.check(g.ask(method+" backend.example.com "+path, token)); wrong != "" {
					t.Errorf("%s with %q: %s", ask.request, ask.token, wrong)
				}
			}
		})
	}
}

// ticketOrWhy says why there is no ticket yet: the gateway looks for resources in the
// background.
func ticketOrWhy(g *gateway) string {
	if r := g.ask("GET backend.example.com /posts"); r.status != 401 {
		return fmt.Sprintf("got %d %s", r.status, r.body)
	}
	return ""
}

// The numbers of the plugin gluu-metrics, under the names that
// docs/moving-from-gluu-gateway.md gives them: authentication counts for a good
// token alone, and a grant for what a rule grants.
func TestGluuMetrics(t *testing.T) {
	as := newAuthorizationServer(t)
	plugins := gluuPlugin("gluu-oauth-auth", as.URL, "secret", "") + ", " + gluuPlugin("gluu-oauth-pep", as.URL, "secret", `"deny_by_default": false, "oauth_scope_expression": `+document(gluuOneRule))
	upstream := httptest.NewServer(http.HandlerFunc(echo))
	defer upstream.Close()
	address, admin := caddytest.FreeAddress(t), caddytest.FreeAddress(t)
	config, _, err := adapt(t, strings.ReplaceAll(gluuFile(plugins, gluuConsumer), "UPSTREAM", upstream.Listener.Addr().String()), environment{"KONG_PROXY_LISTEN": address})
	if err != nil {
		t.Fatal(err)
	}
	loadWithAdmin(t, config, address, admin)
	g := &gateway{t: t, address: address}
	token := "Authorization: Bearer of-" + clientID + "-with-admin+employee"
	for _, ask := range []struct {
		path, token string
		want        int
	}{{"/posts", token, 200}, {"/posts", token, 200}, {"/comments", token, 403}, {"/other", token, 200}, {"/posts", "Authorization: Bearer bla-bla", 401}} {
		if got := g.ask("GET backend.example.com "+ask.path, ask.token); got.status != ask.want {
			t.Fatalf("%s: got %d %s, want %d", ask.path, got.status, got.body, ask.want)
		}
	}
	res, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(res.Body)
	for _, want := range []string{
		`gluu_oauth_client_authenticated{consumer="` + clientID + `",provider="127-0-0-1"} 4`,
		`gluu_oauth_client_granted{consumer="` + clientID + `"} 2`,
		`gluu_endpoint_method{endpoint="/posts",method="GET"}`,
		`gluu_total_client_authenticated 4`, `gluu_total_client_granted 2`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("want %s in\n%s", want, gluuLines(string(text)))
		}
	}
}

func gluuLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "gluu_") {
			b.WriteString(line)
		}
	}
	return b.String()
}
