// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// pepCaddyfile wraps subdirectives into a Caddyfile in which the first of them
// is on line 3.
func pepCaddyfile(block string) string {
	return "http://localhost {\n\tgluu_oauth_pep {\n" + block + "\n\t}\n}\n"
}

// Everything that cannot be right is refused when the Caddyfile is adapted,
// with the line and the remedy.
func TestWrongRulesAreRefusedWithTheirLine(t *testing.T) {
	document := func(rule string) string {
		return "oauth_scope_expression `[{\"path\":\"/x\",\"conditions\":[{\"httpMethods\":[\"GET\"],\"scope_expression\":" + rule + "}]}]`"
	}
	file := filepath.Join(t.TempDir(), "rules.json")
	if err := os.WriteFile(file, []byte(`[{"path":"/x","conditions":[{"httpMethods":["GET"],"scope_expression":{"rule":{"var":0},"data":["a"]}}]}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, block, line, reason string }{
		{"no rules", "deny_by_default true", ":2", "there are no rules: write 'path"},
		{"no rules for a path", "path /x {\n}", ":3", `path "/x" has no rules: write 'GET scope <expression>' on its own line inside the block`},
		{"no block", "path /x\npath /y {\nGET scope a\n}", ":3", `path "/x" has no rules: write 'GET scope <expression>'`},
		{"no pattern", "path {\nGET scope a\n}", ":3", "path takes exactly one pattern"},
		{"two patterns", "path /x /y {\nGET scope a\n}", ":3", "path takes exactly one pattern"},
		{"an empty scope", "path /x {\nGET scope \"\"\n}", ":4", "a scope cannot be empty: write its name"},
		{"no scope", "path /x {\nGET\n}", ":4", "write 'GET scope <expression>'"},
		{"no expression", "path /x {\nGET scope\n}", ":4", "write 'GET scope <expression>'"},
		{"public with scopes", "path /x {\nGET public scope a\n}", ":4", `"public" takes no scopes, got "scope": write 'scope <expression>'`},
		{"public with a word", "path /x {\nGET public admin\n}", ":4", `"public" takes no scopes, got "admin"`},
		{"scope of authenticated", "path /x {\nGET authenticated public\n}", ":4", `"authenticated" takes no scopes`},
		{"public without a method", "path /x {\npublic\n}", ":4", "a rule starts with its methods"},
		{"public with acr", "path /x {\nGET public {\nacr gold\n}\n}", ":4", "acr requires a token, but the access is public"},
		{"public with max_age", "path /x {\nGET public {\nmax_age 5m\n}\n}", ":4", "max_age requires a token, but the access is public"},
		{"an access in capitals", document(`{"rule":{"var":0},"data":["a"]},"access":"Public"`), ":3", "access cannot be \"Public\""},
		{"an access and an expression", document(`{"rule":{"var":0},"data":["a"]},"access":"public"`), ":3", "both an access and a scope_expression"},
		{"a text in or", document(`{"rule":{"or":[{"var":0},"admin"]},"data":["a"]}`), ":3", "\"or\" is applied to a constant"},
		{"encoded_slashes without a value", "encoded_slashes\npath /x {\nGET scope a\n}", ":3", "encoded_slashes"},
		{"encoded_slashes empty", "encoded_slashes \"\"\npath /x {\nGET scope a\n}", ":3", "encoded_slashes"},
		{"encoded_slashes wrong", "encoded_slashes allow\npath /x {\nGET scope a\n}", ":3", `encoded_slashes must be reject or keep, not "allow"`},
		{"encoded_slashes twice", "encoded_slashes keep\nencoded_slashes keep\npath /x {\nGET scope a\n}", ":4", "encoded_slashes"},
		{"no method", "path /x {\nscope a\n}", ":4", "a rule starts with its methods"},
		{"method in lower case", "path /x {\nget scope a\n}", ":4", "GET"},
		{"methods with commas", "path /x {\nGET, POST scope a\n}", ":4", `"GET," is not a method: separate methods by spaces, such as 'GET POST scope ...'`},
		{"methods with bars", "path /x {\nGET|POST scope a\n}", ":4", `"GET|POST" is not a method: separate methods by spaces`},
		{"duplicate path", "path /x {\nGET scope a\n}\npath /y {\nGET scope a\n}\npath /x {\nPOST scope a\n}", ":9", `path "/x" is already at Caddyfile:3: add the rules there`},
		{"duplicate method", "path /x {\nGET scope a\nPOST scope b\nGET PUT scope c\n}", ":6", "GET"},
		{"two ??", "path /x/??/y/?? {\nGET scope a\n}", ":3", "??"},
		{"no leading slash", "path x {\nGET scope a\n}", ":3", "write /x"},
		{"empty element", "path /x//y {\nGET scope a\n}", ":3", "element"},
		{"slash within braces", "path /x/{a/b} {\nGET scope a\n}", ":3", "slash"},
		{"invalid expression in the path", "path /x/{a(} {\nGET scope a\n}", ":3", "/x/{a(}"},
		{"expanded shorthand", "path /files/{path} {\nGET scope a\n}", ":3", "{(?:path)}"},
		{"expanded shorthand with a dot", "path /files/{file.x} {\nGET scope a\n}", ":3", "{(?:file"},
		{"invalid expression in a scope", "path /x {\nPOST scope a\nGET scope ^a(\n}", ":5", "^a("},
		{"PC without a capture", "path /x/? {\nPOST scope a\nGET scope ^a(?<PC2>.+)\n}", ":5", "PC2"},
		{"PC10", "path /x/? {\nGET scope ^a(?<PC10>.+)\n}", ":4", "PC10"},
		{"pc1", "path /x/? {\nGET scope ^a(?<pc1>.+)\n}", ":4", "pc1"},
		{"open parenthesis", "path /x {\nGET scope (a or b\n}", ":4", "parenthesis"},
		{"missing operand", "path /x {\nGET scope a and\n}", ":4", "and"},
		{"two scopes", "path /x {\nGET scope a b\n}", ":4", "and"},
		{"unknown option of a rule", "path /x {\nGET scope a {\ncolour red\n}\n}", ":5", "the options are acr and max_age"},
		{"max_age that is none", "path /x {\nGET scope a {\nmax_age soon\n}\n}", ":5", "duration"},
		{"max_age of parts of a second", "path /x {\nGET scope a {\nmax_age 1500ms\n}\n}", ":5", "whole number of seconds"},
		{"max_age of a rule twice", "path /x {\nGET scope a {\nmax_age 1m\nmax_age 1d\n}\n}", ":6", "max_age is set twice"},
		{"deny_by_default twice", "deny_by_default true\ndeny_by_default false", ":4", "deny_by_default is set twice: keep one of them"},
		{"ambiguous_paths twice", "ambiguous_paths reject\nambiguous_paths allow", ":4", "ambiguous_paths is set twice"},
		{"dry_run twice", "dry_run false\ndry_run", ":4", "dry_run is set twice"},
		{"log_grants twice", "log_grants\nlog_grants off", ":4", "log_grants is set twice"},
		{"unknown option", "paths /x", ":3", `there is no "paths" in gluu_oauth_pep: it has path`},
		{"ambiguous_paths", "ambiguous_paths maybe", ":3", "reject or allow"},
		{"deny_by_default", "deny_by_default perhaps", ":3", "true or false"},
		{"empty document", "oauth_scope_expression `[]`", ":3", "oauth_scope_expression"},
		{"no document", "oauth_scope_expression", ":3", "takes exactly one argument"},
		{"no JSON", "oauth_scope_expression `[{]`", ":3", "line 1"},
		{"rule that is a boolean", document(`{"rule":true,"data":["a"]}`), ":3", "object"},
		{"another operator", document(`{"rule":{"+":[{"var":0},1]},"data":["a"]}`), ":3", "+"},
		{"several operators", document(`{"rule":{"and":[{"var":0}],"or":[{"var":0}]},"data":["a"]}`), ":3", "operator"},
		{"operator without operands", document(`{"rule":{"and":[]},"data":["a"]}`), ":3", "and"},
		{"list for a value", document(`{"rule":{"!":[[{"var":0}]]},"data":["a"]}`), ":3", "list"},
		{"var that does not name an entry", document(`{"rule":{"var":1},"data":["a"]}`), ":3", "var"},
		{"unknown member", "oauth_scope_expression `[{\"path\":\"/x\",\"conditions\":[],\"x\":1}]`", ":3", "x"},
		{"error within a heredoc", "oauth_scope_expression <<JSON\n[\n {\"path\": \"/x\",\n  \"wrong\": 1}\n]\nJSON", ":6", "wrong"},
		{"path in a block and a document", document(`{"rule":{"var":0},"data":["a"]}`) + "\npath /x {\nPOST scope a\n}", ":4", `path "/x" is already at Caddyfile:3`},
		{"path in a block and a file", "path /y {\nGET scope a\n}\npath /x {\nGET scope a\n}\noauth_scope_expression_file " + file, ":2", `oauth_scope_expression_file: path "/x" of "` + file + `" is already at Caddyfile:6: keep one of the two`},
		{"file that is not there", "oauth_scope_expression_file /nowhere/rules.json", ":3", "/nowhere/rules.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := caddytest.Adapt(pepCaddyfile(test.block))
			if err == nil || !strings.Contains(err.Error(), test.reason) || !strings.Contains(err.Error()+"$", "Caddyfile"+test.line+"$") {
				t.Errorf("got %v\nwant an error that says %q and ends with the line %s", err, test.reason, test.line)
			}
		})
	}
}

func TestWrongAuthenticationIsRefusedWithItsLine(t *testing.T) {
	tests := []struct{ name, directive, line, reason string }{
		{"a provider twice", "gluu_oauth_auth a b a", ":2", `providers names "a" twice: keep one of them`},
		{"an empty provider", "gluu_oauth_auth a \"\"", ":2", "providers names providers of the app; one of the names is empty"},
		{"unknown option", "gluu_oauth_auth {\nanonymus x\n}", ":3", `there is no "anonymus" in gluu_oauth_auth: it has anonymous`},
		{"twice", "gluu_oauth_auth {\nrealm a\nrealm b\n}", ":4", "realm is set twice"},
		{"switch twice", "gluu_oauth_auth {\nconsumer_mapping true\nconsumer_mapping false\n}", ":4", "consumer_mapping is set twice"},
		{"setting of an own provider twice", "gluu_oauth_auth {\nissuer https://as.example\nverify jwt\ndpop_nonce true\ndpop_nonce false\n}", ":6", "dpop_nonce is set twice"},
		{"pass_credentials", "gluu_oauth_auth {\npass_credentials no\n}", ":3", "pass, hide or phantom_token"},
		{"consumer_mapping", "gluu_oauth_auth {\nconsumer_mapping 1\n}", ":3", "true or false"},
		{"anonymous without a name", "gluu_oauth_auth {\nanonymous\n}", ":3", "anonymous"},
		{"optional beside anonymous", "gluu_oauth_auth {\noptional\nanonymous guest\n}", ":2", `optional and anonymous "guest" exclude each other`},
		{"optional with a word", "gluu_oauth_auth {\noptional perhaps\n}", ":3", "optional"},
		{"optional twice", "gluu_oauth_auth {\noptional\noptional\n}", ":4", "optional"},
		{"anonymous with an empty name", "gluu_oauth_auth {\nanonymous \"\"\n}", ":3", "anonymous is empty"},
		{"realm with a placeholder", "gluu_oauth_auth {\nrealm {host}\n}", ":3", "placeholders are not replaced"},
		{"realm with other characters", "gluu_oauth_auth {\nrealm Köln\n}", ":3", "ASCII"},
		{"name and own provider", "gluu_oauth_auth main {\nissuer https://as.example\n}", ":2", "leave out the name"},
		{"half an own provider", "gluu_oauth_auth {\nclient_id x\n}", ":2", "issuer"},
		{"issuer over http", "gluu_oauth_auth {\nissuer http://as.example\nclient_id x\nclient_secret y\n}", ":3", "https"},
		{"verification that there is not", "gluu_oauth_auth {\nissuer https://as.example\nverify sometimes\n}", ":4", "auto, jwt or introspection"},
		{"alg without use", "gluu_oauth_auth {\nphantom_token_alg ES256\n}", ":2", "phantom_token_alg has no effect"},
		{"alg that there is not", "gluu_oauth_auth {\nphantom_token_alg HS256\npass_credentials phantom_token\n}", ":3", "phantom_token_alg is ES256, RS256, EdDSA or none, not \"HS256\""},
		{"alg in another case", "gluu_oauth_auth {\npass_credentials phantom_token\nphantom_token_alg NONE\n}", ":4", `not "NONE"`},
		{"header without an expression", "gluu_oauth_auth {\nheader X-A\n}", ":3", "takes a name, an expression"},
		{"header with a wrong expression", "gluu_oauth_auth {\nrealm x\nheader X-A introspect_data.\n}", ":4", "X-A"},
		{"header with an unknown variable", "gluu_oauth_auth {\nheader X-A id_token.sub\n}", ":3", "id_token"},
		{"header with an unknown format", "gluu_oauth_auth {\nheader X-A consumer.id hex\n}", ":3", "hex"},
		{"header that is not ours", "gluu_oauth_auth {\nheader Authorization consumer.id\n}", ":3", "Authorization"},
		{"header twice", "gluu_oauth_auth {\nheader X-A consumer.id\nheader x_a consumer.id\n}", ":4", "x_a"},
		{"header_each with a list", "gluu_oauth_auth {\nheader_each X-{*} introspect_data.x list\n}", ":3", "list"},
		{"header_each without a star", "gluu_oauth_auth {\nheader_each X-A introspect_data.x\n}", ":3", "{*}"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := caddytest.Adapt("http://localhost {\n" + test.directive + "\n}\n")
			if err == nil || !strings.Contains(err.Error(), test.reason) || !strings.Contains(err.Error()+"$", "Caddyfile"+test.line+"$") {
				t.Errorf("got %v\nwant an error that says %q and ends with the line %s", err, test.reason, test.line)
			}
		})
	}
}

// What only the whole configuration shows is refused when it is provisioned,
// as by caddy validate.
func TestWhatCannotBeRightIsRefusedAtTheStart(t *testing.T) {
	tests := []struct{ name, app, site, reason string }{
		{"unknown provider", simpleApp, "gluu_oauth_auth other", `unknown provider "other": name one of default`},
		{"unknown consumer", simpleApp, "gluu_oauth_auth {\nanonymous eve\n}", `unknown consumer "eve"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := &gateway{TB: t, dir: t.TempDir(), auth: newAuthServer(t), upstream: newUpstream(t), address: caddytest.FreeAddress(t)}
			err := g.tryLoad(test.app, test.site)
			if err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("got %v, want an error that says %q", err, test.reason)
			}
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// JSON has no line numbers; all else is the same.
func TestWrongJSONIsRefused(t *testing.T) {
	for _, test := range []struct{ config, reason string }{
		{`{}`, "there are no rules"},
		{`{"oauth_scope_expression": null}`, "there are no rules"},
		{`{"oauth_scope_expression": []}`, "oauth_scope_expression"},
		{`{"oauth_scope_expression": "not json"}`, "oauth_scope_expression"},
		{`{"oauth_scope_expression": [{"path":"/x","conditions":[{"httpMethods":["GET"],"scope_expression":{"rule":{"var":1},"data":["a"]}}]}]}`, "var"},
	} {
		p := new(OAuthPEP)
		if err := json.Unmarshal([]byte(test.config), p); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Policy(); err == nil || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s: got %v, want an error that says %q", test.config, err, test.reason)
		}
	}
}

func TestWrongJSONOfAuthenticationIsRefused(t *testing.T) {
	for _, test := range []struct{ config, reason string }{
		{`{"pass_credentials": "phantom_token", "phantom_token_alg": "HS256"}`, "phantom_token_alg is ES256, RS256, EdDSA or none, not \"HS256\""},
		{`{"phantom_token_alg": "ES256"}`, "phantom_token_alg has no effect"},
		{`{"pass_credentials": "no"}`, "pass, hide or phantom_token"},
		{`{"verify": "sometimes"}`, "auto, jwt or introspection"},
		{`{"provider": "a", "providers": ["b"]}`, `provider "a" and providers ["b"] are both given: put all names into providers`},
		{`{"providers": ["a", "b", "a"]}`, `providers names "a" twice`},
		{`{"providers": ["a", ""]}`, "one of the names is empty"},
		{`{"issuer": "https://as.example", "op_url": "https://as.example"}`, "issuer and op_url are two names"},
	} {
		a := new(OAuthAuth)
		if err := json.Unmarshal([]byte(test.config), a); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		if err := a.Provision(ctx); err == nil || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s: got %v, want an error that says %q", test.config, err, test.reason)
		}
		cancel()
	}
}

// All ways to write rules add up to one document.
func TestRulesAddUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.json")
	rule := func(path string) string {
		return `[{"path":"` + path + `","conditions":[{"httpMethods":["GET"],"scope_expression":{"rule":{"var":0},"data":["a"]}}]}]`
	}
	if err := os.WriteFile(file, []byte(rule("/file")), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GLUU_TEST_RULES", file)
	config, err := caddytest.Adapt(pepCaddyfile(`
		path /block/? {
			GET HEAD scope "and" and "(a)" or ^b{2}$ {
				acr gold
				acr silver bronze
				max_age 5m
			}
			? scope "a and (b or c)"
		}
		oauth_scope_expression ` + "`" + rule("/inline") + "`" + `
		oauth_scope_expression <<JSON
		` + rule("/heredoc") + `
		JSON
		oauth_scope_expression_file {env.GLUU_TEST_RULES}
		dry_run
		log_grants on
		deny_by_default false
		ambiguous_paths allow`))
	if err != nil {
		t.Fatal(err)
	}
	var adapted struct {
		Apps struct {
			HTTP struct {
				Servers map[string]struct {
					Routes []struct {
						Handle []struct {
							Routes []struct{ Handle []json.RawMessage }
						}
					}
				}
			}
		}
	}
	if err := json.Unmarshal(config, &adapted); err != nil {
		t.Fatal(err)
	}
	raw := adapted.Apps.HTTP.Servers["srv0"].Routes[0].Handle[0].Routes[0].Handle[0]
	p := new(OAuthPEP)
	if err := json.Unmarshal(raw, p); err != nil {
		t.Fatal(err)
	}
	if !p.DryRun || !p.LogGrants || p.DenyByDefault == nil || *p.DenyByDefault || p.AmbiguousPaths != "allow" {
		t.Errorf("got %s", raw)
	}
	policy, err := p.Policy()
	if err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]string{"GET /block/1": "/block/?", "PUT /block/1": "/block/?", "GET /inline": "/inline", "GET /heredoc": "/heredoc", "GET /file": "/file"} {
		method, path, _ := strings.Cut(request, " ")
		if found := policy.Find(method, path); found == nil || found.Pattern() != want {
			t.Errorf("%s: got %v, want the rule %s", request, found, want)
		}
	}
	block := policy.Find("GET", "/block/1")
	for scopes, want := range map[string]bool{"and (a)": true, "bb": true, "and": false, "(a)": false, "a": false} {
		if got := block.Explain("/block/1", strings.Fields(scopes)).Granted; got != want {
			t.Errorf("%s: granted %t, want %t", scopes, got, want)
		}
	}
	other := policy.Find("PUT", "/block/1")
	if !other.Explain("/block/1", []string{"a", "c"}).Granted || other.Explain("/block/1", []string{"a"}).Granted {
		t.Error("an expression in quotes is not one")
	}
	if c := block.Condition(); c.MaxAge != 300 || strings.Join(c.ACR, " ") != "gold silver bronze" {
		t.Errorf("got %+v", c)
	}
	// The document may be a string that holds it, as in the systems before.
	text, err := json.Marshal(string(p.ScopeExpression))
	if err != nil {
		t.Fatal(err)
	}
	asText := &OAuthPEP{ScopeExpression: text}
	if policy, err := asText.Policy(); err != nil || policy.Find("GET", "/inline") == nil {
		t.Errorf("as a string: %v", err)
	}
}
