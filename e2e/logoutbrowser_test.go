// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// A logout that no ID token of the session speaks for asks the person: by keyboard, in either
// color scheme, without script. One that a client's page posts with the ID token of the
// session, and without the cookie, needs no question.
func TestLogoutAsksThePersonInABrowser(t *testing.T) {
	t.Parallel()
	site := newConsentSite(t)
	browser := harness.StartBrowser(t)
	for _, test := range []struct {
		theme, keys, focus, want string
		active                   bool
	}{
		{"dark", kb.Tab + kb.Tab, "stay", "You are still logged in", true},
		{"light", kb.Tab, "logout", "You are logged out", false},
	} {
		t.Run(test.theme, func(t *testing.T) {
			window := browser.Window(t)
			tab := window.Tab()
			tab.Look(480, test.theme)
			granted := site.allow(t, tab)
			tab.Open("http://" + site.gateway.Addr + "/oauth2/logout?client_id=web")
			tab.WaitText("The Todo App asks to log you out.")
			if problems := window.Problems(); len(problems) > 0 {
				t.Errorf("the browser complains: %q", problems)
			}
			for _, fault := range tab.Axe() {
				t.Errorf("axe-core: %s", fault)
			}
			tab.WithoutScript()
			tab.Open("http://" + site.gateway.Addr + "/oauth2/logout?client_id=web")
			for _, key := range test.keys {
				tab.Press(string(key))
			}
			if focus := tab.Eval("document.activeElement.value"); focus != test.focus {
				t.Fatalf("the focus is on %q, want the button %q", focus, test.focus)
			}
			tab.Press(kb.Enter)
			tab.WaitText(test.want)
			if active := site.isActive(t, granted.AccessToken); active != test.active {
				t.Errorf("the token is active: %t, want %t", active, test.active)
			}
		})
	}
	t.Run("posted by another site", func(t *testing.T) {
		tab := browser.Window(t).Tab()
		granted := site.allow(t, tab)
		page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<form method="post" action="http://%s/oauth2/logout"><input type="hidden" name="id_token_hint" value="%s"><button>Out</button></form>`, site.gateway.Addr, granted.IDToken)
		}))
		defer page.Close()
		tab.Open(strings.Replace(page.URL, "127.0.0.1", "localhost", 1))
		tab.Click("button")
		tab.WaitText("You are logged out")
		if site.isActive(t, granted.AccessToken) {
			t.Error("the token is active")
		}
	})
}

type grantedTokens struct {
	AccessToken string `json:"access_token"`
	IDToken     string `json:"id_token"`
}

// allow lets the person of a tab allow the client something, and exchanges the code.
func (s consentSite) allow(t *testing.T, tab *harness.Tab) (granted grantedTokens) {
	t.Helper()
	tab.Open(s.request("web", "openid"))
	if strings.Contains(tab.Text(), "Allow") { // the person may have said yes before
		tab.Click(`button[value="allow"]`)
	}
	tab.WaitText("back with code=true")
	location, err := url.Parse(tab.Location())
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.PostForm("http://"+s.gateway.Addr+"/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"web"}, "code": {location.Query().Get("code")}, "redirect_uri": {s.app + "/callback"}, "code_verifier": {webVerifier},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&granted); err != nil || granted.IDToken == "" {
		t.Fatalf("no tokens: %d %v", r.StatusCode, err)
	}
	return granted
}

func (s consentSite) isActive(t *testing.T, token string) bool {
	t.Helper()
	return s.gateway.Get("/oauth2/userinfo", harness.Field{Name: "Authorization", Value: "Bearer " + token}).Status == http.StatusOK
}
