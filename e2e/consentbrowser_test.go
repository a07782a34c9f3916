// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

const consentCaddyfile = `
{$SITE} {
	basic_auth /oauth2/authorize* {
		alice PERSON
	}
	gluu_oauth_server {
		issuer {$SITE}
		scopes openid
		scope todos:read "Read your todos"
		scope todos:write "Change your todos"
		consent_page
		registration {
			open
		}
		client web {
			name "The Todo App"
			type public
			grants authorization_code refresh_token
			scopes openid todos:read todos:write
			redirect_uris http://127.0.0.1/callback
		}
	}
}
`

// consentSite is a server that asks people, and an application that they are sent
// back to, which shows what it got.
type consentSite struct {
	gateway *harness.Gateway
	app     string // its address
}

func newConsentSite(t *testing.T) consentSite {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("password-of-alice"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "back with code=%t error=%q state=%q iss=%q referer=%q", r.URL.Query().Has("code"), r.URL.Query().Get("error"), r.URL.Query().Get("state"), r.URL.Query().Get("iss"), r.Referer())
	}))
	t.Cleanup(app.Close)
	return consentSite{
		harness.StartGateway(t, harness.GatewayConfig{Caddyfile: strings.Replace(consentCaddyfile, "PERSON", string(hash), 1)}), app.URL,
	}
}

// request is the address of an authorization request, which the browser opens with
// the person's password.
func (s consentSite) request(client, scope string) string {
	return "http://alice:password-of-alice@" + s.gateway.Addr + "/oauth2/authorize?" + url.Values{
		"client_id": {client}, "response_type": {"code"}, "redirect_uri": {s.app + "/callback"}, "scope": {scope}, "state": {"a state"},
		"code_challenge": {webChallenge}, "code_challenge_method": {"S256"},
	}.Encode()
}

// Someone with a keyboard alone reads what a client wants and decides, in either
// color scheme; axe-core finds nothing to complain of, and the page needs nothing
// that its policy refuses.
func TestConsentByKeyboardAlone(t *testing.T) {
	t.Parallel()
	site := newConsentSite(t)
	browser := harness.StartBrowser(t)
	for _, test := range []struct {
		theme, scope, keys, focus string
		want                      string
	}{ // a yes would be remembered
		{"dark", "openid todos:read", kb.Tab + kb.Tab, "deny", `back with code=false error="access_denied" state="a state"`},
		{"light", "openid todos:read todos:write", kb.Tab, "allow", `back with code=true error="" state="a state"`},
	} {
		t.Run(test.theme, func(t *testing.T) {
			window := browser.Window(t)
			tab := window.Tab()
			tab.Look(480, test.theme)
			tab.Open(site.request("web", test.scope))
			tab.WaitText("Read your todos")
			if problems := window.Problems(); len(problems) > 0 {
				t.Errorf("the browser complains: %q", problems)
			}
			for _, fault := range tab.Axe() {
				t.Errorf("axe-core: %s", fault)
			}
			if background := tab.Eval("getComputedStyle(document.body).backgroundColor"); (background == "rgb(246, 247, 249)") != (test.theme == "light") {
				t.Errorf("the background is %s", background)
			}
			for _, key := range test.keys {
				tab.Press(string(key))
			}
			if focus := tab.Eval("document.activeElement.value"); focus != test.focus {
				t.Fatalf("the focus is on %q, want the button %q", focus, test.focus)
			}
			if outline := tab.Eval("getComputedStyle(document.activeElement).outlineStyle"); outline != "solid" {
				t.Errorf("the outline of what has the focus is %q", outline)
			}
			tab.Press(kb.Enter)
			tab.WaitText("back with")
			if got := tab.Text(); !strings.Contains(got, test.want) || !strings.Contains(got, "iss="+fmt.Sprintf("%q", "http://"+site.gateway.Addr)) || !strings.Contains(got, `referer=""`) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
