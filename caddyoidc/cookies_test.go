// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var testNames = cookieNames{session: "__Host-gluu_session", login: "__Host-gluu_login_", restore: "__Host-gluu_restore"}

func TestSec_S122_OwnCookiesNeverReachTheUpstream(t *testing.T) {
	for _, test := range []struct {
		name string
		sent []string
		want []string
	}{
		{"none", nil, nil},
		{"only ours", []string{"__Host-gluu_session=1abc"}, nil},
		{"others untouched", []string{"a=1;b=2;  c = \"x y\";;d"}, []string{"a=1;b=2;  c = \"x y\";;d"}},
		{"first", []string{"__Host-gluu_session=1abc; a=1"}, []string{"a=1"}},
		{"middle", []string{"a=1; __Host-gluu_session=1abc; b=2"}, []string{"a=1; b=2"}},
		{"last", []string{"a=1; __Host-gluu_session=1abc"}, []string{"a=1"}},
		{"logins and restore", []string{"__Host-gluu_login_x=1; a=1; __Host-gluu_login_y=2; __Host-gluu_restore=z"}, []string{"a=1"}},
		{"several lines", []string{"a=1", "__Host-gluu_session=1", "b=2"}, []string{"a=1", "b=2"}},
		{"odd spelling", []string{"a=1;\t__Host-gluu_session =1 ; b=2"}, []string{"a=1; b=2"}},
		{"without a value", []string{"__Host-gluu_session; a=1"}, []string{"a=1"}},
		{"similar names", []string{"gluu_session=1; x__Host-gluu_session=2; __host-gluu_session=3"}, []string{"gluu_session=1; x__Host-gluu_session=2; __host-gluu_session=3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := http.Header{}
			if test.sent != nil {
				h["Cookie"] = slices.Clone(test.sent)
			}
			removeCookies(h, testNames.owns)
			if got := h["Cookie"]; !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestCookiesOfOneNameAreFoundUpToALimit(t *testing.T) {
	h := http.Header{"Cookie": {"s=1; t=2; s=3", "s = 4", strings.Repeat("s=x; ", 1000)}}
	for limit, want := range map[int][]string{1: {"1"}, 2: {"1", "3"}, 4: {"1", "3", " 4", "x"}} {
		if got := valuesOf(h, "s", limit); !slices.Equal(got, want) {
			t.Errorf("limit %d: got %q, want %q", limit, got, want)
		}
	}
}

func FuzzCookieHeader(f *testing.F) {
	for _, seed := range []string{"", ";", "=", "a=1; __Host-gluu_session=x", ";;;__Host-gluu_session", " = ; __Host-gluu_login_=", "__Host-gluu_session=\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{"Cookie": {line}}
		before := others(h)
		removeCookies(h, testNames.owns)
		if left := valuesOf(h, testNames.session, 1); len(left) > 0 {
			t.Errorf("%q: the session cookie is still there: %q", line, h["Cookie"])
		}
		if after := others(h); !slices.Equal(before, after) {
			t.Errorf("%q: other cookies were %q and are %q", line, before, after)
		}
	})
}

// others are the cookies that are not the gateway's.
func others(h http.Header) (pairs []string) {
	cookies(h, func(name, value string) bool {
		if !testNames.owns(name) {
			pairs = append(pairs, name+"="+value)
		}
		return true
	})
	return pairs
}
