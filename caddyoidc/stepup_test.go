// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// withRules is a configuration with rules.
func withRules(t *testing.T, document string) func(*visitor) {
	t.Helper()
	parsed, err := parseRules([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := compileRules(parsed)
	if err != nil {
		t.Fatal(err)
	}
	return func(v *visitor) { v.rules = compiled }
}

const bankRules = `[
	{"path":"/transfers/??","conditions":[{"httpMethods":["?"],"required_acrs":["gold","platinum"]}]},
	{"path":"/limits","conditions":[{"httpMethods":["?"],"max_age":300}]},
	{"path":"/imprint","conditions":[{"httpMethods":["GET"],"no_auth":true}]}
]`

func TestSec_S145_S146_APathAsksForAStrongerLogin(t *testing.T) {
	w := newWorld(t, 1, withRules(t, bankRules))
	w.op.ACRs = []string{"silver", "gold"}
	g, p := w.gateways[0], w.newPerson()
	p.want(p.once("GET", g.URL+"/imprint", navigation, ""), 200, `as ""`)
	p.want(p.open(g.URL+"/"), 200, "alice")
	before := sessionCookie(p, g)
	challenge := p.once("GET", g.URL+"/transfers", programme, "")
	if want := `error="insufficient_user_authentication", acr_values="gold platinum"`; challenge.StatusCode != 401 || !strings.Contains(challenge.Header.Get("WWW-Authenticate"), want) {
		t.Errorf("got %d %v, want a challenge with %s", challenge.StatusCode, challenge.Header, want)
	}
	p.want(p.open(g.URL+"/transfers/7?x=1"), 200, `/transfers/7?x=1 as "alice"`)
	after := sessionCookie(p, g)
	if before == after {
		t.Error("the session has the id that it had before the step-up (session fixation)")
	}
	last := w.op.Requests()[1]
	if last.Get("acr_values") != "gold platinum" || last.Get("prompt") != "" {
		t.Errorf("got %v, want acr_values and no prompt", last)
	}
	var claims struct {
		IDToken struct {
			ACR struct {
				Essential bool     `json:"essential"`
				Values    []string `json:"values"`
			} `json:"acr"`
		} `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(last.Get("claims")), &claims); err != nil || !claims.IDToken.ACR.Essential || len(claims.IDToken.ACR.Values) != 2 {
		t.Errorf("claims are %s, want acr as an essential claim", last.Get("claims"))
	}
	p.want(p.once("GET", g.URL+"/imprint", navigation, ""), 200, `as "alice"`)
	p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
	// The former id is good for what was under way, with what it had.
	tab := w.newPerson()
	tab.client.Jar.SetCookies(mustParse(t, g.URL), []*http.Cookie{{Name: defaultSessionCookie, Value: before}})
	tab.want(tab.once("GET", g.URL+"/", programme, ""), 200, "alice")
	tab.want(tab.once("GET", g.URL+"/transfers", programme, ""), 401, "insufficient")
	w.clock.advance(30 * time.Second)
	tab.want(tab.once("GET", g.URL+"/", programme, ""), 401, "login_required")
	p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
}

func sessionCookie(p *person, g *gateway) string {
	for _, c := range p.client.Jar.Cookies(mustParse(p.T, g.URL)) {
		if c.Name == defaultSessionCookie {
			return c.Value
		}
	}
	return ""
}

func TestSec_S147_AnACRThatWasNotAskedForIsNotEnough(t *testing.T) {
	w := newWorld(t, 1, withRules(t, bankRules))
	g, p := w.gateways[0], w.newPerson() // the OP can do silver only, and ignores acr_values
	p.want(p.open(g.URL+"/"), 200, "alice")
	p.want(p.open(g.URL+"/transfers"), 403, "gold or platinum")
	var prompts []string
	for _, request := range w.op.Requests()[1:] {
		prompts = append(prompts, request.Get("prompt"))
	}
	if got := strings.Join(prompts, ","); got != ",login" {
		t.Errorf("prompts were %q, want one attempt without and one with login", got)
	}
	p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
}

func TestAPathAsksForARecentLogin(t *testing.T) {
	w := newWorld(t, 1, withRules(t, bankRules))
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/limits"), 200, "alice")
	w.clock.advance(301 * time.Second)
	if got := p.once("GET", g.URL+"/limits", programme, ""); !strings.Contains(got.Header.Get("WWW-Authenticate"), `max_age="300"`) {
		t.Errorf("got %d %v", got.StatusCode, got.Header)
	}
	p.want(p.open(g.URL+"/limits"), 200, "alice")
	requests := w.op.Requests()
	if last := requests[len(requests)-1]; last.Get("max_age") != "300" {
		t.Errorf("got %v", last)
	}
}

func TestAnAuthTimeThatIsTooOldIsRefused(t *testing.T) {
	w := newWorld(t, 1, withRules(t, bankRules))
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/"), 200, "alice")
	w.clock.advance(301 * time.Second)
	w.op.EditIDToken = func(claims, _ map[string]any) { claims["auth_time"] = w.clock.now().Unix() - 400 }
	p.want(p.open(g.URL+"/limits"), 502, "cannot be used")
	w.op.EditIDToken = func(claims, _ map[string]any) { claims["auth_time"] = nil }
	p.want(p.open(g.URL+"/limits"), 502, "cannot be used")
}
