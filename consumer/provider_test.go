// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"errors"
	"strings"
	"testing"
)

// Client ids of two providers never meet: the consumer that names the provider goes
// first, then the one that names none, configured or live.
func TestConsumersThatNameTheirProvider(t *testing.T) {
	long := strings.Repeat("x", 200)
	all := []Consumer{
		{Username: "partner", CustomID: "app", Provider: "partners"},
		{Username: "employee", CustomID: "app", Provider: "staff"},
		{Username: "other", CustomID: "app"},
		{Username: "only-staff", CustomID: "batch", Provider: "staff"},
		{Username: "long", CustomID: long, Provider: long},
	}
	tests := []struct{ provider, client, want string }{
		{"partners", "app", "partner"},
		{"staff", "app", "employee"},
		{"customers", "app", "other"},
		{"", "app", "other"},
		{"staff", "batch", "only-staff"},
		{"partners", "batch", ""},
		{"", "batch", ""},
		{"staff", "", ""},
		{long, long, "long"},
		{"", "staff\x00batch", ""},
		{"sta", "ff\x00batch", ""},
	}
	store := openMemory(t)
	live := directory(t, store)
	for _, c := range all {
		if _, err := live.Create(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	configured, err := NewDirectory(all, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]*Directory{"configured": configured, "live": live} {
		for _, test := range tests {
			t.Run(name+" "+test.provider[:min(len(test.provider), 9)]+" "+test.client[:min(len(test.client), 9)], func(t *testing.T) {
				got := ""
				if c := d.ByClient(test.provider, test.client); c != nil {
					got = c.Username
				}
				if got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
			})
		}
		if found, err := d.OfClient("app"); err != nil || len(found) != 3 {
			t.Errorf("%s: %d consumers of the client, error %v, want 3", name, len(found), err)
		}
	}
	if err := live.Delete(t.Context(), "employee"); err != nil {
		t.Fatal(err)
	}
	if c := live.ByClient("staff", "app"); c == nil || c.Username != "other" {
		t.Errorf("after the deletion got %v, want the consumer that names no provider", c)
	}
}

// A live consumer that another gateway wrote is found by its provider after the
// next refresh, and no longer once it was changed there.
func TestRefreshKnowsTheProviderOfConsumers(t *testing.T) {
	storage := newMemoryStorage()
	writing, reading := directory(t, open(t, storage)), open(t, storage)
	d := directory(t, reading)
	if _, err := writing.Create(t.Context(), Consumer{Username: "employee", CustomID: "app", Provider: "staff"}); err != nil {
		t.Fatal(err)
	}
	refresh := func() {
		t.Helper()
		if err := reading.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	refresh()
	if c := d.ByClient("staff", "app"); c == nil || c.Username != "employee" {
		t.Errorf("got %v, want employee", c)
	}
	if _, err := writing.Update(t.Context(), "employee", func(c *Consumer) error { c.Provider = "partners"; return nil }); err != nil {
		t.Fatal(err)
	}
	refresh()
	if c := d.ByClient("staff", "app"); c != nil {
		t.Errorf("got %v for the old provider, want none", c)
	}
	if c := d.ByClient("partners", "app"); c == nil {
		t.Error("got none for the new provider")
	}
}

func TestProvidersOfConsumersAreChecked(t *testing.T) {
	tests := []struct {
		name   string
		c      Consumer
		field  string
		reason string
	}{
		{"without a client", Consumer{Username: "a", Provider: "staff"}, "provider", "there is no custom_id"},
		{"control character", Consumer{Username: "a", CustomID: "app", Provider: "st\x00aff"}, "provider", "control character"},
		{"unknown", Consumer{Username: "a", CustomID: "app", Provider: "nowhere"}, "provider", "no such provider"},
	}
	d := directory(t, openMemory(t))
	d.CheckProvider = func(name string) error {
		if name == "nowhere" {
			return errors.New("no such provider")
		}
		return nil
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := d.Create(t.Context(), test.c)
			invalid, ok := errors.AsType[*InvalidError](err)
			if !ok || invalid.Field != test.field || !strings.Contains(invalid.Reason, test.reason) {
				t.Errorf("got %v, want %s ... %s", err, test.field, test.reason)
			}
		})
	}
	for _, second := range []string{"staff", ""} {
		if _, err := d.Create(t.Context(), Consumer{Username: "first" + second, CustomID: "app", Provider: second}); err != nil {
			t.Fatal(err)
		}
		_, err := d.Create(t.Context(), Consumer{Username: "second" + second, CustomID: "app", Provider: second})
		if conflict, ok := errors.AsType[*ConflictError](err); !ok || conflict.Field != "custom_id" || conflict.Value != "app" {
			t.Errorf("the same client of provider %q: got %v, want a conflict of custom_id app", second, err)
		}
	}
	unnamed := []Consumer{{CustomID: "app", Provider: "staff"}, {CustomID: "app", Provider: "partners"}, {CustomID: "app"}}
	if _, err := NewDirectory(unnamed, nil); err != nil {
		t.Errorf("consumers without usernames: %v, want each with an id of its own", err)
	}
}

// A request finds its consumer without an allocation, whatever consumers name.
func TestFindingAConsumerAllocatesNothing(t *testing.T) {
	d, err := NewDirectory([]Consumer{{Username: "a", CustomID: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", Provider: "staff"}}, openMemory(t))
	if err != nil {
		t.Fatal(err)
	}
	if allocated := testing.AllocsPerRun(100, func() { d.ByClient("staff", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0") }); allocated != 0 {
		t.Errorf("got %v allocations, want none", allocated)
	}
}
