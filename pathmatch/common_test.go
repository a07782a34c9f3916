// SPDX-License-Identifier: Apache-2.0

package pathmatch

import "testing"

func TestCommon(t *testing.T) {
	for _, test := range []struct{ a, b, want string }{ // "" for none
		{"/a", "/a", "/a"},
		{"/a", "/b", ""},
		{"/a", "/a/b", ""},
		{"/", "/?", "/"},
		{"/?", "/?", "/x"},
		{"/?/latest", "/books/?", "/books/latest"},
		{"/?/latest", "/books/?/?", ""},
		{"/users/{me|all}", "/users/?", "/users/me"},
		{"/users/{me|all}", "/users/{[a-z]+}", "/users/me"},
		{"/users/{me|all}", "/users/{none|all}", "/users/all"},
		{"/users/{me|all}", "/users/{you}", ""},
		{`/users/{^\d+$}`, "/users/?", "/users/1"},
		{`/users/{^\d+$}`, "/users/{^[a-z]+$}", ""},
		{`/users/{^\d+$}`, "/users/7", "/users/7"},
		{`/users/{^\d+$}`, "/users/me", ""},
		{`/users/{[a-f]{3}}`, "/users/{[f-z]+}", "/users/fff"},
		{`/v1/{(.+):cancel}`, "/v1/?", "/v1/x:cancel"},
		{`/v1/{(.+):cancel}`, "/v1/{(.+):restore}", ""},
		{`/files/{(.+)\.(.+)}`, `/files/{(.+)\.json}`, "/files/x.json"},
		{`/x/{(?!a).*}`, `/x/?`, "/x/x"},        // one that backtracks
		{`/x/{(?=a).*}`, `/x/?`, ""},            // the same, and no example was found
		{`/x/{(?=a).*}`, `/x/{abc?}`, "/x/abc"}, // with the words of the other one
		{"/??", "/a/b", "/a/b"},
		{"/??/z", "/a/?", "/a/z"},
		{"/??/z", "/?/b", ""},
		{"/a/??/z", "/a", ""},
		{"/a/??/z", "/?/?", "/a/z"},
		{"/a/??/z", "/a/?/?/z", "/a/x/x/z"},
		{"/a/??", "/??/b/c", "/a/b/c"},
		{"/a/b/??", "/?/??/c", "/a/b/c"},
		{"/a/??", "/b/??", ""},
		{"/??/a", "/??/b", ""},
		{"/??", "/??", "/"},
	} {
		t.Run(test.a+" and "+test.b, func(t *testing.T) {
			a, b := mustParse(t, test.a), mustParse(t, test.b)
			for _, pair := range [][2]*Pattern{{a, b}, {b, a}} {
				got, ok := pair[0].Common(pair[1])
				if ok != (test.want != "") || ok && (len(got) != len(test.want) || !a.Matches(got) || !b.Matches(got)) || ok && pair[0] == a && got != test.want {
					t.Errorf("%s and %s: got %q, %t, want %q", pair[0], pair[1], got, ok, test.want)
				}
				if ok && a.Disjoint(b) {
					t.Errorf("both match %q, although they are called disjoint", got)
				}
			}
		})
	}
}
