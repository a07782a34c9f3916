// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"slices"
	"sync"
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

// Requests build the form and read it while handlers of other sites are still
// being provisioned.
func TestCollectedUnderConcurrentUse(t *testing.T) {
	var c collected[int, int]
	count := func(items []int) int { return len(items) }
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				before := c.get(count)
				c.add(i)
				if after := c.get(count); after <= before {
					t.Errorf("got %d items after %d and one more", after, before)
				}
			}
		})
	}
	wg.Wait()
	if got := c.get(count); got != 800 {
		t.Errorf("got %d items, want 800", got)
	}
}

func BenchmarkCollected(b *testing.B) {
	var c collected[announcedScopes, []string]
	c.add(announcedScopes{1, []string{"a", "b"}})
	b.ReportAllocs()
	for b.Loop() {
		c.get(sortedOnce)
	}
}
