// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// FuzzCaddyfile feeds both directives with anything. A Caddyfile that is
// accepted makes a handler whose rules compile; no Caddyfile makes a panic.
func FuzzCaddyfile(f *testing.F) {
	for _, seed := range []string{
		"gluu_oauth_pep {\npath /users/?/{todos|photos} {\nGET scope admin and (employee or customer)\nPOST PUT scope ^todos:(?<PC1>.+)$\n? scope admin\n}\ndry_run\n}",
		"gluu_oauth_pep {\npath /x {\nGET scope a {\nacr gold\nmax_age 5m\n}\n}\ndeny_by_default false\nambiguous_paths allow\nlog_grants\n}",
		"gluu_oauth_pep {\noauth_scope_expression `[{\"path\":\"/x\",\"conditions\":[{\"httpMethods\":[\"GET\"],\"scope_expression\":{\"rule\":{\"var\":0},\"data\":[\"a\"]}}]}]`\n}",
		"gluu_oauth_pep {\npath /x {\nGET public\nPOST authenticated {\nacr gold\n}\n? scope a\n}\nencoded_slashes keep\n}",
		"gluu_oauth_auth {\noptional\n}",
		"gluu_oauth_pep {\noauth_scope_expression <<X\n[]\nX\n}",
		"gluu_oauth_auth main {\nanonymous guest\nanonymous_on missing\ntoken_from header X-A\ntoken_from query t\ntoken_from cookie c\ntoken_from form\npass_credentials phantom_token\nphantom_token_alg RS256\nconsumer_mapping false\nupstream_headers off\nrealm x\n}",
		"gluu_oauth_pep { path /{\ufffd} {\nGET scope a\n}\n}",
		"gluu_oauth_auth {\nheader X-A consumer.id string\nheader X-B introspect_data.roles list ;\nheader_each X-C-{*} introspect_data.x\n}",
		"gluu_oauth_auth {\nop_url https://as.example\nclient_id a\nclient_secret b\ntrust_pool file a.pem\n}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		if strings.Contains(source, "_file") || strings.Contains(source, "trust_pool") {
			return // would read files of the machine
		}
		tokens, err := caddyfile.Tokenize([]byte(source), "Caddyfile")
		if err != nil || len(tokens) == 0 {
			return
		}
		auth := new(OAuthAuth)
		_ = auth.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens))

		pep := new(OAuthPEP)
		if err := pep.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err != nil {
			return
		}
		if _, err := pep.Policy(); err != nil {
			t.Errorf("a Caddyfile was accepted whose rules do not compile: %v\n%s", err, source)
		}
	})
}
