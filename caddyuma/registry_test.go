// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/introspect"
)

// From a configuration that is still being loaded nothing is concluded: it may
// be refused, and what was deleted for it would be missing.
func TestOnlyOneConfigurationDecidesWhatIsGone(t *testing.T) {
	a, first, second := new(authority), new(introspect.Provider), new(introspect.Provider)
	stored := map[string]registered{"a": {Ours: true}, "b": {Ours: true}, "theirs": {}}
	loaded := func(generation uint64, p *introspect.Provider, names ...string) {
		r := &resources{generation: generation}
		for _, name := range names {
			r.all = append(r.all, &resource{name: name})
		}
		a.announce(r, p)
	}
	check := func(when string, provider *introspect.Provider, want ...string) {
		t.Helper()
		if got := a.gone(stored); !slices.Equal(got, want) {
			t.Errorf("%s: gone are %q, want %q", when, got, want)
		}
		if a.provider.Load() != provider {
			t.Errorf("%s: the provider is that of another configuration", when)
		}
	}
	loaded(1, first, "a")
	loaded(1, first, "b")
	check("two handlers of the first configuration", first)
	loaded(2, second, "a")
	check("the second one is being loaded", first)
	a.retire(2)
	check("it was refused", first)
	loaded(3, second, "a")
	retired := a.retirement()
	a.retire(1)
	check("the third one has taken over", second, "b")
	select {
	case <-retired:
	default:
		t.Error("the retirement of the first one was not announced")
	}
	a.retire(3)
	check("none is there", second)
}

// The same with a gateway that prunes, to which something happens while
// another configuration is being loaded.
func TestNothingIsPrunedForAConfigurationThatIsRefused(t *testing.T) {
	s := start(t, harness.UMAConfig{}, "registration prune\n"+todos).registered("GET /todos", "GET /both")
	var running *authority
	authorities.Range(func(_, each any) bool {
		running = each.(*authority)
		return true
	})
	const loading = 1 << 40
	running.announce(&resources{generation: loading, all: []*resource{{name: "GET /todos"}}}, running.provider.Load())

	old := s.server.Resources()["GET /todos"].ID
	s.server.DeleteResource(old)
	s.send("GET", "/todos", "")
	s.registered("GET /todos") // it has looked what is missing and what is gone
	if _, there := s.server.Resources()["GET /both"]; !there {
		t.Error("a resource of the running configuration was deleted")
	}
	running.retire(loading)
	s.registered("GET /todos", "GET /both")
	harness.Eventually(t, 20*time.Second, func() string {
		if n := len(s.server.Resources()); n != 3 {
			return "there are other resources than those of the rules"
		}
		return ""
	})
}
