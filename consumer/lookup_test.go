// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"errors"
	"testing"
)

// A client that is told "not found" may create the consumer a second time, and
// one that gets an incomplete list may delete the rest elsewhere.
func TestLookupsTellMissingFromUnknown(t *testing.T) {
	storage := newMemoryStorage()
	storage.failure = func(operation, key string) error { return errors.New("connection refused") }
	store := open(t, storage)
	d := directory(t, store, Consumer{Username: "static", CustomID: "client-s"})

	check := func(when string, missing, listing error) {
		t.Helper()
		if c, err := d.Lookup("x"); c != nil || !errors.Is(err, missing) {
			t.Errorf("%s, a missing name: got %v, %v, want %v", when, c, err, missing)
		}
		if c, err := d.Lookup("static"); err != nil || c.Username != "static" {
			t.Errorf("%s: got %v, %v, want the configured consumer by its name", when, c, err)
		}
		if found, err := d.OfClient("x"); len(found) > 0 || !errors.Is(err, listing) {
			t.Errorf("%s, a missing client: got %v, %v, want %v", when, found, err, listing)
		}
		if found, err := d.OfClient("client-s"); err != nil || len(found) != 1 || found[0].Username != "static" {
			t.Errorf("%s: got %v, %v, want the configured consumer by its client", when, found, err)
		}
		if page, _, err := d.List(10, ""); !errors.Is(err, listing) || listing == nil && len(page) != 1 {
			t.Errorf("%s: listed %v, %v, want error %v", when, page, err, listing)
		}
	}
	check("before the storage was read", ErrNotLoaded, ErrNotLoaded)
	storage.setFailure(nil)
	if err := store.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("after the storage was read", ErrNotFound, nil)
}
