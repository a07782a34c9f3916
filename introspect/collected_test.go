// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"slices"
	"testing"
)

func TestWhatHandlersContributeIsComplete(t *testing.T) {
	app := new(App)
	if app.IsPublic("", "/") || app.IsPublic("site", "/") || len(app.AllScopes()) != 0 {
		t.Error("something was announced by nothing")
	}
	one, other := new(int), new(int)
	app.AnnounceScopes(one, []string{"write", "read"})
	if got := app.AllScopes(); !slices.Equal(got, []string{"read", "write"}) {
		t.Errorf("got %q", got)
	}
	app.AnnounceScopes(other, []string{"admin", "read"}) // a handler provisioned after the first use
	got := app.AllScopes()
	if !slices.Equal(got, []string{"admin", "read", "write"}) {
		t.Errorf("got %q, want each once and in order", got)
	}
	got[0] = "changed by the caller"
	if again := app.AllScopes(); again[0] != "admin" {
		t.Errorf("got %q: the caller changed the list of all others", again)
	}
	revision := app.ScopesRevision()
	app.AnnounceScopes(one, []string{"read", "list"}) // the rules of a handler have changed
	if got := app.AllScopes(); !slices.Equal(got, []string{"admin", "list", "read"}) || app.ScopesRevision() == revision {
		t.Errorf("got %q and revision %d after %d, want what the handlers ask for now", got, app.ScopesRevision(), revision)
	}

	app.AnnouncePublic("a.example", "/x", "/y")
	for _, test := range []struct {
		site, path string
		want       bool
	}{
		{"a.example", "/x", true}, {"a.example", "/y", true}, {"a.example", "/z", false}, {"b.example", "/x", false}, {"", "/x", false},
	} {
		if got := app.IsPublic(test.site, test.path); got != test.want {
			t.Errorf("%q %q: got public %t, want %t", test.site, test.path, got, test.want)
		}
	}
	app.AnnouncePublic("", "/x") // a handler outside of any site
	if app.IsPublic("", "/x") {
		t.Error("a path is public without a site")
	}
}
