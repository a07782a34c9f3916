// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

const afterLogout = "https://app.example.com/bye"

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// loggedIn is a browser whose person has allowed a client something, and what the client got.
func loggedIn(t *testing.T, server *running, user string) (b *browser, token, hint string) {
	t.Helper()
	b = server.browser(user)
	granted := server.post(tokenEndpoint, "web", exchange(b.code(authorization("web", "scope", "openid"))))
	return b, text(granted, "access_token"), text(granted, "id_token")
}

func (b *browser) logout(form url.Values) answer {
	b.t.Helper()
	return b.send(http.MethodGet, "/oauth2/logout?"+form.Encode(), nil)
}

// logoutForm is what the page that asks sends when a button is pressed.
func logoutForm(t *testing.T, page answer, decision string) url.Values {
	t.Helper()
	if page.Code != http.StatusOK || page.Header().Get("Location") != "" || !strings.Contains(page.text, `<form method="post" action="`+testIssuer+`/oauth2/logout">`) {
		t.Fatalf("no question: %d %v %s", page.Code, page.Header(), page.text)
	}
	form := url.Values{"decision": {decision}}
	for _, field := range hiddenField.FindAllStringSubmatch(page.text, -1) {
		form.Set(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	return form
}

func (b *browser) press(page answer, decision string) answer {
	b.t.Helper()
	before := b.site
	b.site = "same-origin"
	defer func() { b.site = before }()
	return b.send(http.MethodPost, "/oauth2/logout", logoutForm(b.t.(*testing.T), page, decision))
}

// A client that shows the ID token of this session logs the person out at once.
func TestLogoutWithTheIDTokenOfTheSession(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	b, token, hint := loggedIn(t, server, "alice")
	for name, form := range map[string]url.Values{
		"an address that is not registered": {"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://evil.example"}},
		"an address of an unknown client":   {"post_logout_redirect_uri": {afterLogout}},
		"an address of another client":      {"client_id": {"web-jwt"}, "post_logout_redirect_uri": {afterLogout}},
		"a parameter twice":                 {"id_token_hint": {hint, hint}},
	} {
		if a := b.logout(form); a.Code != http.StatusBadRequest || a.Header().Get("Location") != "" {
			t.Errorf("%s: %d %v", name, a.Code, a.Header())
		}
	}
	if !server.active(token) {
		t.Fatal("refused, and logged out all the same")
	}
	a := b.logout(url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {afterLogout}, "state": {"x"}})
	if a.Code != http.StatusSeeOther || a.Header().Get("Location") != afterLogout+"?state=x" || len(b.cookies) != 0 {
		t.Errorf("got %d %v %v", a.Code, a.Header(), b.cookies)
	}
	if server.active(token) {
		t.Error("the token of a session that has ended is active")
	}
}

// Without an ID token of the session in this browser the person is asked (OpenID Connect
// RP-Initiated Logout section 2), and is sent only to where a client that is known goes.
func TestSec_LogoutAsksThePerson(t *testing.T) {
	for _, test := range []struct {
		name   string
		form   func(hint string) url.Values
		says   string
		target string
	}{
		{"nothing", func(string) url.Values { return nil }, "An application asks", ""},
		{"a client", func(string) url.Values { return url.Values{"client_id": {"web"}} }, "The &lt;Web&gt; App asks", ""},
		{"a client and its address", func(string) url.Values {
			return url.Values{"client_id": {"web"}, "post_logout_redirect_uri": {afterLogout}, "state": {`"><script>`}}
		}, "You will be sent on to app.example.com", afterLogout + "?state=%22%3E%3Cscript%3E"},
		{"an unknown client", func(string) url.Values { return url.Values{"client_id": {"nobody"}} }, "An application asks", ""},
		{"a forged ID token", func(hint string) url.Values {
			return url.Values{"id_token_hint": {hint[:len(hint)-4] + "AAAA"}, "post_logout_redirect_uri": {afterLogout}}
		}, "An application asks", ""},
		{"an ID token of another client", func(hint string) url.Values {
			return url.Values{"id_token_hint": {hint}, "client_id": {"web-jwt"}, "post_logout_redirect_uri": {afterLogout}}
		}, "An application asks", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := start(t, peopleConfig(), t.TempDir())
			b, token, hint := loggedIn(t, server, "alice")
			page := b.logout(test.form(hint))
			if !strings.Contains(page.text, test.says) || strings.Contains(page.text, "<script>") || !server.active(token) || len(b.cookies) != 1 {
				t.Errorf("the page says %s; cookies %v", page.text, b.cookies)
			}
			if policy := page.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
				t.Errorf("the policy is %q", policy)
			}
			if a := b.press(page, "stay"); a.Code != http.StatusOK || !server.active(token) || len(b.cookies) != 1 {
				t.Errorf("no: got %d, cookies %v", a.Code, b.cookies)
			}
			a := b.press(page, "logout")
			if a.Header().Get("Location") != test.target || (a.Code == http.StatusSeeOther) != (test.target != "") {
				t.Errorf("yes: sent to %q with %d, want %q", a.Header().Get("Location"), a.Code, test.target)
			}
			if server.active(token) || len(b.cookies) != 0 {
				t.Errorf("yes, and not logged out; cookies %v", b.cookies)
			}
		})
	}
}

// An ID token of another session, or of another person than is logged in, is not taken for
// the person's wish; nor is one without a session in this browser.
func TestSec_LogoutAsksAboutAForeignIDToken(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	alice, token, hint := loggedIn(t, server, "alice")
	bob, foreign, bobs := loggedIn(t, server, "bob")
	if a := alice.logout(url.Values{"id_token_hint": {bobs}}); !strings.Contains(a.text, "Log out?") || !server.active(token) || !server.active(foreign) {
		t.Fatalf("alice's browser and bob's ID token: %d %s", a.Code, a.text)
	}
	alice.user = "carol" // the handler in front has another person by now
	if a := alice.logout(url.Values{"id_token_hint": {hint}}); !strings.Contains(a.text, "Log out?") || !server.active(token) {
		t.Errorf("another person is logged in: %d %s", a.Code, a.text)
	}
	alice.user = "alice"
	alice.cookies = map[string]string{} // the browser was closed
	page := alice.logout(url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {afterLogout}})
	if !server.active(token) {
		t.Fatal("logged out without a question")
	}
	if a := alice.press(page, "logout"); a.Header().Get("Location") != afterLogout || server.active(token) || !server.active(foreign) {
		t.Errorf("confirmed: %d %v", a.Code, a.Header())
	}
	if a := bob.logout(url.Values{"id_token_hint": {bobs}}); a.Code != http.StatusOK || server.active(foreign) {
		t.Errorf("bob in his own browser: %d", a.Code)
	}
}

// The answer counts from the page alone, and in the browser that was shown it.
func TestSec_AForeignLogoutDoesNotCount(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	b, token, _ := loggedIn(t, server, "alice")
	form := logoutForm(t, b.logout(nil), "logout")
	cookies := b.cookies
	for name, attack := range map[string]func(*browser) answer{
		"another origin": func(b *browser) answer {
			b.origin = "https://evil.example"
			return b.send(http.MethodPost, "/oauth2/logout", form)
		},
		"no origin":    func(b *browser) answer { b.origin = ""; return b.send(http.MethodPost, "/oauth2/logout", form) },
		"another site": func(b *browser) answer { b.site = "cross-site"; return b.send(http.MethodPost, "/oauth2/logout", form) },
		"without a token": func(b *browser) answer {
			return b.send(http.MethodPost, "/oauth2/logout", url.Values{"decision": {"logout"}})
		},
		"without a cookie": func(b *browser) answer {
			b.cookies = map[string]string{}
			return b.send(http.MethodPost, "/oauth2/logout", form)
		},
		"another browser": func(b *browser) answer {
			b.cookies = map[string]string{"__Host-gluu_authorize": strings.Repeat("x", 43)}
			return b.send(http.MethodPost, "/oauth2/logout", form)
		},
	} {
		t.Run(name, func(t *testing.T) {
			attacker := &browser{running: server, user: "alice", site: "same-origin", origin: testIssuer, cookies: cookies}
			if a := attack(attacker); a.Code != http.StatusForbidden || a.Header().Get("Location") != "" || !server.active(token) {
				t.Errorf("got %d %v", a.Code, a.Header())
			}
		})
	}
	if a := b.logout(form); !strings.Contains(a.text, "Log out?") || !server.active(token) {
		t.Errorf("by GET: %d %s", a.Code, a.text)
	}
}

// A form of a client's site comes without the cookie (SameSite=Lax); the browser comes back
// with it by GET.
func TestLogoutByAFormOfTheClient(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	b, token, hint := loggedIn(t, server, "alice")
	form := url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {afterLogout}}
	cookies := b.cookies
	b.cookies, b.origin = map[string]string{}, "https://app.example.com"
	a := b.send(http.MethodPost, "/oauth2/logout", form)
	location := a.Header().Get("Location")
	if a.Code != http.StatusSeeOther || !strings.HasPrefix(location, testIssuer+"/oauth2/logout?") || len(b.cookies) != 0 || !server.active(token) {
		t.Fatalf("got %d %q %v", a.Code, location, b.cookies)
	}
	b.cookies = cookies
	if a := b.send(http.MethodGet, strings.TrimPrefix(location, testIssuer), nil); a.Header().Get("Location") != afterLogout || server.active(token) {
		t.Errorf("then: %d %v", a.Code, a.Header())
	}
}

// The address of a client that has registered itself counts only with an ID token: anyone
// could have it.
func TestSec_LogoutIsNoOpenRedirect(t *testing.T) {
	config := peopleConfig()
	config.Registration = &Registration{Open: true}
	server := start(t, config, t.TempDir())
	registered := server.register(http.MethodPost, "/oauth2/register", "", `{"redirect_uris": ["https://evil.example/cb"], "post_logout_redirect_uris": ["https://evil.example/bye"], "token_endpoint_auth_method": "none"}`)
	if registered.Code != http.StatusCreated {
		t.Fatalf("registration: %d %s", registered.Code, registered.text)
	}
	b := server.browser("alice")
	a := b.logout(url.Values{"client_id": {text(registered, "client_id")}, "post_logout_redirect_uri": {"https://evil.example/bye"}})
	if a.Code != http.StatusBadRequest || a.Header().Get("Location") != "" {
		t.Errorf("got %d %v", a.Code, a.Header())
	}
}

// RFC 6750 section 3: a challenge goes with each refusal of userinfo.
func TestUserinfoChallenges(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	_, token, _ := loggedIn(t, server, "alice")
	realm := `Bearer realm="` + testIssuer + `"`
	plain := text(server.post(tokenEndpoint, "web", exchange(server.browser("alice").code(authorization("web")))), "access_token")
	forms := map[string]url.Values{
		"in a form": {"access_token": {token}}, "in a form, unknown": {"access_token": {"x"}}, "in a form, twice": {"access_token": {token, token}},
		"in a form and in the header": {"access_token": {token}}, "in a form with another member": {"token": {token}},
	}
	for _, test := range []struct {
		name, challenge string
		headers         []string
		status          int
	}{
		{"without a token", realm, nil, http.StatusUnauthorized},
		{"another scheme", realm, []string{"Basic eDp5"}, http.StatusUnauthorized},
		{"two headers", realm + `, error="invalid_request"`, []string{"Bearer " + token, "Bearer " + token}, http.StatusBadRequest},
		{"an unknown token", realm + `, error="invalid_token"`, []string{"Bearer x"}, http.StatusUnauthorized},
		{"without the scope", realm + `, error="insufficient_scope", scope="openid"`, []string{"Bearer " + plain}, http.StatusForbidden},
		{"right", "", []string{"bearer " + token}, http.StatusOK},
		{"in a form", "", nil, http.StatusOK},
		{"in a form, unknown", realm + `, error="invalid_token"`, nil, http.StatusUnauthorized},
		{"in a form, twice", realm + `, error="invalid_request"`, nil, http.StatusBadRequest},
		{"in a form and in the header", realm + `, error="invalid_request"`, []string{"Bearer " + token}, http.StatusBadRequest},
		{"in a form with another member", realm, nil, http.StatusUnauthorized},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodGet, "/oauth2/userinfo", nil)
			if form, ok := forms[test.name]; ok {
				request = httptest.NewRequest(http.MethodPost, "/oauth2/userinfo", strings.NewReader(form.Encode()))
				request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			request.Header["Authorization"] = test.headers
			a := server.do(request)
			if a.Code != test.status || a.Header().Get("WWW-Authenticate") != test.challenge {
				t.Errorf("got %d, challenge %q, want %d, %q", a.Code, a.Header().Get("WWW-Authenticate"), test.status, test.challenge)
			}
		})
	}
}
