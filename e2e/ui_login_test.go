// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

const uiLoginCaddyfile = `
{
	gluu {
		provider {
			issuer {$ISSUER}
			client_id web
			client_secret web-secret
		}
	}
}
{$SITE} {
	gluu_openid_connect {
		base_url {$BASE_URL}
		requested_scopes openid
		logout_path /logout
		post_logout_redirect_path_or_url /goodbye
	}
	gluu_ui {
		roles {
			admin "id_token.sub == 'ann'"
			viewer "id_token.sub == 'bob'"
		}
	}
}
`

// uiLogin is a site with pages at which people log in at a real OpenID Provider.
type uiLogin struct {
	*harness.Gateway
	t     *testing.T
	pages string
}

func startUILogin(t *testing.T) *uiLogin {
	t.Helper()
	front := harness.StartRelay(t, "127.0.0.1:9")
	s := &uiLogin{t: t, pages: "http://" + front.Addr + "/"}
	client := harness.LoginClient("web", "web-secret")
	client["redirect_uris"] = []string{s.pages + "callback"}
	client["post_logout_redirect_uris"] = []string{s.pages + "goodbye"}
	server := harness.StartOIDCProvider(t, harness.OIDCConfig{
		Scopes: []string{"openid"}, Clients: []map[string]any{client}, Person: "ann", Interactive: true,
	})
	s.Gateway = harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: uiLoginCaddyfile, Env: map[string]string{"ISSUER": server.Issuer, "BASE_URL": strings.TrimSuffix(s.pages, "/")},
	})
	front.ForwardTo(s.Gateway.Addr)
	return s
}

// login opens a page as a person, in a window of their own.
func (s *uiLogin) login(browser *harness.Browser, name, page string) (*harness.Window, *harness.Tab) {
	s.t.Helper()
	window := browser.Window(s.t)
	tab := window.Tab()
	tab.Open(s.pages + page)
	tab.Type("input[name=name]", name)
	tab.Click("button")
	tab.WaitLocation(s.pages + page)
	for cookie, value := range window.Cookies() {
		if strings.Contains(cookie, "gluu_") {
			s.Forbid(value)
		}
	}
	return window, tab
}

// People log in at an OpenID Provider, and each has the role of the claims. A session on
// the pages ends with the login: by an administrator on a page, and by a logout.
func TestPeopleLogInToThePages(t *testing.T) {
	t.Parallel()
	s := startUILogin(t)
	browser := harness.StartBrowser(t)
	annWindow, ann := s.login(browser, "ann", "")
	ann.WaitText("Overview")
	ann.WaitText("admin")
	_, eve := s.login(browser, "eve", "consumers")
	eve.WaitText("no expression of roles is true for you")
	_, bob := s.login(browser, "bob", "consumers")
	bob.WaitText("viewer")
	if text := bob.Text(); strings.Contains(text, "New consumer") {
		t.Errorf("a viewer is offered a change: %s", text)
	}
	refused := bob.Eval(`fetch("consumer", {method: "POST", body: new URLSearchParams({username: "mallory"})}).then(r => r.status)`)
	if refused != "403" {
		t.Errorf("a change by a viewer: got %s, want 403", refused)
	}

	ann.Open(s.pages + "sessions?sub=bob")
	ann.Click(`form[action="sessions-end"] button`)
	ann.WaitText("Sessions ended: 1")
	// A browser would be sent to the provider, where bob is still logged in.
	const ask = `fetch("consumers", {headers: {Accept: "application/json"}}).then(r => r.status)`
	if status := bob.Eval(ask); status != "401" {
		t.Errorf("when his session has ended the pages answer bob %s, want 401", status)
	}

	second := annWindow.Tab()
	second.Open(s.pages)
	second.WaitText("Overview")
	ann.Open(s.pages + "logout")
	if status := second.Eval(ask); status != "401" {
		t.Errorf("after the logout the pages answer %s, want 401", status)
	}
}

const uiCertificateCaddyfile = `
{
	skip_install_trust
	auto_https disable_redirects
	default_sni localhost
}
https://localhost:{$PORT} {
	tls internal {
		client_auth {
			mode require_and_verify
			trust_pool file staff.pem
		}
	}
	gluu_ui {
		roles {
			admin "certificate.common_name == 'ann'"
			viewer "certificate.common_name == 'bob'"
		}
	}
}
`

// A client certificate is the login, where the site verifies one.
func TestACertificateOpensThePages(t *testing.T) {
	t.Parallel()
	people := map[string]tls.Certificate{}
	staff := ""
	for _, name := range []string{"ann", "bob", "carl", "eve"} {
		people[name], _ = certificate(t, name)
		if name != "eve" {
			staff += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: people[name].Certificate[0]}))
		}
	}
	g := harness.StartGateway(t, harness.GatewayConfig{Caddyfile: uiCertificateCaddyfile, Files: map[string]string{"staff.pem": staff}})
	ask := func(method, path, name, host string, form url.Values) (status int, body string) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}}, Timeout: patience}
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		defer client.CloseIdleConnections()
		if name != "" {
			client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{people[name]}
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "https://"+g.Addr+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer, err := client.Do(r)
		if err != nil {
			return 0, err.Error()
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}
	const own = "localhost"
	harness.Eventually(t, patience, func() string {
		if status, body := ask("GET", "/", "ann", own, nil); status != http.StatusOK || !strings.Contains(body, "Overview") {
			return body
		}
		return ""
	})
	_, page := ask("GET", "/consumer", "ann", own, nil)
	_, token, _ := strings.Cut(page, `name="token" value="`)
	token, _, _ = strings.Cut(token, `"`)
	for _, c := range []struct {
		what, method, path, name, host string
		token                          string
		want                           int
	}{
		{"an admin changes", "POST", "/consumer", "ann", own, token, http.StatusSeeOther},
		{"with the token of another certificate", "POST", "/consumer", "bob", own, token, http.StatusForbidden},
		{"a viewer looks", "GET", "/consumers", "bob", own, "", http.StatusOK},
		{"one without a role", "GET", "/", "carl", own, "", http.StatusForbidden},
		{"one whom the site does not know", "GET", "/", "eve", own, "", 0},
		{"no certificate", "GET", "/", "", own, "", 0},
		{"another host", "GET", "/", "ann", "evil.example", "", http.StatusMisdirectedRequest},
	} {
		t.Run(c.what, func(t *testing.T) {
			if c.want != http.StatusMisdirectedRequest {
				c.host = strings.Replace(g.Addr, "127.0.0.1", own, 1)
			}
			form := url.Values{"username": {"by-certificate"}, "token": {c.token}}
			if c.method == "GET" {
				form = nil
			}
			status, body := ask(c.method, c.path, c.name, c.host, form)
			if status != c.want {
				t.Errorf("got %d %.300s, want %d", status, body, c.want)
			}
		})
	}
}
