// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// hint matches messages that say what to write instead.
var hint = regexp.MustCompile(`(?i)\b(write|use|add|remove|give|name|choose|put|leave|set|only|close|mend|fix|define|needs|cannot|(is|are|has|have|be) .*(, not|it has|, ))\b`)

// caddyValidate runs `caddy validate` and returns what it says, which must be
// a refusal.
func caddyValidate(t *testing.T, config harness.GatewayConfig) string {
	t.Helper()
	output, ok := harness.RunCaddy(t, config, "validate", "--config", "Caddyfile")
	if ok {
		t.Fatalf("the configuration is accepted:\n%s", config.Caddyfile)
	}
	for line := range strings.Lines(output) {
		var entry struct{ Level, Msg string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Level == "error" {
			return entry.Msg
		}
	}
	t.Fatalf("no error in the output:\n%s", output)
	return ""
}

// lineOf returns the number of the line that has the text.
func lineOf(t *testing.T, content, text string) int {
	t.Helper()
	at := strings.Index(content, text)
	if at < 0 {
		t.Fatalf("%q is not in\n%s", text, content)
	}
	return 1 + strings.Count(content[:at], "\n")
}

var position = regexp.MustCompile(`at Caddyfile:(\d+)$`)

// namedLine returns the line of the Caddyfile that a message names.
func namedLine(message string) int {
	match := position.FindStringSubmatch(message)
	if match == nil {
		return 0
	}
	line, _ := strconv.Atoi(match[1])
	return line
}

// isNear says whether a message names the line. Caddy counts a heredoc as
// its last line; the message also says which line of the document it is.
func isNear(got, want int, text string) bool {
	if strings.Contains(text, "<<") {
		return got >= want && got <= want+strings.Count(text, "\n")
	}
	return got == want
}

// Everything of a scope expression that cannot be right is refused when the
// configuration loads, with the file, the line and what to write instead.
func TestRefusedScopeExpressions(t *testing.T) {
	t.Parallel()
	document := func(path, methods, rule, data string) string {
		return fmt.Sprintf("\toauth_scope_expression <<JSON\n\t\t[{\"path\": %s, \"conditions\": [\n\t\t\t{\"httpMethods\": %s, \"scope_expression\": {\"rule\": %s, \"data\": %s}}\n\t\t]}]\n\t\tJSON",
			path, methods, rule, data)
	}
	rule := func(rule, data string) string { return document(`"/a/?"`, `["GET"]`, rule, data) }
	for _, test := range []struct {
		name string
		pep  string
		at   string // the line that the message must name holds this
		says string // what the message must contain, beside the hint
	}{
		// In the Caddyfile's own words.
		{"no rules", "", "gluu_oauth_pep", "path"},
		{"a path without conditions", "\tpath /a {\n\t}", "path /a", "/a"},
		{"a path without a block", "\tpath /a", "path /a", "/a"},
		{"no method", "\tpath /a {\n\t\tscope x\n\t}", "scope x", ""},
		{"no expression", "\tpath /a {\n\t\tGET scope\n\t}", "GET scope", ""},
		{"a method alone", "\tpath /a {\n\t\tGET\n\t}", "GET", "scope"},
		{"a duplicate path", "\tpath /a {\n\t\tGET scope x\n\t}\n\tpath /a {\n\t\tGET scope y\n\t}", "path /a {\n\t\tGET scope y", "/a"},
		{"a duplicate method in two lines", "\tpath /a {\n\t\tGET scope x\n\t\tPOST GET scope y\n\t}", "POST GET", "GET"},
		{"two ??", "\tpath /a/??/b/?? {\n\t\tGET scope x\n\t}", "/a/??/b/??", "??"},
		{"no leading slash", "\tpath a/b {\n\t\tGET scope x\n\t}", "path a/b", "a/b"},
		{"an empty element inside", "\tpath /a//b {\n\t\tGET scope x\n\t}", "path /a//b", "empty"},
		{"a slash within braces", "\tpath /a/{b/c} {\n\t\tGET scope x\n\t}", "path /a/{b/c}", "/"},
		{"an invalid regular expression", "\tpath /a/{[} {\n\t\tGET scope x\n\t}", "path /a/{[}", "["},
		{"an expanded shorthand", "\tpath /a/{path} {\n\t\tGET scope x\n\t}", "path /a/{path}", "(?:"},
		{"an operator without its right side", "\tpath /a {\n\t\tGET scope x and\n\t}", "GET scope", "and"},
		{"an operator without its left side", "\tpath /a {\n\t\tGET scope or x\n\t}", "GET scope", "or"},
		{"an open parenthesis", "\tpath /a {\n\t\tGET scope (x and y\n\t}", "GET scope", "("},
		{"two scopes side by side", "\tpath /a {\n\t\tGET scope x y\n\t}", "GET scope", "y"},
		{"an invalid scope pattern", "\tpath /a {\n\t\tGET scope ^x(\n\t}", "GET scope", "^x("},
		{"an undefined capture", "\tpath /a/? {\n\t\tGET scope ^x:(?<PC2>.+)$\n\t}", "GET scope", "PC2"},
		{"a group PC10", "\tpath /a/? {\n\t\tGET scope ^x:(?<PC10>.+)$\n\t}", "GET scope", "PC10"},
		{"a group pc1", "\tpath /a/? {\n\t\tGET scope ^x:(?<pc1>.+)$\n\t}", "GET scope", "pc1"},
		{"an unknown subdirective", "\tpaths /a", "paths /a", "paths"},
		{"an invalid boolean", todoRules + "\n\tdeny_by_default maybe", "deny_by_default", "maybe"},
		{"encoded_slashes otherwise", todoRules + "\n\tencoded_slashes perhaps", "encoded_slashes", "perhaps"},
		{"public with scopes", "path /x {\n GET public scope x\n}", "GET public", "public"},
		{"public with acr", "path /x {\n GET public {\n acr gold\n }\n}", "GET public", "acr"},
		{"document: a text in or", rule(`{"or": [{"var": 0}, "admin"]}`, `["x"]`), "oauth_scope_expression", "constant"},
		{"ambiguous_paths otherwise", todoRules + "\n\tambiguous_paths perhaps", "ambiguous_paths", "perhaps"},

		// As a document.
		{"an empty document", "\toauth_scope_expression []", "oauth_scope_expression", ""},
		{"not JSON", "\toauth_scope_expression [{]", "oauth_scope_expression", ""},
		{"document: no conditions", "\toauth_scope_expression `[{\"path\": \"/a\", \"conditions\": []}]`", "oauth_scope_expression", "/a"},
		{"document: no methods", document(`"/a"`, `[]`, `{"var": 0}`, `["x"]`), "oauth_scope_expression", "httpMethods"},
		{"document: an unknown member", "\toauth_scope_expression `[{\"path\": \"/a\", \"condition\": []}]`", "oauth_scope_expression", "condition"},
		{"document: a rule that is not an object", rule(`true`, `["x"]`), "oauth_scope_expression", ""},
		{"document: a rule that is a string", rule(`"var"`, `["x"]`), "oauth_scope_expression", ""},
		{"document: another operator", rule(`{"in": [{"var": 0}]}`, `["x"]`), "oauth_scope_expression", "in"},
		{"document: several operators in an object", rule(`{"and": [{"var": 0}], "or": [{"var": 0}]}`, `["x"]`), "oauth_scope_expression", ""},
		{"document: an operator without operands", rule(`{"and": []}`, `["x"]`), "oauth_scope_expression", "and"},
		{"document: an object without an operator", rule(`{}`, `["x"]`), "oauth_scope_expression", ""},
		{"document: a list where a value belongs", rule(`{"and": [[{"var": 0}], {"var": 0}]}`, `["x"]`), "oauth_scope_expression", ""},
		{"document: a var beyond the data", rule(`{"var": 1}`, `["x"]`), "oauth_scope_expression", "1"},
		{"document: a negative var", rule(`{"var": -1}`, `["x"]`), "oauth_scope_expression", "-1"},
		{"document: a var by name", rule(`{"var": "x"}`, `["x"]`), "oauth_scope_expression", "x"},
		{"document: an undefined capture", rule(`{"var": 0}`, `["^x:(?<PC2>.+)$"]`), "oauth_scope_expression", "PC2"},
		{"document: not of a constant", rule(`{"!": [true]}`, `["x"]`), "oauth_scope_expression", "constant"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := site{pep: test.pep + "\n"}.config("127.0.0.1:9", "http://127.0.0.1:9")
			message := caddyValidate(t, config)
			if got, want := namedLine(message), lineOf(t, config.Caddyfile, test.at); !isNear(got, want, test.pep) {
				t.Errorf("got line %d, want %d: %s", got, want, message)
			}
			if !strings.Contains(message, test.says) {
				t.Errorf("the message does not say %q: %s", test.says, message)
			}
			if !hint.MatchString(message) {
				t.Errorf("the message does not say what to write instead: %s", message)
			}
			t.Log(message)
		})
	}
}

// A document in a file of its own is refused with the position in that file.
func TestRefusedScopeExpressionFile(t *testing.T) {
	t.Parallel()
	s := site{
		pep:   "\toauth_scope_expression_file scopes.json",
		files: map[string]string{"scopes.json": "[\n  {\"path\": \"/a\", \"conditions\": [\n    {\"httpMethods\": [\"GET\"],\n     \"scope_expression\": {\"rule\": {\"xor\": [{\"var\": 0}]}, \"data\": [\"x\"]}}\n  ]}\n]\n"},
	}
	message := caddyValidate(t, s.config("127.0.0.1:9", "http://127.0.0.1:9"))
	for _, piece := range []string{"scopes.json", "xor", "4"} {
		if !strings.Contains(message, piece) {
			t.Errorf("the message does not say %q: %s", piece, message)
		}
	}
	s.files = nil
	if message := caddyValidate(t, s.config("127.0.0.1:9", "http://127.0.0.1:9")); !strings.Contains(message, "scopes.json") {
		t.Errorf("the message does not name the missing file: %s", message)
	}
}

// The other mistakes that a configuration can have.
func TestRefusedConfigurations(t *testing.T) {
	t.Parallel()
	const consumer = "\t\tconsumer todo-app {"
	for _, test := range []struct {
		name     string
		old, new string // replaced in the configuration
		says     string
	}{
		{"an unknown provider", "gluu_oauth_auth {", "gluu_oauth_auth elsewhere {", "elsewhere"},
		{"an unknown anonymous consumer", "gluu_oauth_auth {", "gluu_oauth_auth {\n anonymous stranger", "stranger"},
		{"a secret that resolves to nothing", "{env.CLIENT_SECRET}", "{env.NOT_SET_ANYWHERE}", "NOT_SET_ANYWHERE"},
		{"a secret from a request", "{env.CLIENT_SECRET}", "{http.request.header.X}", "http.request.header.X"},
		{"introspection without a client id", "client_id {$CLIENT_ID}", "verify introspection", "client_id"},
		{"an http issuer that is elsewhere", "issuer {$ISSUER}", "issuer http://op.example", "https"},
		{"an issuer with a query", "issuer {$ISSUER}", "issuer https://op.example/?a=b", "query"},
		{"an issuer with a fragment", "issuer {$ISSUER}", "issuer https://op.example/#a", "fragment"},
		{"no issuer", "issuer {$ISSUER}", "", "issuer"},
		{"an issuer from a request", "issuer {$ISSUER}", "issuer https://{http.request.host}", "http.request.host"},
		{"a duplicate consumer name", consumer, "\t\tconsumer todo-app\n" + consumer, "todo-app"},
		{"a duplicate custom_id", consumer, "\t\tconsumer other {\n custom_id todo-app\n}\n" + consumer, "custom_id"},
		{"a duplicate consumer id", consumer, "\t\tconsumer other {\n id 5c9ec0ef-1f0b-4d0a-9c53-3f1c3f2a7a01\n}\n" + consumer, "5c9ec0ef"},
		{"a negative cache size", consumer, "\t\tcache {\n size -1\n}\n" + consumer, "size"},
		{"a negative time", consumer, "\t\tcache {\n max_age -1s\n}\n" + consumer, "max_age"},
		{"an algorithm none", "client_id {$CLIENT_ID}", "client_id {$CLIENT_ID}\nalgorithms none", "none"},
		{"an HMAC algorithm", "client_id {$CLIENT_ID}", "client_id {$CLIENT_ID}\nalgorithms RS256 HS256", "HS256"},
		{"an unknown client_auth", "client_id {$CLIENT_ID}", "client_id {$CLIENT_ID}\nclient_auth magic", "magic"},
		{"an unknown pass_credentials", "gluu_oauth_auth {", "gluu_oauth_auth {\n pass_credentials maybe", "maybe"},
		{"a header that is not the gateway's", "gluu_oauth_auth {", "gluu_oauth_auth {\n header Host consumer.id", "Host"},
		{"the Authorization header", "gluu_oauth_auth {", "gluu_oauth_auth {\n header authorization consumer.id", "uthorization"},
		{"an invalid expression", "gluu_oauth_auth {", "gluu_oauth_auth {\n header X-A `consumer.`", "X-A"},
		{"header_each without {*}", "gluu_oauth_auth {", "gluu_oauth_auth {\n header_each X-A introspect_data", "{*}"},
		{"header_each with list", "gluu_oauth_auth {", "gluu_oauth_auth {\n header_each X-{*} introspect_data list", "list"},
		{"an unknown subdirective", "gluu_oauth_auth {", "gluu_oauth_auth {\n annonymous guest", "annonymous"},
		{"an unknown option of the app", consumer, "\t\tconsumers x\n" + consumer, "consumers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := site{}.config("127.0.0.1:9", "http://127.0.0.1:9")
			if !strings.Contains(config.Caddyfile, test.old) {
				t.Fatalf("%q is not in the configuration", test.old)
			}
			config.Caddyfile = strings.Replace(config.Caddyfile, test.old, test.new, 1)
			message := caddyValidate(t, config)
			if !strings.Contains(message, test.says) || !hint.MatchString(message) {
				t.Errorf("the message does not say %q and what to write instead: %s", test.says, message)
			}
			if strings.Contains(message, gatewaySecret) {
				t.Errorf("the message contains the secret: %s", message)
			}
			t.Log(message)
		})
	}
}

// A valid configuration loads without an error in the log.
func TestAcceptedConfiguration(t *testing.T) {
	t.Parallel()
	output, ok := harness.RunCaddy(t, site{}.config("127.0.0.1:9", "http://127.0.0.1:9"), "validate", "--config", "Caddyfile")
	if !ok || strings.Contains(output, `"level":"error"`) {
		t.Errorf("got ok %t, want the configuration accepted without errors:\n%s", ok, output)
	}
}
