// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/certmagic"
)

func TestLiveConsumersAreCreatedChangedAndDeleted(t *testing.T) {
	ctx := t.Context()
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	d := directory(t, open(t, storage))

	ann, err := d.Create(ctx, Consumer{Username: "ann", CustomID: "client-a", Tags: []string{"partner"}})
	if err != nil {
		t.Fatal(err)
	}
	if ann.ID == "" || ann.CreatedAt == 0 {
		t.Errorf("got %+v, want an id and a time of creation", ann)
	}
	if got := d.ByClient("", "client-a"); got != ann {
		t.Errorf("right after its creation the consumer is %v", got)
	}

	changed, err := d.Update(ctx, "ann", func(c *Consumer) error { c.CustomID = "client-b"; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if d.ByClient("", "client-a") != nil || d.ByClient("", "client-b") != changed || changed.Tags[0] != "partner" {
		t.Errorf("after the change the consumer is %+v, the old client's %v", changed, d.ByClient("", "client-a"))
	}
	if ann.CustomID != "client-a" {
		t.Error("a consumer that had been handed out was changed")
	}

	put, created, err := d.Put(ctx, "ann", Consumer{CustomID: "client-c"})
	if err != nil {
		t.Fatal(err)
	}
	if created || put.ID != ann.ID || put.CreatedAt != ann.CreatedAt || put.Tags != nil {
		t.Errorf("got %+v (created: %t), want the same consumer without tags", put, created)
	}
	bob, created, err := d.Put(ctx, DeriveID("bob"), Consumer{Username: "bob"})
	if err != nil || !created || bob.ID != DeriveID("bob") {
		t.Errorf("got %+v, %t, %v, want a new consumer with the id of the address", bob, created, err)
	}

	if err := d.Delete(ctx, ann.ID); err != nil {
		t.Fatal(err)
	}
	if d.ByClient("", "client-c") != nil || d.Find("ann") != nil || d.Find(ann.ID) != nil {
		t.Error("a deleted consumer is still found")
	}
	if err := d.Delete(ctx, "ann"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}

	// What a process that starts now finds.
	again := directory(t, open(t, elsewhere{storage}))
	if got := again.Find("bob"); got == nil || !got.equal(bob) || again.Find("ann") != nil {
		t.Errorf("after a restart: bob is %+v and ann is %v", got, again.Find("ann"))
	}
}

func TestChangesThatAreRefused(t *testing.T) {
	ctx := t.Context()
	d := directory(t, openMemory(t), Consumer{Username: "static", CustomID: "client-s"})
	ann, err := d.Create(ctx, Consumer{Username: "ann", CustomID: "client-a"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Create(ctx, Consumer{Username: "bob", CustomID: "client-b"}); err != nil {
		t.Fatal(err)
	}
	nothing := func(*Consumer) error { return nil }
	set := func(field func(*Consumer) *string, value string) func(*Consumer) error {
		return func(c *Consumer) error { *field(c) = value; return nil }
	}
	username := func(c *Consumer) *string { return &c.Username }
	id := func(c *Consumer) *string { return &c.ID }
	update := func(name string, edit func(*Consumer) error) error {
		_, err := d.Update(ctx, name, edit)
		return err
	}
	create := func(c Consumer) error { _, err := d.Create(ctx, c); return err }
	put := func(name string, c Consumer) error { _, _, err := d.Put(ctx, name, c); return err }

	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"username taken":                   {create(Consumer{Username: "ann"}), "username \"ann\" belongs to another consumer"},
		"custom_id taken":                  {create(Consumer{CustomID: "client-b"}), "custom_id \"client-b\" belongs to another consumer"},
		"id taken":                         {create(Consumer{ID: ann.ID, Username: "x"}), "id \"" + ann.ID + "\" belongs to another consumer"},
		"username of the configuration":    {create(Consumer{Username: "static"}), "belongs to a consumer of the configuration"},
		"custom_id of the configuration":   {create(Consumer{CustomID: "client-s"}), "belongs to a consumer of the configuration"},
		"id of the configuration":          {create(Consumer{ID: DeriveID("static"), Username: "x"}), "belongs to a consumer of the configuration"},
		"a name that is a step in a path":  {create(Consumer{Username: ".."}), "cannot be part of an address"},
		"no name":                          {create(Consumer{}), "username is required"},
		"rename to a taken one":            {update("ann", set(username, "bob")), "username \"bob\" belongs to another consumer"},
		"rename to a configured one":       {update("ann", set(username, "static")), "belongs to a consumer of the configuration"},
		"another id":                       {update("ann", set(id, DeriveID("x"))), "id cannot be changed"},
		"change of an unknown one":         {update("unknown", nothing), ErrNotFound.Error()},
		"change of the configuration":      {update("static", nothing), ErrConfigured.Error()},
		"change of the configuration's id": {update(DeriveID("static"), nothing), ErrConfigured.Error()},
		"put over the configuration":       {put("static", Consumer{}), ErrConfigured.Error()},
		"put with another name":            {put("ann", Consumer{Username: "eve"}), "not that of the consumer named in the address"},
		"put with another id":              {put(ann.ID, Consumer{ID: DeriveID("x"), Username: "ann"}), "not that of the consumer named in the address"},
		"put of a new one with another id": {put(DeriveID("x"), Consumer{ID: DeriveID("y"), Username: "x"}), "not that of the consumer named in the address"},
		"put of a new one with a wrong id": {put(DeriveID("x"), Consumer{ID: "y", Username: "x"}), "not that of the consumer named in the address"},
		"put with a taken client":          {put("ann", Consumer{CustomID: "client-b"}), "belongs to another consumer"},
		"deletion of the configuration":    {d.Delete(ctx, "static"), ErrConfigured.Error()},
		"no storage":                       {directory(t, nil).Delete(ctx, "ann"), ErrNoStore.Error()},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one that says %q", name, test.err, test.want)
		}
	}
	if got := d.Find("ann"); got != ann || d.Find("x") != nil {
		t.Errorf("after changes that were refused the consumer is %+v", got)
	}
}

func TestTheConfigurationWins(t *testing.T) {
	ctx := t.Context()
	store := openMemory(t)
	before := directory(t, store)
	live, err := before.Create(ctx, Consumer{Username: "ann", CustomID: "client-live"})
	if err != nil {
		t.Fatal(err)
	}
	after := directory(t, store, Consumer{Username: "ann", CustomID: "client-static"})
	if got := after.Find("ann"); got == nil || got.CustomID != "client-static" {
		t.Errorf("got %+v, want the consumer of the configuration", got)
	}
	if got := after.ByClient("", "client-live"); got != nil {
		t.Errorf("got %+v for a consumer that shares its name with another one", got)
	}
	if page, _, _ := after.List(10, ""); len(page) != 1 {
		t.Errorf("got %d consumers, want the hidden one not listed", len(page))
	}
	if before.ByClient("", "client-live") != live {
		t.Error("the configuration before has lost its consumer")
	}
	// The one that is hidden can be got rid of by its id.
	if err := after.Delete(ctx, live.ID); err != nil {
		t.Error(err)
	}
	if before.ByClient("", "client-live") != nil {
		t.Error("it is not deleted")
	}
}

// A live consumer that was written into the configuration as it is, id and all,
// can be got rid of too, and that one stays.
func TestALiveConsumerWithAConfiguredIDIsDeletedByIt(t *testing.T) {
	ctx := t.Context()
	for name, static := range map[string]Consumer{
		"the same":     {Username: "ann", ID: DeriveID("x"), CustomID: "client-a"},
		"another name": {Username: "eve", ID: DeriveID("x")},
	} {
		store := openMemory(t)
		before, after := directory(t, store), directory(t, store, static)
		if _, err := before.Create(ctx, Consumer{Username: "ann", ID: DeriveID("x"), CustomID: "client-a"}); err != nil {
			t.Fatal(err)
		}
		if err := after.Delete(ctx, strings.ToUpper(static.ID)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if before.Find("ann") != nil {
			t.Errorf("%s: it is not deleted", name)
		}
		if err := after.Delete(ctx, static.ID); !errors.Is(err, ErrConfigured) || after.Find(static.ID) == nil {
			t.Errorf("%s: got %v for the one of the configuration, want ErrConfigured", name, err)
		}
	}
}

func TestListingPagesThroughEverythingOnce(t *testing.T) {
	static := many(7)
	store := openMemory(t)
	var live []Consumer
	for i := range 50 {
		live = append(live, Consumer{Username: fmt.Sprintf("live-%d", i)})
	}
	fill(t, store, live)
	d := directory(t, store, static...)
	for _, size := range []int{1, 2, 7, 8, 10, 57, 100} {
		seen := make(map[string]int)
		offset, pages := "", 0
		for {
			page, next, err := d.List(size, offset)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range page {
				seen[c.ID]++
			}
			if pages++; next == "" {
				break
			}
			if len(page) != size {
				t.Errorf("size %d: a page before the last has %d", size, len(page))
			}
			offset = next
		}
		if want := (57 + size - 1) / size; len(seen) != 57 || pages != want {
			t.Errorf("size %d: got %d consumers on %d pages, want 57 on %d", size, len(seen), pages, want)
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("size %d: %s was listed %d times", size, id, n)
			}
		}
	}
	for _, offset := range []string{"%", "eA", "Yw==", formatOffset("c", "../x"), formatOffset("x", "")} {
		if _, _, err := d.List(1, offset); !errors.Is(err, ErrOffset) {
			t.Errorf("offset %q: got %v, want ErrOffset", offset, err)
		}
	}
}
