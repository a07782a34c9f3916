// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// gathering sends people to the server if it wants to know more.
const gathering = "redirect_claim_gathering_url\nclaims_redirect_path /claims-return\n" + rpts

func startGathering(t *testing.T) (*clientSite, *visitor) {
	t.Helper()
	c := startClient(t, harness.UMAConfig{}, gathering)
	c.server.RegisterClaimsRedirect("http://" + c.addr + "/claims-return")
	c.server.Allow("alice", "todos:view", "notes:view")
	c.server.AskForClaims("alice", true)
	return c, c.visitor("alice")
}

// hop opens a page and returns where it leads, without going there.
func (v *visitor) hop(address string) (status int, location string, a answer) {
	v.Helper()
	follow := v.client.CheckRedirect
	defer func() { v.client.CheckRedirect = follow }()
	v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a = v.open(address)
	return a.status, a.header.Get("Location"), a
}

func TestAPersonSaysMoreAndComesBack(t *testing.T) {
	c, alice := startGathering(t)
	if a := alice.open("/todos?page=2&x=%2B"); a.body != "passed alice" {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	if tickets, tokens, visits := c.server.Count("permission"), c.server.Count("rpt"), c.server.Count("claims"); tickets != 1 || tokens != 2 || visits != 1 {
		t.Errorf("%d tickets, %d token requests and %d visits, want 1, 2 and 1", tickets, tokens, visits)
	}
	// What the server has learned holds for the next resource (PCT).
	alice.passes("/notes")
	if last := c.server.RPTRequests()[2]; last.Get("pct") == "" || c.server.Count("claims") != 1 {
		t.Errorf("the next resource: %v, and %d visits", last, c.server.Count("claims"))
	}
}

func TestTheWayToTheServer(t *testing.T) {
	c, alice := startGathering(t)
	status, location, a := alice.hop("/todos?a=b")
	u, err := url.Parse(location)
	if err != nil || status != 302 {
		t.Fatalf("got %d to %q", status, location)
	}
	query := u.Query()
	if !strings.HasPrefix(location, c.server.Issuer+"/claims?tenant=1&") || query.Get("client_id") != "gateway" ||
		query.Get("claims_redirect_uri") != "http://"+c.addr+"/claims-return" || len(query.Get("state")) != 43 {
		t.Errorf("the way is %s", location)
	}
	if _, known := c.server.Ticket(query.Get("ticket")); !known {
		t.Errorf("the ticket is none of the server's")
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("got %v", a.header)
	}
	// A script cannot go there.
	before := c.server.Count("claims")
	alice.refused("/todos", 403, "need_info")
	alice.refused("/todos", 403, "need_info")
	if n := c.server.Count("claims"); n != before {
		t.Errorf("a script was sent to the server")
	}
}

// Two tabs for two resources: each comes back to its own, in any order.
func TestTwoTabsForTwoResources(t *testing.T) {
	_, alice := startGathering(t)
	back := func(page string) string {
		t.Helper()
		_, away, _ := alice.hop(page)
		status, location, _ := alice.hop(away)
		if status != 302 || !strings.Contains(location, "/claims-return?") {
			t.Fatalf("%s: got %d to %q", page, status, location)
		}
		return location
	}
	todos, notes := back("/todos?tab=1"), back("/notes?tab=2")
	for address, page := range map[string]string{notes: "/notes?tab=2", todos: "/todos?tab=1"} {
		if status, location, _ := alice.hop(address); status != 302 || location != "http://"+alice.addr+page {
			t.Errorf("got %d to %q, want %s", status, location, page)
		}
		if a := alice.open(page); a.body != "passed alice" {
			t.Errorf("%s: got %d %s", page, a.status, a.body)
		}
	}
}

// The server is unavailable when the person comes back: the page says so, and the
// ticket of the way back is redeemed when the server answers again.
func TestTheServerIsUnavailableOnTheWayBack(t *testing.T) {
	c, alice := startGathering(t)
	_, away, _ := alice.hop("/todos")
	_, back, _ := alice.hop(away)
	if !strings.Contains(back, "/claims-return?") {
		t.Fatalf("the way back is %q", back)
	}
	asked := c.server.Count("claims")
	c.server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	if status, location, a := alice.hop(back); status != 302 || location != "http://"+alice.addr+"/todos" {
		t.Fatalf("the way back: got %d %s to %q", status, a.body, location)
	}
	if a := alice.open("/todos"); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s, Retry-After %q; want 503 with it", a.status, a.body, a.header.Get("Retry-After"))
	}
	c.server.Intercept(nil)
	harness.Eventually(t, 20*time.Second, func() string {
		if a := alice.open("/todos"); a.status != 200 {
			return fmt.Sprintf("after the server came back: %d %s", a.status, a.body)
		}
		return ""
	})
	if n := c.server.Count("claims"); n != asked {
		t.Errorf("the person was asked again: %d times", n-asked)
	}
}

// A way back that is not one: S-172.
func TestSec_S172_AForgedWayBackIsRefused(t *testing.T) {
	c, alice := startGathering(t)
	c.server.AskForClaims("bob", true)
	bob := c.visitor("bob")
	wayBack := func(v *visitor, page string) *url.URL {
		t.Helper()
		_, away, _ := v.hop(page)
		_, location, _ := v.hop(away)
		u, err := url.Parse(location)
		if err != nil || !strings.HasSuffix(u.Path, "/claims-return") {
			t.Fatalf("got %q", location)
		}
		return u
	}
	edited := func(u *url.URL, edit func(url.Values)) string {
		query := u.Query()
		edit(query)
		return "http://" + c.addr + "/claims-return?" + query.Encode()
	}
	own := wayBack(alice, "/todos")
	for name, address := range map[string]string{
		"another state":   edited(own, func(q url.Values) { q.Set("state", strings.Repeat("A", 43)) }),
		"no state":        edited(own, func(q url.Values) { q.Del("state") }),
		"two states":      edited(own, func(q url.Values) { q.Add("state", q.Get("state")) }),
		"two tickets":     edited(own, func(q url.Values) { q.Add("ticket", "x") }),
		"another browser": wayBack(bob, "/todos").String(),
	} {
		if status, location, a := alice.hop(address); status != 400 {
			t.Errorf("%s: got %d %s to %q, want 400", name, status, a.body, location)
		}
	}
	// It is the way of the session that was sent away, not of the browser.
	cookies := alice.client.Jar.Cookies(own)
	c.op.Lock()
	c.op.User.Subject = "carol"
	c.op.Unlock()
	carol := c.visitor("carol")
	for _, cookie := range cookies {
		if strings.HasPrefix(cookie.Name, "gluu_login_") {
			carol.client.Jar.SetCookies(own, []*http.Cookie{cookie})
		}
	}
	if status, _, a := carol.hop(own.String()); status != 400 {
		t.Errorf("in another session: got %d %s, want 400", status, a.body)
	}
	if n := c.server.Count("rpt"); n != 2 {
		t.Errorf("%d token requests, want those that sent two people away", n)
	}
	// Alice's own way back is still good, and good once.
	if status, location, _ := alice.hop(own.String()); status != 302 || location != "http://"+c.addr+"/todos" {
		t.Errorf("got %d to %q", status, location)
	}
	alice.client.Jar.SetCookies(own, cookies)
	if status, _, a := alice.hop(own.String()); status != 400 {
		t.Errorf("a second time: got %d %s, want 400", status, a.body)
	}
	alice.passes("/todos")
	// A ticket without a person: not a ticket.
	c.server.NeverContent(true)
	again := wayBack(alice, "/notes")
	if status, _, a := alice.hop(edited(again, func(q url.Values) { q.Del("ticket") })); status != 400 {
		t.Errorf("no ticket: got %d %s, want 400", status, a.body)
	}
	for _, method := range []string{"POST", "HEAD"} {
		if a := alice.do(method, again.String(), navigation); a.status != 405 {
			t.Errorf("%s: got %d, want 405", method, a.status)
		}
	}
}

// A ticket that comes back is for the rule that sent the person away, and proves
// nothing by itself.
func TestSec_S195_AReturnGrantsNothing(t *testing.T) {
	c, alice := startGathering(t)
	c.server.Allow("alice", "notes:view")
	_, away, _ := alice.hop("/todos")
	_, back, _ := alice.hop(away)
	u, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("ticket", "forged")
	before := c.server.Count("rpt")
	if status, _, _ := alice.hop("http://" + c.addr + "/claims-return?" + query.Encode()); status != 302 {
		t.Fatalf("got %d", status)
	}
	alice.refused("/notes", 403, "need_info") // the ticket is not shown for another rule
	for _, sent := range c.server.RPTRequests()[before:] {
		if sent.Get("ticket") == "forged" {
			t.Error("the ticket for one rule was shown for another")
		}
	}
	alice.refused("/todos", 403, "need_info")
	if !slices.ContainsFunc(c.server.RPTRequests(), func(sent url.Values) bool { return sent.Get("ticket") == "forged" }) {
		t.Error("the ticket that came back was not shown for its rule")
	}
}

// A server that is never content: two rounds, then 403, and a while later again.
func TestSec_S172_TwoRoundsThenRefused(t *testing.T) {
	c, alice := startGathering(t)
	c.server.NeverContent(true)
	a := alice.open("/todos")
	if a.status != 403 || !strings.Contains(a.body, "needs to know more about you") {
		t.Errorf("got %d %s, want 403", a.status, a.body)
	}
	if n := c.server.Count("claims"); n != 2 {
		t.Errorf("%d visits, want 2", n)
	}
	if status, _, _ := alice.hop("/todos"); status != 403 {
		t.Errorf("again: got %d, want 403", status)
	}
	if status, _, _ := alice.hop("/notes"); status != 302 {
		t.Errorf("another rule: got %d, want the way to the server", status)
	}
	c.later(6 * time.Minute)
	if status, _, _ := alice.hop("/todos"); status != 302 {
		t.Errorf("later: got %d, want the way to the server", status)
	}
}

// A claims interaction endpoint somewhere else is not followed.
func TestSec_S172_TheServerSendsNoOneElsewhere(t *testing.T) {
	c, alice := startGathering(t)
	for _, redirect := range []string{"https://evil.example/claims", "javascript:alert(1)", c.server.Issuer + "/claims#x", "//evil.example"} {
		c.server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if r.PostFormValue("grant_type") != ticketGrant {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"error":"need_info","ticket":"t","redirect_user":%q}`, redirect)
			return true
		})
		if status, location, _ := alice.hop("/todos"); status != 502 {
			t.Errorf("%s: got %d to %q, want 502", redirect, status, location)
		}
	}
}

// Without redirect_user the metadata says where.
func TestTheEndpointOfTheMetadata(t *testing.T) {
	c, alice := startGathering(t)
	c.server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.PostFormValue("grant_type") != ticketGrant {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"error":"need_info","ticket":"t"}`)
		return true
	})
	if status, location, _ := alice.hop("/todos"); status != 302 || !strings.HasPrefix(location, c.server.Issuer+"/claims?client_id=gateway&ticket=t&") {
		t.Errorf("got %d to %q", status, location)
	}
}

// With strict cookies the way back goes over a page of this site.
func TestTheWayBackWithStrictCookies(t *testing.T) {
	c, alice := startGathering(t)
	c.login = "cookie_same_site strict"
	c.run(gathering)
	_, away, _ := alice.hop("/todos")
	_, back, _ := alice.hop(away)
	stranger := &visitor{c, "", &http.Client{}} // the browser keeps the cookies back
	cross := navigation.Clone()
	cross.Set("Sec-Fetch-Site", "cross-site")
	a := stranger.do("GET", back, cross)
	if a.status != 200 || !strings.Contains(a.body, `http-equiv="refresh"`) || !strings.Contains(a.body, "/claims-return?") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := alice.open(back); a.body != "passed alice" {
		t.Errorf("from that page: got %d %s", a.status, a.body)
	}
}

func TestPathsThatTwoProtocolsWant(t *testing.T) {
	c, _ := startGathering(t)
	for path, want := range map[string]string{
		"/callback": `claims_redirect_path of this site are both "/callback"`,
		"/logout":   `claims_redirect_path of this site are both "/logout"`,
		"/goodbye":  `claims_redirect_path of this site are both "/goodbye"`,
	} {
		err := caddytest.Run(c.source(strings.Replace(gathering, "/claims-return", path, 1)), c.addr)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}
