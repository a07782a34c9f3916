// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	invented = "an-invented-secret-of-a-client-0123456789"
	stepOn   = `{_format_version: "3.0",
 services: [{name: steps, url: "http://UPSTREAM", routes: [{name: steps, paths: [/steps], strip_path: false}]}, {name: other, url: "http://UPSTREAM", routes: [{name: other, paths: [/other], strip_path: false}]}],
 consumers: [{username: tracker, oauth2_credentials: [{name: Tracker, client_id: tracker-app, client_secret: ` + invented + `, redirect_uris: ["https://tracker.example.com/cb"]}]}],
 plugins: [{name: oauth2, config: {scopes: [step_counts, profile], mandatory_scope: true, provision_key: an-invented-provision-key-0123, enable_authorization_code: true, enable_client_credentials: true, accept_http_if_already_terminated: true MORE}}]}`
)

// post sends a form as if a trusted proxy had terminated TLS.
func (g *gateway) post(path string, form url.Values) (status int, answer map[string]any) {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	body := form.Encode()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Forwarded-Proto: https\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	_ = json.NewDecoder(res.Body).Decode(&answer)
	return res.StatusCode, answer
}

// runOAuth2 runs a file behind a trusted proxy, and waits for its server.
func runOAuth2(t *testing.T, more string, env environment) *gateway {
	t.Helper()
	with := environment{"KONG_TRUSTED_IPS": "127.0.0.0/8"}
	maps.Copy(with, env)
	g := run(t, strings.ReplaceAll(stepOn, "MORE", more), with)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if status, _ := g.post("/steps/oauth2/token", nil); status != 503 {
			return g
		}
		if time.Now().After(deadline) {
			t.Fatal("the server does not start")
		}
	}
}

// The plugin as Kong's users know it: tokens by client credentials and by a code
// that the login application asks for, good for one service.
func TestOAuth2(t *testing.T) {
	g := runOAuth2(t, "", nil)
	credentials := url.Values{"client_id": {"tracker-app"}, "client_secret": {invented}, "grant_type": {"client_credentials"}, "scope": {"step_counts"}}
	status, answer := g.post("/steps/oauth2/token", credentials)
	token, _ := answer["access_token"].(string)
	if status != 200 || len(token) != 32 {
		t.Fatalf("got %d %v", status, answer)
	}
	got := g.ask("GET h /steps/today", "Authorization: Bearer "+token)
	if got.upstream == nil || got.upstream.Header.Get("X-Consumer-Username") != "tracker" {
		t.Errorf("got %+v", got)
	}
	for request, want := range map[string]int{"GET h /steps/today": 401, "GET h /other/x": 401} {
		headers := []string{"X-A: b"}
		if strings.Contains(request, "other") {
			headers = append(headers, "Authorization: Bearer "+token)
		}
		if got := g.ask(request, headers...); got.status != want || got.upstream != nil {
			t.Errorf("%s: got %+v, want %d", request, got, want)
		}
	}
	if status, answer := g.post("/steps/oauth2/token", url.Values{"client_id": {"tracker-app"}, "client_secret": {"wrong"}, "grant_type": {"client_credentials"}, "scope": {"step_counts"}}); status == 200 {
		t.Errorf("a wrong secret: got %v", answer)
	}
	status, answer = g.post("/steps/oauth2/authorize", url.Values{"client_id": {"tracker-app"}, "response_type": {"code"}, "scope": {"step_counts"}, "provision_key": {"an-invented-provision-key-0123"}, "authenticated_userid": {"ann"}})
	back, _ := answer["redirect_uri"].(string)
	u, err := url.Parse(back)
	if status != 200 || err != nil || u.Query().Get("code") == "" || !strings.HasPrefix(back, "https://tracker.example.com/cb?") {
		t.Fatalf("got %d %v", status, answer)
	}
	status, answer = g.post("/steps/oauth2/token", url.Values{"client_id": {"tracker-app"}, "client_secret": {invented}, "grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}})
	if status != 200 || answer["refresh_token"] == nil {
		t.Fatalf("got %d %v", status, answer)
	}
	got = g.ask("GET h /steps/today", fmt.Sprintf("Authorization: Bearer %s", answer["access_token"]))
	if got.upstream == nil {
		t.Errorf("got %+v", got)
	}
}

// Tokens are where Kong's clients put them: in the header first, then in the body,
// then in the query.
func TestOAuth2TokensElsewhere(t *testing.T) {
	const other = "another-invented-token"
	for _, test := range []struct {
		name, more, header, form, query string
		env                             environment
		status                          int
	}{
		{name: "query", query: "good"},
		{name: "form", form: "good"},
		{name: "header before query", header: "good", query: other},
		{name: "form before query", form: "good", query: other},
		{name: "an invalid form before query", form: other, query: "good", status: 401},
		{name: "another header", more: ", auth_header_name: X-Token", header: "good"},
		{name: "not in the query by RFC 6750", env: environment{"GLUU_KONG_PROFILE": "rfc"}, query: "good", status: 401},
		{name: "form by RFC 6750", env: environment{"GLUU_KONG_PROFILE": "rfc"}, form: "good"},
		{name: "two places by RFC 6750", env: environment{"GLUU_KONG_PROFILE": "rfc"}, header: "good", form: other, status: 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := runOAuth2(t, test.more, test.env)
			_, answer := g.post("/steps/oauth2/token", url.Values{"client_id": {"tracker-app"}, "client_secret": {invented}, "grant_type": {"client_credentials"}, "scope": {"step_counts"}})
			token, _ := answer["access_token"].(string)
			value := func(which string) string { return strings.Replace(which, "good", token, 1) }
			request, headers := "GET h /steps/today", []string{}
			if test.query != "" {
				request += "?x=1&access_token=" + value(test.query)
			}
			if test.header != "" && test.more != "" {
				headers = append(headers, "X-Token: Bearer "+value(test.header))
			} else if test.header != "" {
				headers = append(headers, "Authorization: Bearer "+value(test.header))
			}
			if test.form != "" {
				request = strings.Replace(request, "GET", "POST", 1)
				form := "y=2&access_token=" + value(test.form)
				headers = append(headers, "Content-Type: application/x-www-form-urlencoded", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(form), form))
			}
			got := g.ask(request, headers...)
			if want := max(test.status, 200); got.status != want || (got.upstream != nil) != (want == 200) {
				t.Fatalf("got %+v, want %d", got, want)
			}
			if got.upstream != nil && strings.Contains(got.upstream.URI+got.upstream.Body, "access_token") {
				t.Errorf("the upstream received %s %q", got.upstream.URI, got.upstream.Body)
			}
		})
	}
}

// With global_credentials a token is good for all services.
func TestOAuth2GlobalCredentials(t *testing.T) {
	g := runOAuth2(t, ", global_credentials: true, hide_credentials: true", nil)
	_, answer := g.post("/other/oauth2/token", url.Values{"client_id": {"tracker-app"}, "client_secret": {invented}, "grant_type": {"client_credentials"}, "scope": {"step_counts"}})
	for _, path := range []string{"/steps/x", "/other/x"} {
		got := g.ask("GET h "+path, fmt.Sprintf("Authorization: Bearer %s", answer["access_token"]))
		if got.upstream == nil || got.upstream.Header.Get("Authorization") != "" {
			t.Errorf("%s: got %+v", path, got)
		}
	}
}

// Case 10: an instance on the route that is disabled does not open it.
func TestADisabledOAuth2DoesNotOpenARoute(t *testing.T) {
	g := run(t, `{_format_version: "3.0", plugins: [{name: oauth2, config: {enable_client_credentials: true}}],
 services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: [/], plugins: [{name: oauth2, enabled: false}]}]}]}`, nil)
	if got := g.ask("GET h /"); got.upstream != nil || got.status != 401 && got.status != 503 {
		t.Errorf("got %+v, want 401", got)
	}
}

// A shared store that is unavailable is a 503, and no start that fails.
func TestOAuth2OnASharedStore(t *testing.T) {
	for _, store := range []string{"redis redis://127.0.0.1:1/0", "postgres postgres://u:p@127.0.0.1:1/gluu"} {
		g := run(t, strings.ReplaceAll(stepOn, "MORE", ""), environment{"KONG_TRUSTED_IPS": "127.0.0.0/8", "GLUU_KONG_STORE": store, "GLUU_KONG_STORE_KEY": "an-invented-key-of-thirty-two-bytes!"})
		if status, answer := g.post("/steps/oauth2/token", url.Values{"client_id": {"tracker-app"}, "client_secret": {invented}, "grant_type": {"client_credentials"}, "scope": {"step_counts"}}); status != 503 {
			t.Errorf("%s: got %d %v", store, status, answer)
		}
	}
	_, _, err := adapt(t, strings.ReplaceAll(stepOn, "MORE", ""), environment{"GLUU_KONG_STORE": "redis redis://127.0.0.1:1/0"})
	if err == nil || !strings.Contains(err.Error(), "set GLUU_KONG_STORE_KEY") {
		t.Errorf("got %v", err)
	}
}

// Secrets are hashed, in the same way each time, and are nowhere else.
func TestSecretsAreHashed(t *testing.T) {
	file := strings.ReplaceAll(stepOn, "MORE", "")
	first, warnings, err := adapt(t, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, _, _ := adapt(t, file, nil)
	if !bytes.Equal(first, second) {
		t.Error("the same file gives two configurations")
	}
	for _, secret := range []string{invented, "an-invented-provision-key-0123"} {
		if strings.Contains(string(first), secret) || strings.Contains(fmt.Sprint(warnings), secret) {
			t.Errorf("the output has %q", secret)
		}
	}
	if !strings.Contains(string(first), `"secret":"$argon2id$v=19$m=128,t=1,p=1$`) {
		t.Errorf("got %s", first)
	}
	hashed := strings.Replace(file, `_format_version`, `_transform: false, _format_version`, 1)
	hashed = strings.Replace(hashed, invented, "'$pbkdf2-sha512$i=10000,l=32$c2FsdHNhbHRzYWx0$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE', hash_secret: true", 1)
	if got, _, err := adapt(t, hashed, nil); err != nil || !strings.Contains(string(got), "i=10000,l=32$c2FsdHNhbHRzYWx0$") {
		t.Errorf("got %s, %v", got, err)
	}
}

// Salts are in the output: one that depended on the secret would let a guess be tried without
// the slow hash.
func TestSaltsDoNotDependOnSecrets(t *testing.T) {
	salts := func(secret, key string) string {
		file := strings.NewReplacer("MORE", "", invented, secret, "an-invented-provision-key-0123", key).Replace(stepOn)
		config, _, err := adapt(t, file, nil)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`t=1,p=1\$([^"$]+)\$`).FindAllStringSubmatch(string(config), -1)
		var salts []string
		for _, one := range found {
			salts = append(salts, one[1])
		}
		slices.Sort(salts)
		if salts = slices.Compact(salts); len(salts) != 2 {
			t.Fatalf("got the salts %q, want one of the client and one of the provision key", salts)
		}
		return strings.Join(salts, " ")
	}
	if one, other := salts("a-secret", "a-provision-key-0123456789"), salts("another-secret", "another-provision-key-0123"); one != other {
		t.Errorf("got %s and %s", one, other)
	}
}

// A provider of the plugin oauth2 does not take the place of another that has its name: the
// routes of one would take the tokens of the other.
func TestSec_ProvidersOfOneName(t *testing.T) {
	const gluu = `{name: gluu-oauth-auth, config: {op_url: "https://%s", client_id: a, client_secret: b}}`
	const oauth2 = `{name: oauth2, config: {enable_client_credentials: true%s}}`
	for host, more := range map[string]string{"oauth2.shop": "", "oauth2": ", global_credentials: true"} {
		file := fmt.Sprintf(`{_format_version: "3.0", services: [{name: shop, url: "http://h", routes: [{name: a, paths: [/a], plugins: [`+oauth2+`]}]},
 {name: other, url: "http://h", routes: [{name: b, paths: [/b], plugins: [`+gluu+`]}]}]}`, more, host)
		config, _, err := adapt(t, file, nil)
		if err != nil {
			t.Fatal(err)
		}
		var parsed struct {
			Apps struct {
				Gluu struct {
					Providers map[string]struct {
						Issuer   string
						Embedded bool
					}
				}
			}
		}
		if err := json.Unmarshal(config, &parsed); err != nil {
			t.Fatal(err)
		}
		used := regexp.MustCompile(`"handler":"gluu_oauth_auth","(?:pass_credentials":"[a-z_]+",")?provider":"([^"]+)"`).FindAllStringSubmatch(string(config), -1)
		var embedded, issuers []string
		for _, one := range used {
			p := parsed.Apps.Gluu.Providers[one[1]]
			if issuers = append(issuers, p.Issuer); p.Embedded {
				embedded = append(embedded, one[1])
			}
		}
		if len(used) != 2 || len(embedded) != 1 || !slices.Contains(issuers, "https://"+host) {
			t.Errorf("%s: the routes have the issuers %q of %v", host, issuers, parsed.Apps.Gluu.Providers)
		}
	}
}

func TestRefusedOAuth2(t *testing.T) {
	const file = `{_format_version: "3.0", services: [{name: s, url: "http://h", routes: [{name: r, paths: [/]}]}], consumers: [{username: c, oauth2_credentials: [%s]}], plugins: [{name: oauth2, config: {%s}}]}`
	for _, test := range []struct{ credentials, config, want string }{
		{"{name: a, client_id: a}", "enable_client_credentials: true", "is required for a confidential client"},
		{"{name: a, client_secret: b}", "enable_client_credentials: true", "client_id: is required"},
		{"{name: a, client_id: a, client_secret: b}, {name: b, client_id: a, client_secret: c}", "enable_client_credentials: true", "is that of another credential too"},
		{"", "scopes: [a]", "no grant is enabled"},
		{"", "enable_client_credentials: true, auth_header_name: 'X Token'", `auth_header_name: "X Token" is not the name of a header`},
		{"", "enable_client_credentials: true, anonymous: x", `there is no consumer "x"`},
		{"{name: a, client_id: a, client_secret: '{vault://env/x}'}", "enable_client_credentials: true", "expects the hash of a secret"},
	} {
		t.Run(test.want, func(t *testing.T) {
			_, _, err := adapt(t, fmt.Sprintf(file, test.credentials, test.config), nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// The clients of a file are there once, however many services it has: each service
// has a server of its own, and a hundred of them with 200 clients each would be
// 20,000. A client gets a token at each of them, for that service alone.
func TestClientsOfManyServices(t *testing.T) {
	const services = 100
	var file strings.Builder
	file.WriteString("_format_version: \"3.0\"\nplugins:\n- {name: oauth2, config: {enable_client_credentials: true, accept_http_if_already_terminated: true}}\nservices:\n")
	for i := range services {
		fmt.Fprintf(&file, "- {name: s%d, url: \"http://UPSTREAM\", routes: [{name: a%[1]d, paths: [/s%[1]d/]}, {name: b%[1]d, paths: [/t%[1]d/]}]}\n", i)
	}
	file.WriteString("consumers:\n")
	for i := range 200 {
		fmt.Fprintf(&file, "- {username: c%d, oauth2_credentials: [{name: a, client_id: app-%[1]d, client_secret: %q}]}\n", i, invented)
	}
	config, _, err := adapt(t, file.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(config), `"app-7":`); n != 1 {
		t.Errorf("a client is there %d times", n)
	}
	g := run(t, file.String(), environment{"KONG_TRUSTED_IPS": "127.0.0.0/8"})
	for _, service := range []int{0, 57} {
		status, answer := g.post(fmt.Sprintf("/s%d/oauth2/token", service), url.Values{"client_id": {"app-7"}, "client_secret": {invented}, "grant_type": {"client_credentials"}})
		if status != 200 {
			t.Fatalf("service %d: got %d %v", service, status, answer)
		}
		bearer := fmt.Sprintf("Authorization: Bearer %s", answer["access_token"])
		for path, want := range map[string]int{fmt.Sprintf("/s%d/", service): 200, fmt.Sprintf("/t%d/", service): 200, "/s9/": 401} {
			if got := g.ask("GET h "+path, bearer); got.status != want {
				t.Errorf("service %d, %s: got %d, want %d", service, path, got.status, want)
			}
		}
	}
	if status, answer := g.post("/s57/oauth2/token", url.Values{"client_id": {"app-7"}, "client_secret": {"wrong"}, "grant_type": {"client_credentials"}}); status != 400 && status != 401 {
		t.Errorf("a wrong secret: got %d %v", status, answer)
	}
}
