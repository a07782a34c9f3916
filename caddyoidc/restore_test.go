// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

func restoring(v *visitor) {
	v.restore = &restorer{keeper: v.sessions, sealer: v.sealer, maxBody: 1 << 10, now: v.now}
}

var submission = http.Header{
	"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"same-origin"},
	"Content-Type": {"application/x-www-form-urlencoded"},
}

// crossSiteNavigation is how a browser labels the whole way back from the OP.
var crossSiteNavigation = http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"cross-site"}}

// logInFrom follows the way of a request through the OP to the redirect after
// the callback, and returns where that leads.
func (p *person) logInFrom(a answer) string {
	p.Helper()
	if a.StatusCode != 302 {
		p.Fatalf("got %d %s, want a redirect to the OP", a.StatusCode, a.body)
	}
	back := p.once("GET", a.Header.Get("Location"), navigation, "")
	return p.once("GET", back.Header.Get("Location"), crossSiteNavigation, "").Header.Get("Location")
}

func TestAFormIsSubmittedAfterTheLogin(t *testing.T) {
	w := newWorld(t, 2, restoring)
	for i, gateway := range []*gateway{w.gateways[0], w.gateways[1]} {
		p := w.newPerson()
		target := p.logInFrom(p.once("POST", gateway.URL+"/order?x=1", submission, "item=7&n=2"))
		if target != gateway.URL+"/order?x=1" {
			t.Fatalf("the callback leads to %s", target)
		}
		for len(gateway.seen) > 0 {
			<-gateway.seen
		}
		p.want(p.once("GET", target, crossSiteNavigation, ""), 200, "alice")
		want := received{method: "POST", target: "/order?x=1", subject: "alice", acr: "silver", body: "item=7&n=2", contentType: "application/x-www-form-urlencoded"}
		got := <-gateway.seen
		got.cookie = ""
		if got != want {
			t.Errorf("gateway %d: the application received %+v, want %+v", i, got, want)
		}
		p.want(p.once("GET", target, crossSiteNavigation, ""), 200, "alice")
		if again := <-gateway.seen; again.method != "GET" || again.body != "" {
			t.Errorf("the form was submitted twice: %+v", again)
		}
	}
}

// While the browser is on its way back, other tabs and what a page loads ask for
// other addresses: neither the form nor its ticket is theirs.
func TestAKeptFormWaitsForItsOwnAddress(t *testing.T) {
	w := newWorld(t, 1, restoring)
	g := w.gateways[0]
	p := w.newPerson()
	target := p.logInFrom(p.once("POST", g.URL+"/order?x=1", submission, "item=7"))
	for _, other := range []struct {
		target string
		header http.Header
	}{
		{"/other", navigation}, {"/order?x=2", navigation}, {"/order?x=1", programme},
		{"/favicon.ico", http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}},
	} {
		p.want(p.once("GET", g.URL+other.target, other.header, ""), 200, "alice")
		if got := <-g.seen; got.method != "GET" {
			t.Fatalf("%s: the application received %+v", other.target, got)
		}
	}
	p.want(p.once("GET", target, crossSiteNavigation, ""), 200, "alice")
	if got := <-g.seen; got.method != "POST" || got.body != "item=7" {
		t.Errorf("the application received %+v, want the form", got)
	}
	if restore := g.visitor.restore; restore.bytes != 0 || len(restore.kept) != 0 {
		t.Errorf("the form still counts after it has come back: %d bytes, %v", restore.bytes, restore.kept)
	}
}

type brokenKeeper struct{ keeper }

func (brokenKeeper) Keep(context.Context, string, []byte, time.Time) error {
	return errors.New("unavailable on purpose")
}

func TestAFormThatCouldNotBeKeptDoesNotCount(t *testing.T) {
	w := newWorld(t, 1, func(v *visitor) {
		restoring(v)
		v.restore.keeper = brokenKeeper{}
	})
	g, p := w.gateways[0], w.newPerson()
	p.want(p.once("POST", g.URL+"/order", submission, "item=7"), 503, "")
	if restore := g.visitor.restore; restore.bytes != 0 || len(restore.kept) != 0 {
		t.Errorf("%d bytes count, of %v", restore.bytes, restore.kept)
	}
}

func TestSec_S184_AKeptFormGoesNowhereElse(t *testing.T) {
	w := newWorld(t, 1, restoring)
	g := w.gateways[0]
	for name, other := range map[string]struct {
		method, target string
		header         http.Header
	}{
		"another page":   {"GET", "/other", crossSiteNavigation},
		"another query":  {"GET", "/order?x=2", crossSiteNavigation},
		"icon":           {"GET", "/favicon.ico", http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}},
		"fetch":          {"GET", "/order?x=1", http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}}},
		"HEAD":           {"HEAD", "/order?x=1", crossSiteNavigation},
		"another submit": {"POST", "/order?x=1", submission},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.newPerson()
			p.logInFrom(p.once("POST", g.URL+"/order?x=1", submission, "secret"))
			p.once(other.method, g.URL+other.target, other.header, "")
			if got := <-g.seen; got.method != other.method || strings.Contains(got.body, "secret") {
				t.Errorf("the application received %+v", got)
			}
		})
	}
}

func TestSec_S185_AFormOfAnotherSiteIsNeverKept(t *testing.T) {
	w := newWorld(t, 1, restoring)
	g, p := w.gateways[0], w.newPerson()
	for _, site := range []string{"cross-site", "same-site"} {
		header := submission.Clone()
		header.Set("Sec-Fetch-Site", site)
		p.want(p.once("POST", g.URL+"/order", header, "x=1"), 401, "")
	}
}

func TestSec_S133_AnyBytesComeBack(t *testing.T) {
	w := newWorld(t, 1, restoring)
	g := w.gateways[0]
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 100 {
		body := make([]byte, random.IntN(1<<10+1))
		for j := range body {
			body[j] = byte(random.UintN(256))
		}
		header := submission.Clone()
		header.Set("Content-Type", fmt.Sprintf("multipart/form-data; boundary=%d", i))
		header.Set("Content-Encoding", "br")
		method := []string{"POST", "PUT", "PATCH", "DELETE"}[i%4]
		p := w.newPerson()
		// Each person has an address of their own, since bounds go by it.
		g.visitor.restore.kept = nil
		target := p.logInFrom(p.once(method, g.URL+"/upload", header, string(body)))
		p.want(p.once("GET", target, crossSiteNavigation, ""), 200, "alice")
		if got := <-g.seen; got.method != method || got.body != string(body) || got.contentType != header.Get("Content-Type") {
			t.Fatalf("body %d: got %s %q of %s, want %s %q", i, got.method, got.body, got.contentType, method, body)
		}
	}
}

func TestSec_S135_KeptBodiesAreBounded(t *testing.T) {
	w := newWorld(t, 1, restoring)
	g := w.gateways[0]
	p := w.newPerson()
	p.want(p.once("POST", g.URL+"/a", submission, strings.Repeat("x", 1<<10+1)), 413, "cannot be kept")
	for i := range maxKeptOfClient {
		if got := w.newPerson().once("POST", g.URL+"/a", submission, "x"); got.StatusCode != 302 {
			t.Fatalf("body %d: got %d %s", i, got.StatusCode, got.body)
		}
	}
	if got := w.newPerson().once("POST", g.URL+"/a", submission, "x"); got.StatusCode != 413 {
		t.Error("a client has more bodies kept than it may")
	}
	w.clock.advance(time.Hour)
	if got := w.newPerson().once("POST", g.URL+"/a", submission, "x"); got.StatusCode != 302 {
		t.Errorf("after the former ones have expired: got %d %s", got.StatusCode, got.body)
	}
	g.visitor.restore.bytes = maxKeptBytes
	if got := w.newPerson().once("POST", g.URL+"/a", submission, "x"); got.StatusCode != 413 {
		t.Error("more bytes are kept than may be")
	}
}

func TestAKeptFormNeedsTheSessionThatItsLoginMade(t *testing.T) {
	w := newWorld(t, 1, restoring)
	g, p, thief := w.gateways[0], w.newPerson(), w.newPerson()
	target := p.logInFrom(p.once("POST", g.URL+"/order", submission, "secret"))
	var ticket *http.Cookie
	for _, c := range p.client.Jar.Cookies(mustParse(t, g.URL)) {
		if c.Name == restoreCookie {
			ticket = c
		}
	}
	if ticket == nil {
		t.Fatal("there is no ticket")
	}
	thief.want(thief.open(g.URL+"/"), 200, "alice")
	<-g.seen
	thief.client.Jar.SetCookies(mustParse(t, g.URL), []*http.Cookie{ticket})
	thief.want(thief.once("GET", target, crossSiteNavigation, ""), 200, "alice")
	if got := <-g.seen; got.method != "GET" {
		t.Errorf("another session has submitted the form: %+v", got)
	}
}
