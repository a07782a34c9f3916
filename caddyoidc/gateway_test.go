// SPDX-License-Identifier: Apache-2.0

package caddyoidc_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gluu/gateway/caddyadmin"
	_ "github.com/caddy-gluu/gateway/caddyoauth"
	_ "github.com/caddy-gluu/gateway/caddyoidc"
	_ "github.com/caddy-gluu/gateway/caddystore"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/optest"
)

// site is a gateway with an OpenID Provider, in the process of the test.
type site struct {
	*testing.T
	op      *optest.OP
	dir     string
	address string
	admin   string // the address of the admin endpoint, "" if it is off

	provider string // further options of the provider

	mu      sync.Mutex
	cookies []string // that the gateway has set
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{T: t, op: optest.New(t), dir: t.TempDir(), address: caddytest.FreeAddress(t)}
	t.Setenv("XDG_DATA_HOME", s.dir)
	s.op.Client.RedirectURIs = []string{s.url("/callback")}
	s.op.Client.PostLogout = []string{s.url("/goodbye")}
	t.Cleanup(s.noSecretIsLogged) // when the gateway has stopped
	caddytest.StopAfter(t)
	return s
}

// noSecretIsLogged searches the log at debug for what a reader could use: cookies of the
// gateway, codes, tokens, states and nonces.
func (s *site) noSecretIsLogged() {
	log, err := os.ReadFile(filepath.Join(s.dir, "log.json"))
	if err != nil {
		return // the gateway was never started
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range append(s.op.Secrets(), s.cookies...) {
		if strings.Contains(string(log), secret) {
			s.Errorf("the log contains %q", secret)
		}
	}
}

// RoundTrip implements http.RoundTripper for browsers, and keeps the cookies that the
// gateway sets.
func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || r.URL.Host != s.address {
		return res, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range res.Cookies() {
		if strings.Contains(c.Name, "gluu_") && c.Value != "" {
			s.cookies = append(s.cookies, c.Value)
		}
	}
	return res, nil
}

func (s *site) url(path string) string { return "http://" + s.address + path }

// run starts the gateway, or reloads it, with options of the app and the site.
func (s *site) run(app, handlers string) error {
	return caddytest.Run(fmt.Sprintf(`{
	%s
	gluu {
		provider {
			issuer %s
			client_id web
			client_secret web-secret
			%s
		}
		%s
	}
}
http://%s {
	%s
	respond "user {gluu.subject} mail {gluu.userinfo.email} acr {gluu.acr} claim {gluu.token.sub} auth {http.auth.user.id} header {header.X-Authenticated-Userid} custom {header.X-Mail} cookie {header.Cookie} authorization {header.Authorization} session {gluu.session}"
}`, caddytest.Options(s.dir, s.admin), s.op.Issuer(), s.provider, app, s.address, handlers), s.address)
}

func (s *site) mustRun(app, handlers string) {
	s.Helper()
	if err := s.run(app, handlers); err != nil {
		s.Fatal(err)
	}
}

func (s *site) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: s}
}

func (s *site) get(client *http.Client, path string, header http.Header) (status int, body string, h http.Header) {
	s.Helper()
	req, err := http.NewRequest(http.MethodGet, s.url(path), nil)
	if err != nil {
		s.Fatal(err)
	}
	maps.Copy(req.Header, header)
	if header == nil {
		req.Header.Set("Accept", "text/html")
	}
	res, err := client.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	return res.StatusCode, string(text), res.Header
}

var program = http.Header{"Accept": {"application/json"}}
