// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

func stop(t *testing.T) {
	t.Helper()
	if err := caddy.Stop(); err != nil {
		t.Error(err)
	}
}

func TestCaddyfile(t *testing.T) {
	const rules = `[{"path":"/a","conditions":[{"httpMethods":["GET"],"scope_expression":{"rule":{"var":0},"data":["s"]}}]}]`
	for source, want := range map[string]string{
		"gluu_uma_pep {\n path /a {\n GET scope s\n }\n }":      `{"uma_scope_expression":` + rules + `}`,
		"gluu_uma_pep main {\n path /a {\n GET scope s\n }\n }": `{"provider":"main","uma_scope_expression":` + rules + `}`,
		"gluu_uma_pep {\n uma_scope_expression `" + rules + "`\n registration prune\n resource_prefix \"x: \"\n dry_run\n log_grants\n deny_by_default false\n ambiguous_paths allow\n}":                                  `{"deny_by_default":false,"ambiguous_paths":"allow","dry_run":true,"log_grants":true,"uma_scope_expression":` + rules + `,"resource_prefix":"x: ","registration":"prune"}`,
		"gluu_uma_pep {\n path /a {\n GET scope s\n }\n obtain_rpt\n require_id_token true\n pushed_claims `{\"a\": userinfo.a}`\n pushed_claims_alg none\n claim_token_format urn:x\n requesting_party access_token\n }": `{"uma_scope_expression":` + rules + `,"obtain_rpt":true,"require_id_token":true,"pushed_claims":"{\"a\": userinfo.a}","pushed_claims_alg":"none","claim_token_format":"urn:x","requesting_party":"access_token"}`,
	} {
		p := new(UMAPEP)
		if err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(source)); err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		got, err := json.Marshal(p)
		if err != nil || string(got) != want {
			t.Errorf("%s\n got %s, %v\nwant %s", source, got, err, want)
		}
	}
}

func TestRefusedWhenTheConfigurationLoads(t *testing.T) {
	const get = "path /a {\n GET scope s\n }"
	for rules, want := range map[string]string{
		"":                                 "no rules",
		"registration maybe\n" + get:       "on, off or prune",
		"resource_prefix \"a\tb\"\n" + get: "control characters",
		"registration off\nregistration prune\n" + get:                                   "registration is set twice",
		"resource_prefix a\nresource_prefix b\n" + get:                                   "resource_prefix is set twice",
		"deny_by_default true\ndeny_by_default false\n" + get:                            "deny_by_default is set twice",
		"path /a {\n GET scope s {\n resource_id \"\"\n }\n }":                           "resource_id is empty: write a value or remove it, at Testfile:4",
		"path /a {\n GET scope s {\n resource_name \"\"\n }\n }":                         "resource_name is empty: write a value or remove it, at Testfile:4",
		"path /a {\n GET scope s {\n resource_id a\n resource_id b\n }\n }":              "resource_id is set twice",
		"path /a {\n GET scope s {\n resource_name a\n resource_name b\n }\n }":          "resource_name is set twice",
		"obtain_rpt maybe\n" + get:                                                       "obtain_rpt is true or false",
		"obtain_rpt\nobtain_rpt\n" + get:                                                 "obtain_rpt is set twice",
		"require_id_token\nrequire_id_token\n" + get:                                     "require_id_token is set twice",
		"pushed_claims id_token\n" + get:                                                 "pushed_claims has no effect without 'obtain_rpt'",
		"requesting_party client\n" + get:                                                "requesting_party has no effect without 'obtain_rpt'",
		"obtain_rpt\nrequesting_party person\n" + get:                                    "requesting_party is client or access_token, not \"person\"",
		"obtain_rpt\npushed_claims id_token.\n" + get:                                    "pushed_claims: expression \"id_token.\"",
		"obtain_rpt\npushed_claims other.claim\n" + get:                                  "the variables are id_token, userinfo, request",
		"obtain_rpt\npushed_claims userinfo\npushed_claims_alg HS256\n" + get:            "pushed_claims_alg is ES256, RS256, EdDSA or none, not \"HS256\"",
		"obtain_rpt\npushed_claims id_token\npushed_claims_alg none\n" + get:             "pushed_claims_alg has no effect",
		"obtain_rpt\nclaim_token_format urn:x\n" + get:                                   "claim_token_format has no effect without 'pushed_claims'",
		"obtain_rpt\npushed_claims id_token\nclaim_token_format jwt\n" + get:             "claim_token_format \"jwt\" is not an absolute URI",
		"redirect_claim_gathering_url\nclaims_redirect_path /c\n" + get:                  "redirect_claim_gathering_url has no effect without 'obtain_rpt'",
		"obtain_rpt\nredirect_claim_gathering_url\n" + get:                               "needs 'claims_redirect_path <path>'",
		"obtain_rpt\nclaims_redirect_path /c\n" + get:                                    "claims_redirect_path has no effect without",
		"obtain_rpt\nredirect_claim_gathering_url\nclaims_redirect_path c\n" + get:       "is not a path",
		"obtain_rpt\nredirect_claim_gathering_url\nclaims_redirect_path //c\n" + get:     "is not a path",
		"obtain_rpt\nredirect_claim_gathering_url\nclaims_redirect_path /\n" + get:       "is the front page",
		"obtain_rpt\nredirect_claim_gathering_url\nclaims_redirect_path /a%2Fb\n" + get:  "has an escape",
		"obtain_rpt\nredirect_claim_gathering_url\nclaims_redirect_path /c?x\n" + get:    "is not a fixed path",
		"obtain_rpt\nredirect_claim_gathering_url\nclaims_redirect_path /a/../b\n" + get: "claims_redirect_path",
		"oauth_scope_expression x\n" + get:                                               `there is no "oauth_scope_expression"`,
		"path /a {\n GET scope not s\n }":                                                "not",
		"path /a {\n GET scope ^s.*\n }":                                                 "pattern",
		"path /a {\n GET scope s {\n resource_id a\n resource_name b\n }\n }":            "resource_",
	} {
		p := new(UMAPEP)
		err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser("gluu_uma_pep {\n" + rules + "\n}"))
		if err == nil {
			_, err = p.Policy()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error about %q", rules, err, want)
		}
	}
	auth := caddyfile.NewTestDispenser("gluu_uma_auth {\n pass_credentials phantom_token\n phantom_token_alg HS256\n}")
	if err := new(UMAAuth).UnmarshalCaddyfile(auth); err == nil || !strings.HasSuffix(err.Error(), "ES256, RS256, EdDSA or none, not \"HS256\", at Testfile:3") {
		t.Errorf("phantom_token_alg HS256: got %v", err)
	}
	for _, arguments := range []string{"a b", "missing"} {
		source := fmt.Sprintf("{\n gluu {\n provider {\n issuer http://127.0.0.1:1\n verify jwt\n}\n}\n}\nhttp://127.0.0.1:1 {\n gluu_uma_pep %s {\n%s\n}\n}", arguments, get)
		adapted, err := caddytest.Adapt(source)
		if err == nil {
			err = validate(adapted)
		}
		if err == nil {
			t.Errorf("%s: loaded", arguments)
		}
	}
	adapted, err := caddytest.Adapt("{\n gluu {\n provider {\n issuer http://127.0.0.1:1\n verify jwt\n}\n}\n}\nhttp://127.0.0.1:1 {\n gluu_uma_pep {\n" + get + "\n}\n}")
	if err == nil {
		err = validate(adapted)
	}
	if err == nil || !strings.Contains(err.Error(), "client_id") {
		t.Errorf("a provider without client_id: %v", err)
	}
}

func validate(config []byte) error {
	parsed := new(caddy.Config)
	if err := json.Unmarshal(config, parsed); err != nil {
		return err
	}
	return caddy.Validate(parsed)
}
