// SPDX-License-Identifier: Apache-2.0

package caddyoidc_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/redistest"
)

func TestSec_S151_ConfigurationsThatAreRefused(t *testing.T) {
	s := newSite(t)
	for handlers, want := range map[string]string{
		"logout_path callback":                                        "is not a path",
		"logout_path /callback":                                       `authorization_redirect_path and logout_path are both "/callback"`,
		"logout_path /a\nbackchannel_logout_path /a":                  `are both "/a"`,
		"logout_path /out\ninitiate_login_path /out":                  `are both "/out"`,
		"logout_path /a/../b":                                         "logout_path",
		"logout_path /out?x":                                          "is not a fixed path",
		"requested_scopes email":                                      "lacks openid",
		"authorization_param prompt none":                             "set by the gateway itself",
		"authorization_param claims x":                                "set by the gateway itself",
		"authorization_param a":                                       "takes a name and a value",
		"par maybe":                                                   `par is auto, on or off, not "maybe"`,
		"acr yes":                                                     "acr is",
		"unauthenticated never":                                       "unauthenticated is",
		"cookie_name __Host-x\ncookie_domain e.example":               "exclude each other",
		"cookie_name gluu_login_x":                                    "taken by the gateway's own cookies",
		"cookie_name __Host-x":                                        "needs https",
		"cookie_same_site none":                                       "needs https",
		"restore_original_auth_params\nunauthenticated deny":          "has no effect",
		"restore_original_auth_params true 2MiB":                      "is not a size",
		"anonymous guest":                                             "without 'unauthenticated pass'",
		"unauthenticated pass\nanonymous guest":                       `there is no consumer "guest"`,
		"consumer_mapping true":                                       "needs consumer_claim",
		"max_id_token_age 100ms":                                      "takes a second at least",
		"clock_leeway 1h":                                             "clock_leeway",
		"idle_timeout -1s":                                            "idle_timeout",
		"path /a {\nGET acr\n}":                                       "acr takes one or more",
		"path /a {\nGET gold\n}":                                      "a rule is",
		"path /a {\nGET no_auth\nGET login\n}":                        "two conditions",
		"path /callback {\nGET no_auth\n}":                            "needs no rule",
		"path /a {\nget login\n}":                                     `"get" is not a method`,
		"required_acrs_expression []":                                 "no paths",
		"base_url https://a.example/x":                                "not an origin",
		"base_url http://a.example":                                   "base_url",
		"resource api":                                                "not an absolute URI",
		"header X-A nothing.there":                                    "nothing",
		"no_such_option 1":                                            "no_such_option",
		"realm a\nrealm b":                                            "twice",
		"userinfo off 5m":                                             "has no interval",
		"logout_path /":                                               "is the front page",
		"authorization_redirect_path /":                               "is the front page",
		"logout_path /a%2Fb":                                          "has an escape",
		"landing_path /a%20b":                                         "has an escape",
		"base_url https://app.example:99999":                          "no valid port",
		"base_url https://*.example.com":                              "wildcard",
		"requested_scopes openid email openid":                        `"openid" is there twice`,
		"max_id_token_age 0":                                          "max_id_token_age is 0s; it takes a second at least",
		"max_id_token_auth_age 0s":                                    "max_id_token_auth_age is 0s; it takes a second at least",
		"session_max_age 0":                                           "session_max_age is 0s; it takes a second at least",
		"userinfo on 0":                                               "userinfo is 0s; it takes a second at least",
		"restore_original_auth_params false 64KiB":                    "is false, so it has no size",
		"cookie_domain other.example\nbase_url https://a.example.com": `"other.example" is not "a.example.com" or a domain above it`,
		"cookie_domain .example\nbase_url https://a.example.com":      "is not a domain",
		"required_acrs_expression `[{\"path\": \"/a\", \"path\": \"/b\", \"conditions\": [{\"httpMethods\": [\"GET\"], \"no_auth\": true}]}]`": "name each member once",
		"provider other": "provider",
	} {
		t.Run(strings.ReplaceAll(handlers, "\n", "; "), func(t *testing.T) {
			err := s.run("", "gluu_openid_connect {\n"+handlers+"\n}")
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want an error with %q", err, want)
			}
		})
	}
	for app, want := range map[string]string{
		"session {\nkey short\n}":                     "32 are needed",
		"session {\nsize 0\n}":                        "size",
		"session {\nstore nowhere\n}":                 `store has no engine "nowhere": write one of embedded, postgres, redis`,
		"session {\nstore_grace 2h\n}":                "store_grace",
		"session {\nstore redis redis://127.0.0.1\n}": "key",
		"session here":                                "takes a block",
		"store nowhere":                               `store has no engine "nowhere": write one of embedded, postgres, redis`,
		"store":                                       "names an engine",
		"store redis redis://127.0.0.1":               "key",
		"store embedded\nstore embedded":              "twice",
	} {
		if err := s.run(app, "gluu_openid_connect"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", app, err, want)
		}
	}
}

// The store of the app is that of the sessions, unless they name one.
func TestSessionsAreInTheStoreOfTheApp(t *testing.T) {
	redis := redistest.Start(t)
	shared := "store redis " + redis.URL() + " {\nkey 0123456789abcdef0123456789abcdef\n}\n"
	keys := func() int64 {
		n, err := redis.Client().Do(t.Context(), redis.Client().B().Dbsize().Build()).AsInt64()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	s := newSite(t)
	s.mustRun(shared+"session {\nstore embedded\n}", "gluu_openid_connect")
	before := keys()
	if status, body, _ := s.get(s.browser(), "/", nil); status != 200 || keys() != before {
		t.Errorf("with a store of their own: got %d %s and %d records in Redis, want %d", status, body, keys(), before)
	}
	s.mustRun(shared, "gluu_openid_connect")
	before = keys()
	if status, body, _ := s.get(s.browser(), "/", nil); status != 200 || keys() == before {
		t.Errorf("with the app's store: got %d %s and no record in Redis", status, body)
	}
}

func TestTwoProvidersOfASiteNeedTwoCookies(t *testing.T) {
	s := newSite(t)
	for options, want := range map[string]string{
		"client_id other":                             `give one of them a cookie_name of its own`,
		"client_id other\ncookie_name second":         "",
		"client_id web":                               "",
		"client_id web\nrealm another":                "",
		"issuer https://b.example\nclient_id w":       `give one of them a cookie_name of its own`,
		"client_id other\nbase_url https://b.example": "", // cookies of another host
	} {
		t.Run(strings.ReplaceAll(options, "\n", "; "), func(t *testing.T) {
			if !strings.Contains(options, "issuer") {
				options = "issuer " + s.op.Issuer() + "\n" + options
			}
			err := s.run("", "gluu_openid_connect\nhandle /other/* {\ngluu_openid_connect {\nclient_secret secret\nauthorization_redirect_path /other/callback\n"+options+"\n}\nrespond other\n}")
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestNoUpstreamSeesTheSessionOfAnotherHandler(t *testing.T) {
	s := newSite(t)
	s.mustRun("", "gluu_openid_connect\nhandle /other/* {\ngluu_openid_connect {\nissuer "+s.op.Issuer()+"\nclient_id other\nclient_secret secret\nauthorization_redirect_path /other/callback\ncookie_name second\n}\nrespond other\n}")
	if status, body, _ := s.get(s.browser(), "/", http.Header{"Cookie": {"second=secret; theme=dark"}}); status != 200 || !strings.Contains(body, "theme=dark") || strings.Contains(body, "second") {
		t.Errorf("got %d %s, want the other cookie alone", status, body)
	}
}

func TestASiteThatIsForAnyHostNeedsABaseURL(t *testing.T) {
	s := newSite(t)
	_, port, _ := strings.Cut(s.address, ":")
	source := func(site, options string) string {
		return fmt.Sprintf("{\n%s\ngluu {\nprovider {\nissuer %s\nclient_id web\nclient_secret x\n}\n}\n}\n%s {\ngluu_openid_connect {\n%s\n}\nrespond ok\n}", caddytest.Options(s.dir, ""), s.op.Issuer(), site, options)
	}
	for _, test := range []struct{ site, options, want string }{
		{":" + port, "", "names no host"},
		{"http://app.example.com:" + port, "", "no TLS"},
		{"http://app.example.com:" + port, "base_url https://app.example.com", ""},
		{"http://app.example.com:" + port, "base_url HTTPS://APP.example.com", ""},
		{"http://app.example.com:" + port, "base_url https://app.example.com\ncookie_domain example.com", ""},
		{"http://app.example.com:" + port, "base_url https://app.example.com\ncookie_domain ple.com", "or a domain above it"},
		{":" + port, "base_url https://app.example.com", ""},
	} {
		err := caddytest.Run(source(test.site, test.options), s.address)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s %s: got %v, want %q", test.site, test.options, err, test.want)
		}
	}
}
