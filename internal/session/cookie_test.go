// SPDX-License-Identifier: Apache-2.0

package session

import (
	"strings"
	"testing"
)

func TestACookieIsShortAndComesBack(t *testing.T) {
	ref := newReference()
	cookie := ref.cookie()
	if len(cookie) != cookieLength || len(cookie) >= 100 {
		t.Errorf("got %d bytes", len(cookie))
	}
	if got, ok := parseCookie(cookie); !ok || got != ref {
		t.Errorf("got %v, %t", got, ok)
	}
	if tag := ref.tag(); len(tag) != 16 || strings.Contains(cookie, tag) {
		t.Errorf("got the tag %s", tag)
	}
}

func TestWhatIsNotACookieIsRefused(t *testing.T) {
	good := newReference().cookie()
	for _, cookie := range []string{
		"", "1", good[1:], "2" + good[1:], good + "A", good[:len(good)-1], good[:10] + "*" + good[11:], good[:10] + "\n" + good[11:],
		strings.Repeat("1", 10000), good[:len(good)-1] + "=",
	} {
		if _, ok := parseCookie(cookie); ok {
			t.Errorf("%.80q was taken for a session cookie", cookie)
		}
	}
}

func FuzzParseCookie(f *testing.F) {
	f.Add("")
	f.Add(newReference().cookie())
	f.Fuzz(func(t *testing.T, cookie string) {
		if ref, ok := parseCookie(cookie); ok && ref.cookie() != cookie {
			t.Errorf("%q and %q are one session", cookie, ref.cookie())
		}
	})
}
