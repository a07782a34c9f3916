// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	_ "github.com/caddy-gluu/gateway/authserver"
	_ "github.com/caddy-gluu/gateway/caddyoidc"
	_ "github.com/caddy-gluu/gateway/caddyuma"
	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/optest"
)

// The rows about login, UMA and the embedded authorization server.

var otherRefusalScenes = []refusalScene{
	{"UMA", func(s *scene) {
		server := harness.StartUMAServer(s.t, harness.UMAConfig{})
		server.Issue("other-resource", map[string]any{"active": true, "client_id": "client-a", "exp": time.Now().Add(time.Hour).Unix(),
			"permissions": []any{map[string]any{"resource_id": "other", "resource_scopes": []string{"todos:view"}}}})
		s.uma(server.Issuer)
		harness.Eventually(s.t, 20*time.Second, func() string {
			if got := s.request("GET", "/todos/1", "", "X-Ready: 1"); got.status != http.StatusUnauthorized {
				return fmt.Sprint(got.status, got.body)
			}
			return ""
		})
		s.expectRefusal("GET", "/todos/1", "", "X-No-Token: 1")
		s.expectRefusal("GET", "/todos/1", "", "Authorization: Bearer other-resource")
		s.expectRefusal("GET", "/elsewhere", "", "Authorization: Bearer other-resource")
	}},
	{"UMA without a server", func(s *scene) {
		s.server.Close()
		s.uma(s.server.URL)
		s.expectRefusal("GET", "/todos/1", "", "X-No-Token: 1")
	}},
	{"login", func(s *scene) {
		op := optest.New(s.t)
		s.load(fmt.Sprintf("provider {\n issuer %s\n client_id web\n client_secret web-secret\n}", op.Issuer()),
			fmt.Sprintf("gluu_openid_connect {\n base_url http://%s\n}\nreverse_proxy {upstream}", s.address))
		s.expectRefusal("GET", "/", "", "Accept: application/json")
		s.expectRefusal("GET", "/callback?code=a&state=b", "", "Accept: application/json")
		got := s.request("GET", "/", "", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html")
		away, err := url.Parse(got.header.Get("Location"))
		if err != nil || away.Query().Get("state") == "" {
			s.t.Fatalf("got %d %v", got.status, got.header)
		}
		cookie, _, _ := strings.Cut(got.header.Get("Set-Cookie"), ";")
		s.expectRefusal("GET", "/callback?error=access_denied&state="+away.Query().Get("state")+"&iss="+url.QueryEscape(op.Issuer()), "", "Accept: application/json", "Cookie: "+cookie)
	}},
	{"the embedded authorization server", func(s *scene) {
		salt := []byte("0123456789abcdef")
		key, err := pbkdf2.Key(sha512.New, "right", salt, 1000, 32)
		if err != nil {
			s.t.Fatal(err)
		}
		hash := fmt.Sprintf("$pbkdf2-sha512$i=1000,l=32$%s$%s", base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
		s.load("provider unused {\n issuer {issuer}\n client_id gateway\n client_secret secret\n}", fmt.Sprintf("gluu_oauth_server {\n issuer http://%s\n scopes todos:read todos:write\n client app {\n secret %s\n grants client_credentials\n scopes todos:read\n }\n}", s.address, hash))
		for _, form := range []url.Values{
			{"grant_type": {"client_credentials"}},
			{"grant_type": {"client_credentials"}, "client_id": {"app"}, "client_secret": {"wrong"}},
			{"grant_type": {"client_credentials"}, "client_id": {"nobody"}, "client_secret": {"right"}},
			{"grant_type": {"password"}, "client_id": {"app"}, "client_secret": {"right"}},
			{"grant_type": {"client_credentials"}, "client_id": {"app"}, "client_secret": {"right"}, "scope": {"todos:write"}},
			{"client_id": {"app"}, "client_secret": {"right"}},
		} {
			s.keep(s.post("/oauth2/token", form))
		}
		s.expectRefusal("GET", "/oauth2/token", "", "Accept: application/json")
	}},
}

// uma runs a gateway that protects a resource at a UMA server.
func (s *scene) uma(issuer string) {
	s.load(fmt.Sprintf("provider {\n issuer %s\n client_id gateway\n client_secret gateway-secret\n}\nconsumer ann {\n custom_id client-a\n}", issuer),
		"gluu_uma_auth {\n optional\n}\ngluu_uma_pep {\n path /todos/? {\n GET scope todos:view\n }\n}\nreverse_proxy {upstream}")
}

func (s *scene) post(path string, form url.Values) answer {
	s.t.Helper()
	response, err := http.PostForm("http://"+s.address+path, form)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}
