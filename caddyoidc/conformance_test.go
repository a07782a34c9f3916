// SPDX-License-Identifier: Apache-2.0

package caddyoidc_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/optest"
	"github.com/caddy-gluu/gateway/jose"
)

// The rows are modules of the OpenID Foundation's conformance suite for relying
// parties, by their names, over the whole of the flow. Those about a single token
// are in TestSec_S160_S169_IDToken and TestLogoutToken.
func TestConformanceOfLogins(t *testing.T) {
	for _, test := range []struct {
		name     string
		fault    func(*testing.T, *optest.OP)
		provider string // further options of the provider
		status   int
		text     string
	}{
		{"oidcc-client-test", nil, "", 200, "user alice "},
		{"oidcc-client-test-scope-userinfo-claims", nil, "", 200, "mail alice@example.com "},
		{"oidcc-client-test-userinfo-invalid-sub", func(_ *testing.T, op *optest.OP) {
			op.EditUserinfo = func(claims map[string]any) { claims["sub"] = "bob" }
		}, "", 502, "cannot be used"},
		{"oidcc-client-test-userinfo-signed", func(_ *testing.T, op *optest.OP) { op.SignUserinfo = true }, "", 200, "mail alice@example.com "},
		{"signed userinfo of another person", func(_ *testing.T, op *optest.OP) {
			op.SignUserinfo = true
			op.EditUserinfo = func(claims map[string]any) { claims["sub"] = "bob" }
		}, "", 502, "cannot be used"},
		{"oidcc-client-test-client-secret-basic", func(t *testing.T, op *optest.OP) {
			op.BeforeToken = func(form url.Values) {
				if form.Has("client_secret") || form.Get("code_verifier") == "" {
					t.Errorf("the token endpoint received %v", form)
				}
			}
		}, "", 200, "user alice "},
		{"oidcc-client-test-discovery-issuer-mismatch", func(_ *testing.T, op *optest.OP) {
			op.EditMetadata = func(document map[string]any) { document["issuer"] = "https://other.example" }
		}, "", 503, ""},
		{"fapi2-security-profile-client-test-token-endpoint-response-without-expires_in", func(_ *testing.T, op *optest.OP) {
			op.EditTokenAnswer = func(answer map[string]any) { delete(answer, "expires_in") }
		}, "", 200, "user alice "},
		{"fapi2-security-profile-client-test-token-type-case-insensitivity", func(_ *testing.T, op *optest.OP) {
			op.EditTokenAnswer = func(answer map[string]any) { answer["token_type"] = "bEARER" }
		}, "", 200, "user alice "},
		{"another token type", func(_ *testing.T, op *optest.OP) {
			op.EditTokenAnswer = func(answer map[string]any) { answer["token_type"] = "DPoP" }
		}, "", 502, "cannot be used"},
		{"fapi2-security-profile-client-test-invalid-alternate-alg", func(t *testing.T, op *optest.OP) {
			key, err := jose.GenerateKey("ES256")
			if err != nil {
				t.Fatal(err)
			}
			op.AddKey(key)
		}, "algorithms RS256", 502, "cannot be used"},
		{"fapi2-security-profile-client-test-invalid-null-alg", func(_ *testing.T, op *optest.OP) {
			op.SignIDToken = func(claims []byte, _ map[string]any) string {
				encode := base64.RawURLEncoding.EncodeToString
				return encode([]byte(`{"alg":"none"}`)) + "." + encode(claims) + "."
			}
		}, "", 502, "cannot be used"},
		{"fapi2-security-profile-client-test-invalid-missing-aud", without("aud"), "", 502, "cannot be used"},
		{"fapi2-security-profile-client-test-invalid-missing-iss", without("iss"), "", 502, "cannot be used"},
		{"fapi2-security-profile-client-test-invalid-missing-nonce", without("nonce"), "", 502, "cannot be used"},
		{"fapi2-security-profile-client-test-invalid-missing-exp", without("exp"), "", 502, "cannot be used"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			if test.fault != nil {
				test.fault(t, s.op)
			}
			s.provider = test.provider
			s.mustRun("", "gluu_openid_connect")
			person := s.browser()
			status, body, _ := s.get(person, "/page", nil)
			if status != test.status || !strings.Contains(body, test.text) {
				t.Errorf("got %d %s, want %d with %q", status, body, test.status, test.text)
			}
			want := http.StatusUnauthorized
			if test.status == http.StatusOK {
				want = http.StatusOK
			}
			if status, body, _ := s.get(person, "/page", program); status != want {
				t.Errorf("afterwards: got %d %s, want %d", status, body, want)
			}
		})
	}
}

// without leaves a claim out of ID tokens.
func without(claim string) func(*testing.T, *optest.OP) {
	return func(_ *testing.T, op *optest.OP) {
		op.EditIDToken = func(claims, _ map[string]any) { delete(claims, claim) }
	}
}

func TestConformanceOfDiscovery(t *testing.T) {
	s := newSite(t)
	s.mustRun("", "gluu_openid_connect")
	if status, body, _ := s.get(s.browser(), "/", nil); status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
	for module, path := range map[string]string{
		"oidcc-client-test-discovery-openid-config": "/.well-known/openid-configuration",
		"oidcc-client-test-discovery-jwks-uri-keys": "/jwks",
	} {
		t.Run(module, func(t *testing.T) {
			if n := s.op.Calls(path); n != 1 {
				t.Errorf("%s was fetched %d times, want once", path, n)
			}
		})
	}
}

// A key that the gateway has not seen is fetched when a token names it, but not
// with each token that names one.
func TestConformanceOfKeyRotation(t *testing.T) {
	for module, rotate := range map[string]func(*optest.OP, jose.PrivateKey){
		"oidcc-client-test-signing-key-rotation":                     (*optest.OP).AddKey,
		"oidcc-client-test-signing-key-rotation-just-before-signing": (*optest.OP).ReplaceKeys,
	} {
		t.Run(module, func(t *testing.T) {
			s := newSite(t)
			s.mustRun("", "gluu_openid_connect")
			if status, body, _ := s.get(s.browser(), "/", nil); status != 200 {
				t.Fatalf("before the rotation: got %d %s", status, body)
			}
			key, err := jose.GenerateKey("RS256")
			if err != nil {
				t.Fatal(err)
			}
			rotate(s.op, key)
			// Within a second of the last fetch no other one is made.
			deadline := time.Now().Add(5 * time.Second)
			status, body, _ := s.get(s.browser(), "/", nil)
			for status != 200 && time.Now().Before(deadline) {
				status, body, _ = s.get(s.browser(), "/", nil)
			}
			if status != 200 || !strings.Contains(body, "user alice ") {
				t.Errorf("after the rotation: got %d %s", status, body)
			}
			if n := s.op.Calls("/jwks"); n != 2 {
				t.Errorf("the keys were fetched %d times, want 2", n)
			}
		})
	}
}

func TestConformanceOfRefresh(t *testing.T) {
	s := newSite(t)
	s.op.AccessLife = 30 * time.Second // due at once
	s.mustRun("", "gluu_openid_connect")
	person := s.browser()
	t.Run("oidcc-client-test-refresh-token", func(t *testing.T) {
		if status, body, _ := s.get(person, "/", nil); status != 200 {
			t.Fatalf("got %d %s", status, body)
		}
		before := s.op.Calls("/token")
		if status, body, _ := s.get(person, "/", program); status != 200 || s.op.Calls("/token") != before+1 {
			t.Errorf("got %d %s after %d more calls, want 200 after one", status, body, s.op.Calls("/token")-before)
		}
	})
}

func TestConformanceOfLogouts(t *testing.T) {
	for module, edit := range map[string]func(url.Values){
		"oidcc-client-test-rp-init-logout":             nil,
		"oidcc-client-test-rp-init-logout-other-state": func(q url.Values) { q.Set("state", "other") },
		"oidcc-client-test-rp-init-logout-no-state":    func(q url.Values) { q.Del("state") },
	} {
		t.Run(module, func(t *testing.T) {
			s := newSite(t)
			s.op.EditLogout = edit
			s.mustRun("", "gluu_openid_connect {\nlogout_path /logout\npost_logout_redirect_path_or_url /goodbye\n}")
			person := s.browser()
			s.get(person, "/", nil)
			if status, body, _ := s.get(person, "/logout", nil); status != 200 || !strings.Contains(body, "user  ") {
				t.Errorf("the page after the logout: got %d %s", status, body)
			}
			if status, _, _ := s.get(person, "/", program); status != 401 {
				t.Errorf("after the logout: got %d, want 401", status)
			}
		})
	}
	for module, logOutFirst := range map[string]bool{
		"oidcc-client-test-rp-frontchannel-opinitlogout": false,
		"oidcc-client-test-rp-frontchannel-rpinitlogout": true, // the frame comes when the session is gone
	} {
		t.Run(module, func(t *testing.T) {
			s := newSite(t)
			var sid string
			s.op.EditIDToken = func(claims, _ map[string]any) { sid, _ = claims["sid"].(string) }
			s.mustRun("", "gluu_openid_connect {\nlogout_path /logout\npost_logout_redirect_path_or_url /goodbye\nfrontchannel_logout_path /frontchannel\n}")
			person := s.browser()
			s.get(person, "/", nil)
			if logOutFirst {
				s.get(person, "/logout", nil)
			}
			frame := "/frontchannel?" + url.Values{"iss": {s.op.Issuer()}, "sid": {sid}}.Encode()
			status, body, h := s.get(s.browser(), frame, nil) // without cookies, as in a frame
			if status != 200 || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors "+s.op.URL) {
				t.Errorf("the frame: got %d %s", status, body)
			}
			if status, _, _ := s.get(person, "/", program); status != 401 {
				t.Errorf("after the logout: got %d, want 401", status)
			}
		})
	}
}
