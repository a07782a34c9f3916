// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// FuzzCaddyfile feeds both directives with anything. A Caddyfile that is accepted makes
// a handler that is accepted as JSON too, and whose rules compile; no Caddyfile makes a
// panic.
func FuzzCaddyfile(f *testing.F) {
	const rules = "path /todos/? {\nGET HEAD scope view and (edit or all)\nPOST public\n? scope all {\nresource_name todos\n}\n}\n"
	for _, options := range []string{
		"",
		"obtain_rpt\npushed_claims id_token\nredirect_claim_gathering_url\nclaims_redirect_path /claims\n",
		"obtain_rpt true\nrequire_id_token true\nrequesting_party access_token\n",
		"obtain_rpt\npushed_claims `{\"name\": userinfo.name, \"path\": request.path}`\npushed_claims_alg EdDSA\nclaim_token_format urn:x\n",
		"obtain_rpt false\nredirect_claim_gathering_url false\nrequesting_party client\n",
		"registration prune\nresource_prefix \"x: \"\ndry_run\nlog_grants\ndeny_by_default false\nambiguous_paths allow\nencoded_slashes keep\n",
	} {
		f.Add("gluu_uma_pep main {\n" + rules + options + "}")
	}
	f.Add("gluu_uma_auth main {\nanonymous guest\nupstream_headers off\n}")
	f.Fuzz(func(t *testing.T, source string) {
		if strings.Contains(source, "_file") || strings.Contains(source, "openapi") || strings.Contains(source, "trust_pool") {
			return // would read files of the machine
		}
		tokens, err := caddyfile.Tokenize([]byte(source), "Caddyfile")
		if err != nil || len(tokens) == 0 {
			return
		}
		_ = new(UMAAuth).UnmarshalCaddyfile(caddyfile.NewDispenser(tokens))

		pep := new(UMAPEP)
		if pep.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)) != nil {
			return
		}
		encoded, err := json.Marshal(pep)
		if err != nil {
			t.Fatal(err)
		}
		again := new(UMAPEP)
		if err := json.Unmarshal(encoded, again); err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		if err := again.check(); err != nil {
			t.Errorf("accepted as a Caddyfile and refused as JSON: %v\n%s", err, source)
		}
		if _, err := again.Policy(); err != nil {
			t.Errorf("accepted, and the rules do not compile: %v\n%s", err, source)
		}
	})
}
