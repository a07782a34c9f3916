// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// shopFile is a file of Kong as people write it. UPSTREAM is an address.
const shopFile = `_format_version: "3.0"
services:
- name: orders
  url: http://UPSTREAM/api
  routes:
  - name: orders
    hosts: [shop.example]
    paths: [/orders]
    plugins:
    - name: oauth2
      config: {scopes: [read], enable_client_credentials: true, provision_key: an-invented-provision-key, token_expiration: 7200}
- name: status
  url: http://UPSTREAM
  connect_timeout: 1500
  routes:
  - name: status
    paths: ["~/status/(?<id>\\d+)$"]
    strip_path: false
  plugins:
  - name: rate-limiting
    config: {minute: 30}
consumers:
- username: shop
  oauth2_credentials:
  - {name: Shop, client_id: shop-app, client_secret: an-invented-secret-of-the-shop, redirect_uris: [https://shop.example/cb]}
`

// adaptedKong runs `caddy adapt` on a file of Kong; log lines go to warnings.
func adaptedKong(t *testing.T, file string, args ...string) (output string, warnings []string) {
	t.Helper()
	all, ok := harness.RunCaddy(t, harness.GatewayConfig{Kong: file}, append([]string{"adapt", "--config", "kong.yml", "--adapter", "kong"}, args...)...)
	if !ok {
		t.Fatal(all)
	}
	var kept strings.Builder
	for line := range strings.Lines(all) {
		if strings.HasPrefix(line, `{"level":`) {
			warnings = append(warnings, line)
			continue
		}
		kept.WriteString(line)
	}
	return kept.String(), warnings
}

// `caddy adapt --pretty` reads well: a member a line, entities by the names that the
// file gives them, times as people write them, each warning with its line, no secret.
// Another process gives the same bytes.
func TestAdaptedKongFileReadsWell(t *testing.T) {
	t.Parallel()
	pretty, warnings := adaptedKong(t, shopFile, "--pretty")
	for _, want := range []string{
		`"name": "orders"`, `"name": "status"`, `"provider": "oauth2-orders"`, `"username": "shop"`, `"name": "Shop"`,
		`"dial_timeout": "1.5s"`, `"read_timeout": "1m"`, `"token_expiration": "7200s"`, `"minute": 30`, `"base": "/api"`, `"~/status/(?\u003cid\u003e\\d+)$"`,
	} {
		if !regexp.MustCompile(`(?m)^\t+` + regexp.QuoteMeta(want) + `,?$`).MatchString(pretty) {
			t.Errorf("no line %s in\n%s", want, pretty)
		}
	}
	if regexp.MustCompile(`an-invented`).MatchString(pretty + strings.Join(warnings, "")) {
		t.Error("a secret of the file is in the output")
	}
	plugin := lineOf(t, shopFile, "config: {scopes")
	if len(warnings) == 0 || !slices.ContainsFunc(warnings, func(line string) bool {
		return strings.Contains(line, `"file":"kong.yml"`) && strings.Contains(line, fmt.Sprintf(`"line":%d`, plugin)) && strings.Contains(line, "read from the query")
	}) {
		t.Errorf("no warning about line %d in %s", plugin, warnings)
	}
	if again, _ := adaptedKong(t, shopFile, "--pretty"); again != pretty {
		t.Error("the same file gives two configurations")
	}
	if plain, _ := adaptedKong(t, shopFile); !sameJSON(plain, pretty) {
		t.Error("--pretty changes the configuration")
	}
}

func sameJSON(a, b string) bool {
	var x, y any
	errA, errB := json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)
	return errA == nil && errB == nil && fmt.Sprint(x) == fmt.Sprint(y)
}

// wrongFile has a mistake in each line that says so, of every kind that there is:
// spelling, types, references, values that only the gateway's handlers know.
const wrongFile = `# A comment, so that lines are those of the file.
_format_version: "3.0"
services:
- name: s
  url: http://u:p@127.0.0.1:9      # wrong: service "s": url
  retires: 3                       # wrong: service "s": retires
  retries: many                    # wrong: service "s": retries
  routes:
  - name: r
    paths:
    - /a//b                        # wrong: route "r": paths
    - "~/("                        # wrong: route "r": paths
    methods: [get]                 # wrong: route "r": methods
    hosts: ["h:99999"]             # wrong: route "r": hosts
    plugins:
    - name: key-auth               # wrong: plugin "key-auth": the plugin
    - name: cors
      config: {origins: [a.com]}   # wrong: plugin "cors": config.origins
    - name: gluu-oauth-auth
      config:
        op_url: https://as/?a      # wrong: plugin "gluu-oauth-auth": config.op_url
        client_id: a
        client_secret: "{vault://hcv/x}" # wrong: plugin "gluu-oauth-auth": config.client_secret
        custom_headers:
        - {header_name: Host, value_lua_exp: "'a'"} # wrong: plugin "gluu-oauth-auth": config.custom_headers.header_name
- {name: t, host: h, port: 0}      # wrong: service "t": port
routes:
- {name: x, service: nowhere, paths: [/x]} # wrong: route "x": service
consumers:
- username: c
  custom_id: " c"                  # wrong: consumer "c": custom_id
  oauth2_credentials:
  - name: app
    client_id: app
    client_secret: $2a$10$short    # wrong: oauth2_credential "app": client_secret
    redirect_uris:
    - https://app.example/#a       # wrong: oauth2_credential "app": redirect_uris
plugins:
- name: oauth2                     # wrong: plugin "oauth2": gluu-oauth-auth authenticates on route "r" too
  config:
    enable_client_credentials: yes
    scopes: [a b]                  # wrong: plugin "oauth2": config.scopes
    token_expiration: -1           # wrong: plugin "oauth2": config.token_expiration
- {name: rate-limiting, config: {minute: 0}} # wrong: plugin "rate-limiting": config.minute
upstreams:
- name: u
  algorithm: latency               # wrong: upstream "u": algorithm
`

var mistake = regexp.MustCompile(`# wrong: (.*)$`)

// `caddy validate` names every mistake with its line, entity and field, all at once.
func TestWrongKongFileIsRefusedByLine(t *testing.T) {
	t.Parallel()
	output, ok := harness.RunCaddy(t, harness.GatewayConfig{Kong: wrongFile}, "validate", "--config", "kong.yml", "--adapter", "kong")
	if ok {
		t.Fatal("the file is accepted")
	}
	var message string
	for line := range strings.Lines(output) {
		var entry struct{ Level, Msg string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Level == "error" {
			message = strings.TrimPrefix(entry.Msg, "adapting config using kong: ")
		}
	}
	said := strings.Split(message, "\n")
	number := 0
	for line := range strings.Lines(wrongFile) {
		number++
		wrong := mistake.FindStringSubmatch(strings.TrimSpace(line))
		if wrong == nil {
			continue
		}
		start := fmt.Sprintf("kong.yml:%d: %s", number, wrong[1])
		found := slices.IndexFunc(said, func(text string) bool { return strings.HasPrefix(text, start) })
		if found < 0 {
			t.Errorf("nothing begins with %q in\n%s", start, message)
			continue
		}
		said = slices.Delete(said, found, found+1)
	}
	if len(said) > 0 {
		t.Errorf("more than is wrong:\n%s", strings.Join(said, "\n"))
	}
}

// A file of Kong serves through the binary: the route and its upstream path, a
// refusal with the entity's plugin, a token by client credentials, the last 404.
func TestKongFileRuns(t *testing.T) {
	t.Parallel()
	upstream := harness.StartUpstream(t)
	g := harness.StartGateway(t, harness.GatewayConfig{
		Kong: strings.ReplaceAll(shopFile, "UPSTREAM", upstream.Addr), Env: map[string]string{"KONG_TRUSTED_IPS": "127.0.0.0/8"},
	})
	for _, test := range []struct {
		target, host string
		status       int
		upstream     string
	}{
		{"/orders/1", "shop.example", 401, ""},
		{"/orders/1", "other.example", 404, ""},
		{"/status/7", "any.example", 200, "/status/7"},
		{"/status/x", "any.example", 404, ""},
	} {
		response := g.Send(harness.Request{Target: test.target, Fields: []harness.Field{{Name: "Host", Value: test.host}}})
		if response.Status != test.status || test.upstream != "" && response.Echo().Target != test.upstream {
			t.Errorf("%s at %s: got %s, want %d", test.target, test.host, response, test.status)
		}
	}
}

// manyFile has as many routes, consumers and clients as a large installation.
func manyFile(routes, consumers, clients int) string {
	var b strings.Builder
	b.WriteString("_format_version: \"3.0\"\nservices:\n")
	for i := range routes {
		if i%100 == 0 {
			fmt.Fprintf(&b, "- name: service-%d\n  url: http://127.0.0.1:9/base-%[1]d\n  routes:\n", i/100)
		}
		path := fmt.Sprintf("/api/v1/service-%d/items", i)
		if i%5 == 2 {
			path = fmt.Sprintf(`~/api/v1/service-%d/(?<id>\d+)$`, i)
		}
		fmt.Fprintf(&b, "  - name: route-%d\n    paths: [%q]\n", i, path)
	}
	b.WriteString("plugins:\n- name: oauth2\n  config: {scopes: [read, write], enable_client_credentials: true, global_credentials: true, provision_key: an-invented-provision-key}\n- name: rate-limiting\n  config: {minute: 1000}\nconsumers:\n")
	for i := range consumers {
		fmt.Fprintf(&b, "- username: consumer-%d\n  custom_id: customer-%[1]d\n", i)
		if i < clients {
			fmt.Fprintf(&b, "  oauth2_credentials:\n  - {name: app %d, client_id: app-%[1]d, client_secret: secret-%[1]d-of-an-invented-app, redirect_uris: [\"https://app-%[1]d.example.com/cb\"]}\n", i)
		}
	}
	return b.String()
}

// How long a large file takes, through the binary that people run. It prints the
// figures; bench/results has those of a quiet machine. What it fails for is a
// configuration that is not whole.
func TestLargeKongFile(t *testing.T) {
	file := manyFile(10_000, 10_000, 5_000)
	binary := harness.StandardBinary(t)
	started := time.Now()
	adapted, _ := harness.RunCaddy(t, harness.GatewayConfig{Binary: binary, Kong: file}, "adapt", "--config", "kong.yml", "--adapter", "kong")
	inAll := time.Since(started)
	if n := strings.Count(adapted, `{"gluu_route":`); n != 10_000 {
		t.Errorf("got %d routes, want 10,000", n)
	}
	t.Logf("caddy adapt of %d routes, %d consumers and %d clients, %.1f MB of YAML to %.1f MB of JSON: %s", 10_000, 10_000, 5_000, float64(len(file))/1e6, float64(len(adapted))/1e6, inAll.Round(10*time.Millisecond))

	started = time.Now()
	g := harness.StartGateway(t, harness.GatewayConfig{Binary: binary, Kong: file})
	toServing := time.Since(started)
	first := g.Get("/api/v1/service-9999/items")
	if first.Status != http.StatusUnauthorized {
		t.Errorf("got %s, want 401", first)
	}
	t.Logf("caddy run of the same file: %s until the last route answers, of which %s to load what is adapted", toServing.Round(10*time.Millisecond), (toServing - inAll).Round(10*time.Millisecond))
}
