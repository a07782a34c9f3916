// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() { caddy.RegisterModule(rateLimit{}) }

// rateLimit takes the place of github.com/mholt/caddy-ratelimit.
type rateLimit struct {
	Key string `json:"key,omitempty"`
	caddyhttp.MiddlewareHandler
}

func (rateLimit) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.rate_limit", New: func() caddy.Module { return new(rateLimit) }}
}

// What loads but can hardly be meant is warned about, and nothing else is.
func TestLoadWarnings(t *testing.T) {
	const (
		rule     = "a rule probably does not do what was meant"
		noAuth   = "this site has no authentication handler"
		unused   = "a consumer is not used"
		duration = "a duration is shorter than a millisecond"
	)
	pep := func(path string) string { return "gluu_oauth_pep {\npath " + path + " {\nGET scope read\n}\n}\n" }
	for _, test := range []struct {
		name, app, site string
		warning, says   string // "": none
	}{
		{"all is well", simpleApp, "gluu_oauth_auth {\nanonymous guest\n}\n" + pep("/todos/?"), "", ""},
		{"asterisk", "", "gluu_oauth_auth\n" + pep("/todos/*"), rule, "an asterisk is literal"},
		{"braces", "", "gluu_oauth_auth\n" + pep("/todos/{id}"), rule, "write ? for any element"},
		{"colon", "", "gluu_oauth_auth\n" + pep("/todos/:id"), rule, "a colon is literal"},
		{"query", "", "gluu_oauth_auth\n" + pep("/todos?all=true"), rule, "the query is not part of the path"},
		{"shadowed", "", "gluu_oauth_auth\ngluu_oauth_pep {\npath /a/??/b {\nGET scope x\n}\npath /a/?? {\nGET scope y\n}\npath /a/{.*} {\nGET scope z\n}\npath /a/{[a-z]+} {\nGET scope q\n}\n}\n", rule, "never matches"},
		{"no authentication", "", pep("/todos/?"), noAuth, ""},
		{"authentication in a subroute", "", "route {\nroute {\ngluu_oauth_auth\n}\n" + pep("/todos/?") + "}\n", "", ""},
		{"an unused consumer", "consumer ann {\ncustom_id client-a\n}\nconsumer idle\n", "gluu_oauth_auth\n", unused, "idle"},
		{"a short duration", "cache {\nmax_age 5ns\n}\n", "gluu_oauth_auth\n", duration, "max_age"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := start(t, test.app, test.site)
			var found []string
			for _, message := range []string{rule, noAuth, unused, duration} {
				for _, record := range recordsWith(t, g.dir+"/log.json", message) {
					if record["level"] != "warn" {
						t.Errorf("got the level %v, want warn", record["level"])
					}
					text, _ := json.Marshal(record)
					found = append(found, string(text))
				}
			}
			if test.warning == "" && len(found) != 0 {
				t.Errorf("got %s, want no warning", found)
			}
			if all := strings.Join(found, "\n"); !strings.Contains(all, test.warning) || !strings.Contains(all, test.says) {
				t.Errorf("got %s, want a warning %q that says %q", all, test.warning, test.says)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A limit by caller is of no use before the caller is known.
func TestEarlyRateLimitIsWarnedAbout(t *testing.T) {
	const message = "rate_limit runs before authentication"
	limit := func(key string) string { return `{"handler": "rate_limit", "key": "` + key + `"}` }
	const auth = `{"handler": "gluu_oauth_auth"}`
	for _, test := range []struct {
		name    string
		handle  string
		warning bool
	}{
		{"before", limit("{gluu.consumer.id}") + "," + auth, true},
		{"before, in a subroute", `{"handler": "subroute", "routes": [{"handle": [` + limit("{gluu.rate_key}") + "]}]}," + auth, true},
		{"after", auth + "," + limit("{gluu.consumer.id}"), false},
		{"before, by address", limit("{http.request.remote.host}") + "," + auth, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := start(t, "", "gluu_oauth_auth\n")
			config := fmt.Sprintf(`{"admin": {"disabled": true}, "storage": {"module": "file_system", "root": %q},
				"logging": {"logs": {"default": {"writer": {"output": "file", "filename": %q}}}},
				"apps": {"gluu": {"providers": {"default": {"issuer": %q, "client_id": "g", "client_secret": "s"}}},
				"http": {"servers": {"s": {"listen": [%q], "routes": [{"handle": [%s]}]}}}}}`, g.dir, g.dir+"/warnings.log", g.auth.URL, g.address, test.handle)
			if err := caddy.Load([]byte(config), true); err != nil {
				t.Fatal(err)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if got := len(recordsWith(t, g.dir+"/warnings.log", message)) == 1; got != test.warning {
				t.Errorf("warned %t, want %t", got, test.warning)
			}
		})
	}
}

// recordsWith returns the log lines whose message begins with a text.
func recordsWith(t *testing.T, file, message string) (records []map[string]any) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) != nil {
			continue
		}
		if text, _ := record["msg"].(string); strings.HasPrefix(text, message) {
			records = append(records, record)
		}
	}
	return records
}

// What one block of the global option names and no provider defines is refused by
// `caddy adapt`, and so are placeholders that can never be known.
func TestOptionsAreCheckedWhenAdapting(t *testing.T) {
	const staff = "{\n\tgluu {\n\t\tprovider staff {\n\t\t\tissuer https://as.example\n\t\t\tverify jwt\n"
	for _, test := range []struct{ name, caddyfile, says string }{
		{"a client of an unknown provider", staff + "\t\t}\n\t\tconsumer ann {\n\t\t\tcustom_id app stuff\n\t\t}\n\t}\n}\n", `Caddyfile:8|consumer "ann": custom_id "app": unknown provider "stuff": name one of staff`},
		{"a client of a provider below it", "{\n\tgluu {\n\t\tconsumer ann {\n\t\t\tcustom_id app staff\n\t\t}\n\t\tprovider staff {\n\t\t\tissuer https://as.example\n\t\t\tverify jwt\n\t\t}\n\t}\n}\n", ""},
		{"a secret of the request", staff + "\t\t\tclient_secret {http.request.header.X}\n\t\t}\n\t}\n}\n", "Caddyfile:6|client_secret: {http.request.header.X} is not known when the configuration loads"},
		{"an issuer of the request", "{\n\tgluu {\n\t\tprovider {\n\t\t\tissuer https://{http.request.host}\n\t\t\tverify jwt\n\t\t}\n\t}\n}\n", "Caddyfile:4|issuer: {"},
		{"a secret of the environment", staff + "\t\t\tclient_id gw\n\t\t\tclient_secret {env.NOT_THERE}\n\t\t}\n\t}\n}\n", ""},
		{"a tenant", "{\n\tgluu {\n\t\tprovider {\n\t\t\tissuer https://as.example/{tid}/v2.0\n\t\t\ttenants a\n\t\t\tjwks_uri https://as.example/keys\n\t\t\tverify jwt\n\t\t}\n\t}\n}\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(test.caddyfile), map[string]any{"filename": "Caddyfile"})
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			for part := range strings.SplitSeq(test.says, "|") {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, want %q", err, part)
				}
			}
		})
	}
}

// A name that the global option does not define is refused by `caddy adapt`, with
// the line of the directive.
func TestReferencesAreCheckedWhenAdapting(t *testing.T) {
	const app = "{\n\tgluu {\n\t\tprovider staff {\n\t\t\tissuer https://as.example\n\t\t\tverify jwt\n\t\t}\n\t\tconsumer ann\n\t}\n}\n:80 {\n"
	for _, test := range []struct {
		name, site, says string
		line             int
	}{
		{"a provider", "\tgluu_oauth_auth staff\n", "", 0},
		{"an unknown provider", "\n\tgluu_oauth_auth stuff\n", `unknown provider "stuff": name one of staff`, 12},
		{"the default provider, which is not there", "\tgluu_oauth_auth\n", `unknown provider "default": name one of staff`, 11},
		{"an unknown provider of metadata", "\tgluu_resource_metadata {\n\t\tresource https://a.example\n\t\tprovider stuff\n\t}\n", `"stuff"`, 11},
		{"a consumer", "\tgluu_oauth_auth staff {\n\t\tanonymous ann\n\t}\n", "", 0},
		{"an unknown consumer", "\tgluu_oauth_auth staff {\n\t\tanonymous anne\n\t}\n", `unknown consumer "anne": write 'consumer anne'`, 11},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(app+test.site+"}\n"), map[string]any{"filename": "Caddyfile"})
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), fmt.Sprintf("Caddyfile:%d", test.line)) {
				t.Errorf("got %v, want an error on line %d that says %s", err, test.line, test.says)
			}
		})
	}
}
