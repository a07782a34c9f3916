// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

func parse(block string) (*PEP, error) {
	p := new(PEP)
	return p, p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(block))
}

func TestTheHandlersOptions(t *testing.T) {
	p, err := parse(`gluu_opa_pep {
	opa_url http://opa:8181/v1/data/httpapi/authz
	insecure_hosts opa
	token {env.OPA_TOKEN}
	input kong
	headers x-a X-B
	body json 1MiB
	body_overflow omit
	context tenant acme
	context agent {http.request.header.User-Agent}
	set_headers X-Role X-Tenant
	redirect_origins https://login.example.com
	timeout 100ms
	cache 10s 500
	decision_log refusals 0.5
	id opa
	deny_by_default false
	ambiguous_paths allow
	encoded_slashes keep
	override_headers pass
	dry_run
	log_grants
}`)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		URL: "http://opa:8181/v1/data/httpapi/authz", InsecureHosts: []string{"opa"}, Token: "{env.OPA_TOKEN}", Input: "kong",
		Headers: []string{"x-a", "X-B"}, Body: "json", BodyLimit: 1 << 20, BodyOverflow: "omit",
		Context:    map[string]string{"tenant": "acme", "agent": "{http.request.header.User-Agent}"},
		SetHeaders: []string{"X-Role", "X-Tenant"}, RedirectOrigins: []string{"https://login.example.com"},
		Timeout: caddy.Duration(100 * time.Millisecond), Cache: caddy.Duration(10 * time.Second), CacheSize: 500, DecisionLog: "refusals", DecisionLogShare: 0.5,
	}
	if !reflect.DeepEqual(p.Config, want) {
		t.Errorf("got %+v\nwant %+v", p.Config, want)
	}
	if g := p.Gate.Config; g.ID != "opa" || !p.Open() || g.AmbiguousPaths != "allow" || g.EncodedSlashes != "keep" || g.OverrideHeaders != "pass" || !g.DryRun || !g.LogGrants {
		t.Errorf("got %+v", g)
	}
	encoded, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	again := new(PEP)
	if err := json.Unmarshal(encoded, again); err != nil || !reflect.DeepEqual(again.Config, want) || again.Gate.Config.ID != "opa" {
		t.Errorf("as JSON it is %s", encoded)
	}
	if p, err = parse("gluu_opa_pep main {\n decision a/b\n forward_request_body true\n}"); err != nil || p.Engine != "main" || p.Decision != "a/b" || p.Body != "json" {
		t.Errorf("got %+v, %v", p.Config, err)
	}
}

// Each wrong option is refused with its line and what to write instead.
func TestTheHandlerRefuses(t *testing.T) {
	for block, want := range map[string]string{
		"url http://opa:8181/x":                            "insecure_hosts opa",
		"url opa:8181":                                     "write 'https://...'",
		"url https://a.example/#x":                         "fragment",
		"url https://a:b@a.example/":                       "user name or password",
		"authzen ftp://a":                                  "not protected",
		"url https://a.example\nauthzen https://b.example": "exclude each other",
		"url https://a.example\ndecision a/b":              "a part of the server's address",
		"url https://a.example\nopa_url https://b.example": "set twice",
		"decision data/a":                                  "without data",
		"decision /a":                                      "write it with slashes",
		"decision \"\"":                                    "empty",
		"token x":                                          "are for a server",
		"insecure_hosts a":                                 "are for a server",
		"authzen https://a.example\ninput kong":            "has no effect",
		"client_cert a":                                    "takes two files",
		"client_cert /none /none":                          "cannot be read",
		"input xml":                                        "gluu, kong or envoy",
		"headers all x-a":                                  "stands alone",
		"headers \"a b\"":                                  "not the name of a header",
		"headers":                                          "one or more",
		"body xml":                                         "off, json, form or raw",
		"body json 0":                                      "a size of up to",
		"body json 1GiB":                                   "a size of up to",
		"body":                                             "takes a form",
		"forward_request_body yes":                         "true or false",
		"body json\nforward_request_body true":             "keep body",
		"body_overflow pass":                               "reject or omit",
		"body_overflow omit":                               "body_overflow has no effect",
		"body off\nbody_overflow reject":                   "body_overflow has no effect",
		"body off 1KiB":                                    "its limit has no effect",
		"context a":                                        "a name and a text",
		"context a b\ncontext a c":                         "set twice",
		"set_headers Authorization":                        "not a policy's to set",
		"set_headers content-length":                       "not a policy's to set",
		"set_headers \"a:b\"":                              "not the name of a header",
		"redirect_origins https://a.example/x":             "not an origin",
		"redirect_origins a.example":                       "not an origin",
		"timeout 0":                                        "cannot be 0",
		"timeout -1s":                                      "cannot be negative",
		"timeout 1h":                                       "up to 30s",
		"cache 2m":                                         "up to 1m0s",
		"cache 0":                                          "up to 1m0s",
		"cache":                                            "takes a duration",
		"cache 1s 0":                                       "at least 1",
		"decision_log some":                                "off, refusals or all",
		"decision_log all 0":                               "above 0",
		"decision_log all 1.5":                             "above 0",
		"decision_log off 0.5":                             "no effect",
		"nonsense":                                         `there is no "nonsense"`,
		"body json\nbody json":                             "set twice",
		"dry_run maybe":                                    "true or false",
		"deny_by_default":                                  "takes one value",
	} {
		if _, err := parse("gluu_opa_pep {\n" + block + "\n}"); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Testfile:") {
			t.Errorf("%q: got %v, want %q and the line", block, err, want)
		}
	}
	if _, err := parse("gluu_opa_pep a b"); err == nil {
		t.Error("two engines are taken")
	}
	if _, err := parse("gluu_opa_pep a {\n url https://a.example\n}"); err == nil || !strings.Contains(err.Error(), "exclude each other") {
		t.Errorf("an engine and a url: got %v", err)
	}
}

func parseEngine(t *testing.T, block string) (*Engine, error) {
	t.Helper()
	d := caddyfile.NewTestDispenser("opa {\n" + block + "\n}")
	d.Next()
	e := new(Engine)
	return e, e.UnmarshalCaddyfile(d)
}

func TestTheEnginesOptions(t *testing.T) {
	w := &world{TB: t, dir: tempDir(t)}
	policy, key := w.file("p.rego", allowAll), w.file("key.pem", "x")
	e, err := parseEngine(t, "policy "+policy+" watch\nbundle a https://b.example/a.tar.gz {\n key "+key+"\n token {env.T}\n poll 1s 2s\n long_poll 45s\n}\ncapabilities all\nallow_net a.example b.example\nmax_stale 1h\npersist off")
	if err != nil {
		t.Fatal(err)
	}
	off := false
	want := &Engine{
		Policy: []string{policy}, Watch: true, Capabilities: "all", AllowNet: []string{"a.example", "b.example"}, MaxStale: caddy.Duration(time.Hour), Persist: &off,
		Bundles: map[string]*BundleConfig{"a": {URL: "https://b.example/a.tar.gz", Key: key, Token: "{env.T}", MinPoll: caddy.Duration(time.Second), MaxPoll: caddy.Duration(2 * time.Second), LongPoll: caddy.Duration(45 * time.Second)}},
	}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("got %+v, want %+v", e, want)
	}
}

func TestTheEngineRefuses(t *testing.T) {
	w := &world{TB: t, dir: tempDir(t)}
	policy, broken, key := w.file("p.rego", allowAll), w.file("broken.rego", "package a\n\nallow if x\n"), w.file("key.pem", "x")
	for block, want := range map[string]string{
		"":                  "there are no policies",
		"policy":            "one or more",
		"policy watch":      "names no file",
		"policy /none.rego": "no such file",
		"policy " + broken:  "broken.rego:3: var x is unsafe",
		"nonsense":          `there is no "nonsense"`,
		"capabilities some": "strict or all",
		"policy " + policy + "\nallow_net https://a.example":   "not the name of a host",
		"policy " + policy + "\nmax_stale 1h":                  "max_stale is about bundles",
		"policy " + policy + "\nmax_stale 0":                   "cannot be 0",
		"policy " + policy + "\nconfig " + key:                 "stands alone",
		"policy " + policy + "\npersist maybe":                 "true or false",
		"config /none":                                         "cannot be read",
		"bundle a":                                             "a name and an address",
		"bundle a https://b.example/":                          "it has no key",
		"bundle a https://b.example/ {\n nonsense\n}":          `there is no "nonsense"`,
		"bundle a b.example {\n key " + key + "\n}":            "not an address",
		"bundle a https://b.example/ {\n key /none\n}":         "cannot be read",
		"bundle a https://b.example/ {\n poll 1s\n}":           "poll takes the shortest",
		"bundle a https://b.example/ {\n poll 2s 1s\n}":        "the shorter one first",
		"bundle a https://b.example/ {\n poll 1ms 1s\n}":       "from 1s on",
		"bundle a https://b.example/ {\n long_poll 1ms\n}":     "a second at least",
		"bundle a https://b.example/ {\n client_cert x\n}":     "takes two files",
		"bundle a https://b.example/ {\n token a\n token b\n}": "set twice",
		"bundle a https://b.example/ {\n key " + key + "\n}\nbundle a https://c.example/ {\n key " + key + "\n}": "two bundles",
	} {
		if _, err := parseEngine(t, block); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Testfile:") {
			t.Errorf("%q: got %v, want %q and the line", block, err, want)
		}
	}
}

// What only the whole configuration shows is refused when it loads, most of it by
// caddy adapt.
func TestTheConfigurationRefuses(t *testing.T) {
	w := newWorld(t)
	policy := w.file("p.rego", allowAll)
	clock := w.file("clock.rego", "package httpapi.authz\n\nallow if time.now_ns() > 0\n")
	random := w.file("id.rego", "package httpapi.authz\n\nallow if input.decision_id\n")
	for name, test := range map[string]struct{ app, handler, want string }{
		"no engine":         {"", "gluu_opa_pep", "unknown engine \"default\""},
		"another engine":    {"opa main {\n policy " + policy + "\n}", "gluu_opa_pep", "name one of main"},
		"two engines":       {"opa {\n policy " + policy + "\n}\nopa {\n policy " + policy + "\n}", "gluu_opa_pep", "there are two engines"},
		"no such decision":  {"opa {\n policy " + policy + "\n}", "gluu_opa_pep {\n decision httpapi/other\n}", "neither a package nor a rule"},
		"a cache of clocks": {"opa {\n policy " + clock + "\n}", "gluu_opa_pep {\n cache 1s\n}", "time.now_ns"},
		"a cache of ids":    {"opa {\n policy " + random + "\n}", "gluu_opa_pep {\n cache 1s\n}", "input.decision_id"},
		"an empty token":    {"", "gluu_opa_pep {\n url https://a.example\n token {env.GLUU_OPA_NOT_SET}\n}", "token"},
		"a request's url":   {"", "gluu_opa_pep {\n url https://{http.request.host}/\n}", "not known when the configuration loads"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := w.refused(w.config(test.app, authenticate+test.handler)); !strings.Contains(got, test.want) {
				t.Errorf("got %s, want %q", got, test.want)
			}
		})
	}
}

// FuzzCaddyfile parses anything without a panic, and what it accepts is the same as JSON.
func FuzzCaddyfile(f *testing.F) {
	f.Add("gluu_opa_pep main {\n decision a/b\n body json 1KiB\n cache 1s 5\n context a b\n}")
	f.Add("gluu_opa_pep {\n openapi /none.yaml {\n  base_path none\n  watch\n }\n}")
	f.Add("gluu_opa_pep {\n url https://a.example\n token x\n headers all\n decision_log all 0.1\n log_grants\n}")
	f.Fuzz(func(t *testing.T, block string) {
		p, err := parse(block)
		if err != nil {
			return
		}
		encoded, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again := new(PEP)
		if err := json.Unmarshal(encoded, again); err != nil {
			t.Fatal(err)
		}
		if twice, _ := json.Marshal(again); string(twice) != string(encoded) {
			t.Errorf("%s becomes %s", encoded, twice)
		}
		if err := again.Config.check(); err != nil {
			t.Errorf("%q is accepted as a Caddyfile and refused as JSON: %v", block, err)
		}
	})
}

func TestWarnings(t *testing.T) {
	w := newWorld(t).start(allowAll, "headers all\ndeny_by_default false")
	for _, message := range []string{
		"deny_by_default is off: a request about which the policy says nothing passes",
		"the policy sees credentials of clients: keep them out of its logs, or name the headers that it needs",
	} {
		if len(caddytest.Records(t, w.dir, message)) != 1 {
			t.Errorf("not logged: %s", message)
		}
	}
}
