// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/seal"
	"github.com/caddy-gluu/gateway/internal/session"
)

func testSealer(t *testing.T) *seal.Sealer {
	t.Helper()
	s, err := seal.New("test", strings.Repeat("k", seal.MinSecret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var testJar = &cookieJar{names: testNames, secure: true, sameSite: http.SameSiteLaxMode}

// browser keeps the cookies that answers set.
type browser map[string]string

func (b browser) receive(w *httptest.ResponseRecorder) {
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b, c.Name)
			continue
		}
		b[c.Name] = c.Value
	}
}

func (b browser) send() http.Header {
	h := http.Header{}
	for name, value := range b {
		h.Add("Cookie", name+"="+value)
	}
	return h
}

func TestSec_S112_FiveLoginsAtATimeAndTheOldestIsDropped(t *testing.T) {
	s, b := testSealer(t), browser{"app": "1", testNames.login + "junk": "junk"}
	var attempts []*session.Attempt
	for i := range 7 {
		a := session.NewAttempt(session.Attempt{Handler: "h", ReturnTo: fmt.Sprintf("/%d", i), Started: testTime.Add(time.Duration(i) * time.Second)})
		w := httptest.NewRecorder()
		if err := testJar.setAttempt(w, b.send(), s, a); err != nil {
			t.Fatal(err)
		}
		b.receive(w)
		attempts = append(attempts, a)
	}
	for i, a := range attempts {
		got, err := testJar.attempt(b.send(), s, a.State(), testTime.Add(time.Minute))
		if i < 2 {
			if err == nil {
				t.Errorf("login %d is still there", i)
			}
			continue
		}
		if err != nil || got.ReturnTo != fmt.Sprintf("/%d", i) || got.Nonce() != a.Nonce() {
			t.Errorf("login %d: got %+v, %v", i, got, err)
		}
	}
	if len(b) != 6 {
		t.Errorf("got %d cookies, want five logins and the one of the application", len(b))
	}
}

func TestLongAddressesDoNotFillTheHeader(t *testing.T) {
	s, b := testSealer(t), browser{}
	for i := range 6 {
		a := session.NewAttempt(session.Attempt{ReturnTo: "/" + strings.Repeat("x", session.MaxReturnTo-1), Started: testTime.Add(time.Duration(i) * time.Second)})
		w := httptest.NewRecorder()
		if err := testJar.setAttempt(w, b.send(), s, a); err != nil {
			t.Fatal(err)
		}
		b.receive(w)
		size := 0
		for name, value := range b {
			size += len(name) + len(value)
			if len(name)+len(value) > 4000 {
				t.Fatalf("a cookie of %d bytes, which browsers drop", len(name)+len(value))
			}
		}
		if size > maxAttemptBytes {
			t.Fatalf("after %d logins the cookies have %d bytes, want %d at the most", i+1, size, maxAttemptBytes)
		}
	}
}

func TestALoginEndsOnlyInTheBrowserThatBeganIt(t *testing.T) {
	s := testSealer(t)
	a := session.NewAttempt(session.Attempt{ReturnTo: "/", Started: testTime})
	other := session.NewAttempt(session.Attempt{ReturnTo: "/", Started: testTime})
	value, err := a.Seal(s)
	if err != nil {
		t.Fatal(err)
	}
	name := func(a *session.Attempt) string { return testNames.login + session.Name(a.State()) }
	for _, test := range []struct {
		what    string
		cookies []string
		state   string
		after   time.Duration
		good    bool
	}{
		{"its own", []string{name(a) + "=" + value}, a.State(), 0, true},
		{"no cookie", nil, a.State(), 0, false},
		{"another state", []string{name(a) + "=" + value}, other.State(), 0, false},
		{"under the name of another", []string{name(other) + "=" + value}, other.State(), 0, false},
		{"two of one name", []string{name(a) + "=" + value, name(a) + "=" + value}, a.State(), 0, false},
		{"at the last moment", []string{name(a) + "=" + value}, a.State(), session.AttemptAge, true},
		{"too late", []string{name(a) + "=" + value}, a.State(), session.AttemptAge + time.Second, false},
		{"changed", []string{name(a) + "=" + value[:len(value)-2] + "AA"}, a.State(), 0, false},
		{"empty state", []string{name(a) + "=" + value}, "", 0, false},
	} {
		t.Run(test.what, func(t *testing.T) {
			_, err := testJar.attempt(http.Header{"Cookie": test.cookies}, s, test.state, testTime.Add(test.after))
			if (err == nil) != test.good {
				t.Errorf("got %v, want it accepted: %t", err, test.good)
			}
		})
	}
}

func TestSec_S106_EachLoginHasSecretsOfItsOwn(t *testing.T) {
	seen := make(map[string]bool)
	for range 10_000 {
		a := session.NewAttempt(session.Attempt{})
		for _, secret := range []string{a.State(), a.Nonce(), a.Verifier()} {
			if len(secret) < 43 || seen[secret] {
				t.Fatalf("%q is short or was there before", secret)
			}
			seen[secret] = true
		}
	}
}

func TestSec_S101_S102_S183_ReturnAddressesStayOnTheOrigin(t *testing.T) {
	for _, target := range []string{
		"//evil.example", "//evil.example/x", `/\evil.example`, "/\\/evil", "/%5cevil.example", "/%5Cevil", "/%09/evil.example", "/\t/evil", "/%0d%0a/evil", "/./\\evil", "/.//evil", "/..//evil",
		"https://evil.example", "https:evil.example", "evil.example", "", "/%2f%2fevil", "/%2Fevil", "/a\r\nSet-Cookie: x=y", "/a b", "/a#b", "\\\\evil", "javascript:alert(1)",
	} {
		if got := address(ownOrigin, target); got != ownOrigin+"/" {
			t.Errorf("%q: got %s, want %s/", target, got, ownOrigin)
		}
	}
	for _, target := range []string{"/", "/a", "/a//b", "/a?x=//evil", "/a?next=https://e.example", "/?", "/%C3%A9?q=%2B+&e=", "/a%2Fb?x=%0d"} {
		if got := address(ownOrigin, target); got != ownOrigin+target {
			t.Errorf("%q: got %s", target, got)
		}
	}
}

func TestSec_S137_PathAndQueryComeBackByteForByte(t *testing.T) {
	long := "/report?" + strings.Repeat("k=%2B+&", 290)
	for _, target := range []string{"/", "/a?", "/a?b", "/a?b=&c", "/é?q=ü", "/%C3%A9?x=%2b", "/a%2Fb", "/a?x=+%20%2B", long} {
		r := httptest.NewRequest("GET", "/", nil)
		u, err := r.URL.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		want := target
		if strings.Contains(want, "é") {
			want = "/%C3%A9?q=ü"
		}
		if got := returnTo(u); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	r := httptest.NewRequest("GET", "/p?"+strings.Repeat("x", session.MaxReturnTo), nil)
	if got := returnTo(r.URL); got != "/p" {
		t.Errorf("got %q, want the path alone of an address that is too long", got)
	}
	if got := returnTo(httptest.NewRequest("GET", "/"+strings.Repeat("x", session.MaxReturnTo), nil).URL); got != "/" {
		t.Errorf("got %d bytes, want the front page in place of a path that is too long", len(got))
	}
}
