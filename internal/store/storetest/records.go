// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/store"
)

func (s Suite) testRead(t *testing.T) {
	place := s.New(t)
	gateways := s.gateways(t, place, store.Options{})
	writer, reader := gateways[0], gateways[len(gateways)-1]
	for name, want := range map[string]store.Record{
		"plain":           record("grant", "plain", "value"),
		"empty":           record("grant", "empty", ""),
		"bytes":           record("grant", "\x00\xff\n'\";--{}", "\x00\xff\n'\";--{}", "\x00\xff\n'\";--{}"),
		"four entries":    record("grant", "four", "value", "a", "b", "c", "d"),
		"of another kind": record("code_2", "plain", "other value"),
		"long":            record("grant", strings.Repeat("k", 4<<10), strings.Repeat("v", store.MaxValue), strings.Repeat("e", 4<<10)),
		"for ever":        {Kind: "grant", Key: []byte("ever"), Value: []byte("v"), Expires: store.Forever},
	} {
		t.Run(name, func(t *testing.T) {
			commit(t, writer, store.Create(want))
			got := get(t, reader, want.Kind, string(want.Key))
			if got.Kind != want.Kind || !bytes.Equal(got.Key, want.Key) || !bytes.Equal(got.Value, want.Value) {
				t.Errorf("got %s %.20q %.20q, want %s %.20q %.20q", got.Kind, got.Key, got.Value, want.Kind, want.Key, want.Value)
			}
			if got.Expires.UnixMilli() != want.Expires.UnixMilli() {
				t.Errorf("expires %v, want %v", got.Expires, want.Expires)
			}
			if !slices.EqualFunc(got.Index, want.Index, sameEntry) {
				t.Errorf("got the index %q, want %q", got.Index, want.Index)
			}
			if got.Version == 0 {
				t.Error("the version is missing")
			}
		})
	}
	holds(t, reader, "grant", "absent", "")
	holds(t, reader, "absent", "plain", "")
}

func sameEntry(a, b store.Entry) bool { return a.Kind == b.Kind && bytes.Equal(a.Value, b.Value) }

func (s Suite) testExpectations(t *testing.T) {
	st := open(t, s.New(t), store.Options{})
	commit(t, st, store.Create(record("grant", "is", "old")), store.Create(record("grant", "goes", "old")))
	old := get(t, st, "grant", "is")
	gone := get(t, st, "grant", "goes")
	commit(t, st, store.Remove(gone))
	commit(t, st, store.Put(record("grant", "is", "now")))
	now := get(t, st, "grant", "is")

	for _, op := range []store.Op{
		store.Create(record("grant", "is", "x")),
		store.Replace(old), store.Remove(old), store.Check(old),
		store.Replace(gone), store.Remove(gone), store.Check(gone),
	} {
		conflicts(t, st, op)
	}
	holds(t, st, "grant", "is", "now")
	holds(t, st, "grant", "goes", "")

	commit(t, st, store.Check(now))
	commit(t, st, store.Check(now), store.Create(record("grant", "beside", "x")))
	now.Value = []byte("newer")
	commit(t, st, store.Replace(now))
	holds(t, st, "grant", "is", "newer")
	conflicts(t, st, store.Replace(now))
	commit(t, st, store.Delete("grant", []byte("is")), store.Delete("grant", []byte("never was")))
	holds(t, st, "grant", "is", "")
	commit(t, st)
}

func (s Suite) testAllOrNone(t *testing.T) {
	st := open(t, s.New(t), store.Options{})
	commit(t, st, store.Create(record("code", "c", "code")), store.Create(record("grant", "g", "grant", "alice")))
	grant := get(t, st, "grant", "g")
	stale := grant
	commit(t, st, store.Replace(grant))
	for at := range 4 { // wherever the one is that conflicts
		ops := []store.Op{
			store.Delete("code", []byte("c")), store.Create(record("token", "t", "token", "alice")), store.Put(record("token", "u", "token", "alice")),
		}
		conflicts(t, st, slices.Insert(ops, at, store.Replace(stale))...)
		conflicts(t, st, slices.Insert(ops, at, store.Check(stale))...)
		conflicts(t, st, slices.Insert(ops, at, store.Create(grant))...)
	}
	holds(t, st, "code", "c", "code")
	holds(t, st, "token", "t", "")
	holds(t, st, "token", "u", "")
	if got := list(t, st, "token", "alice", 10); len(got) != 0 {
		t.Errorf("listed by the index: %q, want nothing", got)
	}
}

func (s Suite) testVersions(t *testing.T) {
	st := open(t, s.New(t), store.Options{})
	seen := map[uint64]bool{}
	var first store.Record
	for i := range 20 {
		commit(t, st, store.Put(record("grant", "g", "the same")))
		r := get(t, st, "grant", "g")
		if i == 0 {
			first = r
		}
		if seen[r.Version] {
			t.Fatalf("version %d twice", r.Version)
		}
		seen[r.Version] = true
		if i%2 == 1 {
			commit(t, st, store.Delete("grant", []byte("g")))
		}
	}
	commit(t, st, store.Put(first))
	conflicts(t, st, store.Replace(first))
}

func (s Suite) testMistakes(t *testing.T) {
	st := open(t, s.New(t), store.Options{})
	with := func(change func(*store.Record)) store.Record {
		r := record("grant", "g", "x", "a")
		change(&r)
		return r
	}
	var many []store.Op
	for i := range store.MaxOps + 1 {
		many = append(many, store.Put(record("grant", fmt.Sprint(i), "x")))
	}
	for name, ops := range map[string][]store.Op{
		"no kind":             {store.Put(record("", "g", "x"))},
		"a kind with a colon": {store.Put(record("a:b", "g", "x"))},
		"no key":              {store.Put(record("grant", "", "x"))},
		"no expiry":           {store.Put(with(func(r *store.Record) { r.Expires = time.Time{} }))},
		"five entries":        {store.Put(record("grant", "g", "x", "1", "2", "3", "4", "5"))},
		"an entry twice":      {store.Put(record("grant", "g", "x", "1", "1"))},
		"an entry of no kind": {store.Put(with(func(r *store.Record) { r.Index[0].Kind = "" }))},
		"a long key":          {store.Put(record("grant", strings.Repeat("k", 4<<10+1), "x"))},
		"a long value":        {store.Put(record("grant", "g", strings.Repeat("v", store.MaxValue+1)))},
		"a long entry":        {store.Put(record("grant", "g", "x", strings.Repeat("e", 4<<10+1)))},
		"never read":          {store.Remove(record("grant", "g", "x"))},
		"a record twice":      {store.Put(record("grant", "g", "x")), store.Delete("grant", []byte("g"))},
		"too many operations": many,
	} {
		t.Run(name, func(t *testing.T) {
			if err := st.Commit(t.Context(), ops...); err == nil {
				t.Error("was not refused")
			}
			holds(t, st, "grant", "g", "")
		})
	}
}

// list returns the sorted values of the records with an entry, in pages of n.
func list(t testing.TB, s *store.Store, kind, entry string, n int) []string {
	t.Helper()
	found := map[string]bool{}
	var after []byte
	for range 1000 {
		records, next, err := s.List(t.Context(), kind, store.Entry{Kind: "subject", Value: []byte(entry)}, after, n)
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		if len(records) > n {
			t.Errorf("a page has %d records, want %d at most", len(records), n)
		}
		for _, r := range records {
			if found[string(r.Key)] {
				t.Errorf("%q was listed twice", r.Key)
			}
			found[string(r.Key)] = true
		}
		if after = next; after == nil {
			return slices.Sorted(maps.Keys(found))
		}
	}
	t.Fatal("the list does not end")
	return nil
}

func (s Suite) testList(t *testing.T) {
	st := open(t, s.New(t), store.Options{})
	var all []string
	for i := range 25 {
		key := fmt.Sprintf("k%02d", i)
		r := record("token", key, "x", "alice", "client")
		r.Expires = r.Expires.Add(time.Duration(i%3) * time.Second)
		commit(t, st, store.Create(r), store.Create(record("grant", key, "x", "alice")), store.Create(record("token", "b"+key, "x", "bob")))
		all = append(all, key)
	}
	for _, n := range []int{1, 7, 25, 26, 1000} {
		if got := list(t, st, "token", "alice", n); !slices.Equal(got, all) {
			t.Errorf("in pages of %d: got %q, want %q", n, got, all)
		}
	}
	if got := list(t, st, "token", "carol", 10); len(got) != 0 {
		t.Errorf("got %q, want nothing", got)
	}
	if got, _, err := st.List(t.Context(), "token", store.Entry{Kind: "client", Value: []byte("alice")}, nil, 10); err != nil || len(got) != 0 {
		t.Errorf("in another index: got %d records, %v, want none", len(got), err)
	}
	moved := get(t, st, "token", "k03")
	moved.Index = []store.Entry{{Kind: "subject", Value: []byte("carol")}}
	commit(t, st, store.Replace(moved), store.Delete("token", []byte("k04")), store.Put(record("token", "k05", "x", "alice")))
	want := slices.DeleteFunc(slices.Clone(all), func(key string) bool { return key == "k03" || key == "k04" })
	if got := list(t, st, "token", "alice", 4); !slices.Equal(got, want) {
		t.Errorf("after changes: got %q, want %q", got, want)
	}
	if got := list(t, st, "token", "client", 4); !slices.Contains(got, "k06") || slices.Contains(got, "k05") || slices.Contains(got, "k03") {
		t.Errorf("the other entry: got %q, want k06 and neither k05 nor k03", got)
	}
	if got := list(t, st, "token", "carol", 4); !slices.Equal(got, []string{"k03"}) {
		t.Errorf("the new entry: got %q, want k03", got)
	}
}

// S-219: the place of a page may come from a client, which writes what it likes.
func (s Suite) testForgedPage(t *testing.T) {
	st := open(t, s.New(t), store.Options{})
	for i := range 5 {
		commit(t, st, store.Put(record("token", fmt.Sprint(i), "x", "alice")), store.Put(record("token", fmt.Sprint("b", i), "x", "bob")))
	}
	for _, after := range []string{"\x01", "\xff", "\x00", "\x00'; DROP SCHEMA gluu CASCADE; --", "\x00" + strings.Repeat("\xff", 32), "\x00" + strings.Repeat("x", 10_000), "\x00(inf"} {
		records, _, _ := st.List(t.Context(), "token", store.Entry{Kind: "subject", Value: []byte("alice")}, []byte(after), 10)
		for _, r := range records {
			if !strings.Contains("01234", string(r.Key)) {
				t.Errorf("after %.20q: found %q, which is not alice's", after, r.Key)
			}
		}
	}
	if got := list(t, st, "token", "alice", 2); len(got) != 5 {
		t.Errorf("afterwards: got %q, want all 5", got)
	}
}

func (s Suite) testSecrets(t *testing.T) {
	place := s.New(t)
	use := func(secrets []string, run func(*store.Store)) {
		st, err := store.New(place.Open(t), store.Options{Secrets: secrets, Timeout: patience})
		if err != nil {
			t.Fatal(err)
		}
		run(st)
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
	use([]string{secretA}, func(st *store.Store) {
		commit(t, st, store.Create(record("grant", "stays", "a", "alice")), store.Create(record("grant", "renewed", "a", "alice")))
	})
	use([]string{secretB, secretA}, func(st *store.Store) {
		holds(t, st, "grant", "stays", "a")
		commit(t, st, store.Create(record("grant", "new", "b", "alice")), store.Replace(get(t, st, "grant", "renewed")))
		conflicts(t, st, store.Create(record("grant", "stays", "b")))
		for _, n := range []int{1, 2, 10} {
			if got, want := list(t, st, "grant", "alice", n), []string{"new", "renewed", "stays"}; !slices.Equal(got, want) {
				t.Errorf("by both secrets, in pages of %d: got %q, want %q", n, got, want)
			}
		}
	})
	use([]string{secretB}, func(st *store.Store) {
		holds(t, st, "grant", "stays", "") // its secret is gone
		holds(t, st, "grant", "new", "b")
		holds(t, st, "grant", "renewed", "a")
		if got, want := list(t, st, "grant", "alice", 10), []string{"new", "renewed"}; !slices.Equal(got, want) {
			t.Errorf("by the new secret: got %q, want %q", got, want)
		}
	})
}
