// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

const loginCaddyfile = `
{
	debug
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
	gluu_oauth_pep {
		path /goodbye {
			GET public
		}
		path /?? {
			GET POST scope openid
		}
	}
	reverse_proxy {$UPSTREAM}
}
`

// loginSite is a gateway before an upstream, with a real OpenID Provider at which
// ann logs in. The gateway's own address is that of a relay, which is known
// before either of the two starts.
func loginSite(t *testing.T) (address string, gateway *harness.Gateway, upstream *harness.Upstream) {
	t.Helper()
	upstream = harness.StartUpstream(t)
	front := harness.StartRelay(t, "127.0.0.1:9")
	base := "http://" + front.Addr
	client := harness.LoginClient("web", "web-secret")
	client["redirect_uris"] = []string{base + "/callback"}
	client["post_logout_redirect_uris"] = []string{base + "/goodbye"}
	server := harness.StartOIDCProvider(t, harness.OIDCConfig{
		Scopes: []string{"openid"}, Clients: []map[string]any{client}, Person: "ann",
	})
	gateway = harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: loginCaddyfile,
		Env:       map[string]string{"ISSUER": server.Issuer, "BASE_URL": base, "UPSTREAM": upstream.Addr},
	})
	front.ForwardTo(gateway.Addr)
	return base, gateway, upstream
}

func TestAPersonLogsInAtARealOpenIDProvider(t *testing.T) {
	t.Parallel()
	base, gateway, upstream := loginSite(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	person := &http.Client{Jar: jar, Timeout: 30 * time.Second}
	get := func(path, accept string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", accept)
		res, err := person.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	if status, body := get("/a", "application/json"); status != http.StatusUnauthorized || !strings.Contains(body, "login_required") {
		t.Errorf("a program without a session: got %d %s, want 401", status, body)
	}
	if status, body := get("/a?b=%2B+", "text/html"); status != http.StatusOK {
		t.Fatalf("a person who opens a page: got %d %s, want 200 after the login", status, body)
	}
	received := upstream.Received()
	last := received[len(received)-1]
	if last.Value("X-Authenticated-Userid") != "ann" || !strings.Contains(last.Target, "/a?b=%2B+") || strings.Contains(last.Value("Cookie"), "gluu_") {
		t.Errorf("the upstream received %+v", last)
	}
	home, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range jar.Cookies(home) {
		gateway.Forbid(cookie.Value) // in any log
	}
	if status, _ := get("/b", "application/json"); status != http.StatusOK {
		t.Errorf("with the session: got %d, want 200", status)
	}
	if status, body := get("/logout", "text/html"); status >= 500 {
		t.Errorf("the logout: got %d %s", status, body)
	}
	if status, body := get("/b", "application/json"); status != http.StatusUnauthorized {
		t.Errorf("after the logout: got %d %s, want 401", status, body)
	}
}

// A real browser decides by itself which cookies it keeps and sends, and how it
// labels its requests.
func TestABrowserLogsInAtARealOpenIDProvider(t *testing.T) {
	t.Parallel()
	browser := harness.Chromium(t)
	base, _, upstream := loginSite(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	flags := append(harness.ChromiumFlags(t.TempDir()), "--dump-dom", base+"/page?x=1")
	output, err := exec.CommandContext(ctx, browser, flags...).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	for _, request := range upstream.Received() {
		if strings.Contains(request.Target, "/page?x=1") {
			if got := request.Value("X-Authenticated-Userid"); got != "ann" || request.Value("Sec-Fetch-Dest") != "document" {
				t.Errorf("the upstream received %+v", request)
			}
			return
		}
	}
	t.Errorf("the browser did not come back to the page; it shows %s", output)
}
