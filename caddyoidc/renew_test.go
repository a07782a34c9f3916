// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
)

var programme = http.Header{"Accept": {"application/json"}}

func TestSec_S132_ARenewalNeedsNoRedirect(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.op.AccessLife = 10 * time.Minute
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/"), 200, "alice")
	w.clock.advance(9*time.Minute + 29*time.Second)
	p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
	if n := w.op.Calls("/token"); n != 1 {
		t.Errorf("31 seconds before the end: %d calls of the token endpoint, want none but the login's", n)
	}
	w.clock.advance(time.Second)
	p.want(p.once("POST", g.URL+"/", programme, "body"), 200, "alice")
	p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
	if n := w.op.Calls("/token"); n != 2 {
		t.Errorf("30 seconds before the end: %d calls of the token endpoint, want one more", n)
	}
	if n := w.op.Calls("/userinfo"); n != 2 {
		t.Errorf("userinfo was asked %d times, want once for each", n)
	}
}

func TestSec_S124_FiftyRequestsOverTwoGatewaysRenewOnce(t *testing.T) {
	w := newWorld(t, 2, nil)
	w.op.AccessLife = 10 * time.Minute
	p := w.newPerson()
	p.want(p.open(w.gateways[0].URL+"/"), 200, "alice")
	w.clock.advance(10 * time.Minute)
	entered, release := make(chan struct{}, 50), make(chan struct{})
	w.op.Lock()
	w.op.BeforeToken = func(url.Values) { entered <- struct{}{}; <-release }
	w.op.Unlock()
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			p.want(p.do("GET", w.gateways[i%2].URL+"/", programme, ""), 200, "alice")
		})
	}
	<-entered
	close(release)
	wait.Wait()
	if n := w.op.Calls("/token"); n != 2 {
		t.Errorf("%d calls of the token endpoint, want one for the login and one for the renewal", n)
	}
}

func TestSec_S126_ARefusedRefreshEndsTheSession(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.op.AccessLife = 10 * time.Minute
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/"), 200, "alice")
	w.op.Lock()
	w.op.RefuseRefresh = true
	w.op.Unlock()
	w.clock.advance(10 * time.Minute)
	p.want(p.once("GET", g.URL+"/", programme, ""), 401, "login_required")
	w.op.Lock()
	w.op.RefuseRefresh = false
	w.op.Unlock()
	p.want(p.once("GET", g.URL+"/", programme, ""), 401, "login_required")
	p.want(p.open(g.URL+"/again"), 200, `/again as "alice"`)
}

func TestSec_S130_ARefreshWithoutAnIDTokenKeepsTheClaims(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.op.AccessLife, w.op.NoRefreshID = 10*time.Minute, true
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/"), 200, "alice")
	for range 9 {
		w.clock.advance(10 * time.Minute)
		p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
	}
	if n := w.op.Calls("/token"); n != 10 {
		t.Errorf("%d calls of the token endpoint, want the login's and nine", n)
	}
	if n := w.op.Calls("/authorize"); n != 1 {
		t.Errorf("the person was sent to log in %d times, want once", n)
	}
}

func TestSec_S129_ARefreshedIDTokenIsCheckedInFull(t *testing.T) {
	for name, edit := range map[string]func(claims map[string]any){
		"oidcc-client-test-refresh-token-invalid-issuer": func(c map[string]any) { c["iss"] = "https://evil.example" },
		"oidcc-client-test-refresh-token-invalid-sub":    func(c map[string]any) { c["sub"] = "mallory" },
		"another audience": func(c map[string]any) { c["aud"] = "other" },
		"expired":          func(c map[string]any) { c["exp"] = c["iat"].(int64) - 100 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, nil)
			w.op.AccessLife = 10 * time.Minute
			g, p := w.gateways[0], w.newPerson()
			p.want(p.open(g.URL+"/"), 200, "alice")
			w.op.Lock()
			w.op.EditIDToken = func(claims, _ map[string]any) { edit(claims) }
			w.op.Unlock()
			w.clock.advance(10 * time.Minute)
			p.want(p.once("GET", g.URL+"/", programme, ""), 401, "login_required")
			p.want(p.once("GET", g.URL+"/", programme, ""), 401, "login_required")
		})
	}
}

func TestSec_S131_NewUserinfoReplacesTheOldAsAWhole(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.op.AccessLife = 10 * time.Minute
	w.op.User.Claims = map[string]any{"groups": []string{"admins"}}
	g, p := w.gateways[0], w.newPerson()
	var userinfo string
	pass := g.visitor.admitted
	g.visitor.admitted = func(v *visit) error {
		userinfo = string(v.session.Userinfo) + string(v.session.Newest().Claims)
		return pass(v)
	}
	p.want(p.open(g.URL+"/"), 200, "alice")
	if !strings.Contains(userinfo, "admins") {
		t.Fatalf("got %s", userinfo)
	}
	w.op.Lock()
	w.op.EditUserinfo = func(claims map[string]any) { delete(claims, "groups") }
	w.op.EditIDToken = func(claims, _ map[string]any) { delete(claims, "groups") }
	w.op.Unlock()
	w.clock.advance(10 * time.Minute)
	p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
	if strings.Contains(userinfo, "admins") {
		t.Errorf("what was taken away is still there: %s", userinfo)
	}
}

func TestAnUnavailableOPEndsNoSession(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.op.AccessLife = 10 * time.Minute
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/"), 200, "alice")
	w.provider.away.Store(true)
	w.clock.advance(10 * time.Minute) // due for 30 seconds
	p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
	w.clock.advance(9*time.Minute + 29*time.Second)
	p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
	w.clock.advance(time.Second)
	if got := p.once("GET", g.URL+"/", programme, ""); got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
		t.Errorf("ten minutes late: got %d %s, want 503", got.StatusCode, got.body)
	}
	w.provider.away.Store(false)
	p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
	stranger := w.newPerson()
	w.provider.away.Store(true)
	toOP := stranger.once("GET", g.URL+"/", navigation, "")
	back := stranger.once("GET", toOP.Header.Get("Location"), navigation, "")
	stranger.want(stranger.once("GET", back.Header.Get("Location"), navigation, ""), 503, "unavailable")
}

// What the token endpoint says about the gateway, or what is not of the protocol,
// says nothing about the person: a page of a proxy ends no session.
func TestAnAnswerThatDecidesNothingEndsNoSession(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   int
	}{
		"a page in place of the answer":     {200, "<html>", 200},
		"an empty answer":                   {200, "", 200},
		"a page that refuses":               {403, "<html>", 200},
		"the gateway's own credentials":     {401, `{"error": "invalid_client"}`, 200},
		"an error without a name":           {400, `{}`, 200},
		"the server's own trouble":          {400, `{"error": "temporarily_unavailable"}`, 200},
		"the refresh token is not good":     {400, `{"error": "invalid_grant"}`, 401},
		"this client has no refresh tokens": {400, `{"error": "unauthorized_client"}`, 401},
		"a token of another type":           {200, `{"access_token": "x", "token_type": "mac"}`, 401},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, nil)
			w.op.AccessLife = 10 * time.Minute
			g, p := w.gateways[0], w.newPerson()
			p.want(p.open(g.URL+"/"), 200, "alice")
			w.provider.instead.Store(&oddAnswer{"token_endpoint", test.status, test.body})
			w.clock.advance(10 * time.Minute)
			p.want(p.once("GET", g.URL+"/", programme, ""), test.want, "")
			w.provider.instead.Store(nil)
			p.want(p.once("GET", g.URL+"/", programme, ""), test.want, "")
		})
	}
}

func TestUserinfoThatCannotBeReadLeavesTheFormerOne(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.op.AccessLife, w.op.RotateRefresh = 10*time.Minute, true
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/"), 200, "alice")
	w.provider.instead.Store(&oddAnswer{"userinfo_endpoint", 200, "<html>"})
	for range 2 { // the second one needs the refresh token of the first
		w.clock.advance(10 * time.Minute)
		p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
	}
}

func TestAnAnswerThatCannotBeReadIsNotAnOutage(t *testing.T) {
	for _, test := range []struct {
		err  error
		want error
	}{
		{&token.Error{Reason: token.Unreadable}, errProtocol},
		{&token.Error{Reason: token.ProviderUnavailable}, errUnavailable},
		{errors.New("connection refused"), errUnavailable},
	} {
		if got := unanswered("token_endpoint", test.err); !errors.Is(got, test.want) {
			t.Errorf("%v: got %v, want %v", test.err, got, test.want)
		}
	}
}

func TestUserinfoOfAnotherPersonEndsTheSession(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(map[string]any)
		want int
	}{
		"another person": {func(claims map[string]any) { claims["sub"] = "mallory" }, 401},
		"no person":      {func(claims map[string]any) { delete(claims, "sub") }, 401},
		"other claims":   {func(claims map[string]any) { claims["email"] = "a@b.example" }, 200},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, func(v *visitor) { v.lifetimes.userinfo = time.Minute })
			g, p := w.gateways[0], w.newPerson()
			p.want(p.open(g.URL+"/"), 200, "alice")
			w.op.Lock()
			w.op.EditUserinfo = test.edit
			w.op.Unlock()
			w.clock.advance(time.Minute)
			p.want(p.once("GET", g.URL+"/", programme, ""), test.want, "")
		})
	}
}

func TestWithoutARefreshTokenTheBrowserRenews(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.op.NoRefresh = true
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/"), 200, "alice")
	w.clock.advance(59 * time.Minute)
	p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
	w.clock.advance(time.Minute)
	p.want(p.once("GET", g.URL+"/", programme, ""), 401, "login_required")
	p.want(p.open(g.URL+"/x?y=z"), 200, `/x?y=z as "alice"`)
	requests := w.op.Requests()
	last := requests[len(requests)-1]
	if last.Get("prompt") != "none" || last.Get("id_token_hint") == "" {
		t.Errorf("the renewal asked with %v, want prompt=none and a hint", last)
	}
	p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
}

func TestSec_S149_S187_ASilentRenewalThatFailsAsksThePersonOnce(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.op.NoRefresh = true
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/"), 200, "alice")
	w.op.EndSessions()
	w.clock.advance(time.Hour - time.Second)
	p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice") // seen, so that it does not idle
	w.clock.advance(time.Second)
	p.want(p.open(g.URL+"/x"), 200, `/x as "alice"`)
	var prompts []string
	for _, request := range w.op.Requests() {
		prompts = append(prompts, request.Get("prompt"))
	}
	if got := strings.Join(prompts, ","); got != ",none," {
		t.Errorf("prompts were %q, want one login, one silent renewal and one login", got)
	}
}

func TestSec_S121_S190_AnotherPersonEndsTheFormerSession(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.op.NoRefresh = true
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/"), 200, "alice")
	former := p.client.Jar.Cookies(mustParse(t, g.URL))
	w.op.EndSessions()
	w.op.Lock()
	w.op.User.Subject = "bob"
	w.op.User.Claims = nil
	w.op.Unlock()
	w.clock.advance(time.Hour - time.Second)
	p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
	w.clock.advance(time.Second)
	p.want(p.open(g.URL+"/"), 200, "bob")
	thief := w.newPerson()
	thief.client.Jar.SetCookies(mustParse(t, g.URL), former)
	thief.want(thief.once("GET", g.URL+"/", programme, ""), 401, "login_required")
}

func mustParse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestASessionIdlesAndEnds(t *testing.T) {
	w := newWorld(t, 1, nil)
	g, p := w.gateways[0], w.newPerson()
	w.op.AccessLife = 48 * time.Hour
	w.op.IDTokenLife = 48 * time.Hour
	g.visitor.lifetimes.idToken = 48 * time.Hour
	g.visitor.rp.verifier.maxAge = 48 * time.Hour
	p.want(p.open(g.URL+"/"), 200, "alice")
	for range 11 {
		w.clock.advance(59 * time.Minute)
		p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
	}
	w.clock.advance(59 * time.Minute) // 11:48
	p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
	w.clock.advance(12 * time.Minute) // 12:00
	p.want(p.once("GET", g.URL+"/", programme, ""), 401, "login_required")
	p.want(p.open(g.URL+"/"), 200, "alice")
	w.clock.advance(time.Hour)
	p.want(p.once("GET", g.URL+"/", programme, ""), 401, "login_required")
}

func TestAPersonLogsInAgainAfterADay(t *testing.T) {
	w := newWorld(t, 1, nil)
	g, p := w.gateways[0], w.newPerson()
	g.visitor.lifetimes.whole, g.visitor.lifetimes.auth = 100*time.Hour, 2*time.Hour
	p.want(p.open(g.URL+"/"), 200, "alice")
	for range 3 {
		w.clock.advance(40 * time.Minute)
		p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
	}
	w.clock.advance(time.Second) // past two hours
	if got := p.once("GET", g.URL+"/", programme, ""); got.StatusCode != 401 || !strings.Contains(got.Header.Get("WWW-Authenticate"), `max_age="7200"`) {
		t.Errorf("got %d %v, want a challenge with max_age", got.StatusCode, got.Header)
	}
	p.want(p.open(g.URL+"/"), 200, "alice")
	requests := w.op.Requests()
	if last := requests[len(requests)-1]; last.Get("max_age") != "7200" || last.Get("prompt") != "" {
		t.Errorf("got %v, want max_age and no prompt", last)
	}
}
