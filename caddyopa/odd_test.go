// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"net/http"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"
)

// oddValues are values that no member of a result is meant to have, or just about.
var oddValues = []string{
	`null`, `true`, `false`, `0`, `1`, `-1`, `1.5`, `1e400`, `200`, `302`, `403`, `499`, `500`, `99999999999999999999`, `""`, `"true"`, `"403"`,
	`"a\r\nX-Forged: b"`, `"\u0000"`, `"` + strings.Repeat("x", 10_000) + `"`, `[]`, `[true]`, `[null, 1, "a"]`, `[[]]`, `{}`, `{"": ""}`, `{"allow": true}`,
	`{"X-Role": null}`, `{"X-Role": "a\r\nb"}`, `{"Set-Cookie": "a=b"}`, `{"Location": "https://evil.example"}`, `{"max_age": 1e400, "scope": 1}`,
	strings.Repeat(`[`, 70) + strings.Repeat(`]`, 70), `{1, "a"}`, `set()`,
}

// Whatever stands in a member of a result, only `allow` or `allowed` with the boolean
// true grants, what the upstream and the client get is well-formed and permitted, and a
// refusal is one.
func TestSec_S301_S318_OddValuesInEachMember(t *testing.T) {
	p := &PEP{logger: zap.NewNop(), Config: Config{SetHeaders: []string{"X-Role"}}}
	for name := range memberNames {
		for _, odd := range oddValues {
			for _, allow := range []string{`"allow": true, `, `"allow": false, `, ``} {
				text := `{` + allow + `"` + name + `": ` + odd + `}`
				if name == "allow" {
					text = `{"` + name + `": ` + odd + `}`
				}
				v := p.read(ast.MustParseTerm(text).Value)
				wants := strings.Contains(allow, "true") && name != "allow" || name == "allow" && odd == "true" || name == "allowed" && odd == "true"
				if contradicts := name == "allowed" && allow == `"allow": false, `; v.outcome == granted && (!wants || contradicts) {
					t.Errorf("%s: granted", text)
				}
				checkEffects(t, text, v)
				for _, authenticated := range []bool{true, false} {
					refusal := p.refusalFor(asked(p, authenticated), v)
					if (refusal == nil) != (v.outcome == granted) {
						t.Errorf("%s: %s, refused by %v", text, v.outcome, refusal)
					}
					if refusal != nil && (refusal.Status < 400 || refusal.Status > 500) {
						t.Errorf("%s: refused with %d", text, refusal.Status)
					}
				}
			}
		}
	}
}

// checkEffects checks what a verdict changes.
func checkEffects(t *testing.T, text string, v *verdict) {
	t.Helper()
	upstream, client := http.Header{"X-Kept": {"a"}}, http.Header{}
	v.apply(upstream)
	v.addResponseHeaders(client)
	for name := range upstream {
		if name != "X-Role" && name != "X-Kept" {
			t.Errorf("%s: the upstream gets %s", text, name)
		}
	}
	for name, values := range client {
		if name == "Set-Cookie" || name == "Location" || !httpguts.ValidHeaderFieldName(name) {
			t.Errorf("%s: the client gets %q", text, name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				t.Errorf("%s: the client gets %q: %q", text, name, value)
			}
		}
	}
	for _, value := range upstream["X-Role"] {
		if !httpguts.ValidHeaderFieldValue(value) {
			t.Errorf("%s: the upstream gets X-Role: %q", text, value)
		}
	}
	if upstream.Get("X-Kept") != "a" {
		t.Errorf("%s: a header that is not the policy's is gone", text)
	}
}
