// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"fmt"
	"strings"
	"testing"
)

func TestDirectoryRefusesWhatCannotBeRight(t *testing.T) {
	const id = "0d3e0a6b-4f5d-4a7e-9a52-7d8f3c1b2a10"
	tests := []struct {
		name      string
		consumers []Consumer
		want      string
	}{
		{"no name at all", []Consumer{{ID: id}}, "username is required"},
		{"same username", []Consumer{{Username: "ann"}, {Username: "ann", ID: id}}, `the same username "ann"`},
		{"same custom_id", []Consumer{{Username: "ann", CustomID: "c"}, {Username: "bob", CustomID: "c"}}, `the same custom_id "c"`},
		{"same id", []Consumer{{Username: "ann", ID: id}, {Username: "bob", ID: strings.ToUpper(id)}}, "the same id \"" + id + "\""},
		{"same derived id", []Consumer{{Username: "ann"}, {Username: "bob", ID: DeriveID("ann")}}, "the same id"},
		{"malformed id", []Consumer{{Username: "ann", ID: "7"}}, `"7" is not a UUID`},
		{"id in braces", []Consumer{{Username: "ann", ID: "{" + id + "}"}}, "is not a UUID"},
		{"name that looks like an id", []Consumer{{Username: id}}, "could be taken for the id"},
		{"dot", []Consumer{{Username: "."}}, `"." cannot be part of an address`},
		{"two dots", []Consumer{{Username: ".."}}, `".." cannot be part of an address`},
		{"line feed", []Consumer{{Username: "ann\nX-Admin: 1"}}, "contains a control character"},
		{"line separator", []Consumer{{CustomID: "a\u2028b"}}, "contains a control character"},
		{"invalid UTF-8", []Consumer{{Username: "a\xff"}}, "is not valid UTF-8"},
		{"space at the end", []Consumer{{Username: "ann "}}, "white space"},
		{"long", []Consumer{{Username: strings.Repeat("a", 513)}}, "513 bytes long"},
		{"empty tag", []Consumer{{Username: "ann", Tags: []string{""}}}, "contain an empty one"},
		{"negative time", []Consumer{{Username: "ann", CreatedAt: -1}}, "created_at is negative"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := NewDirectory(test.consumers, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one that says %q", err, test.want)
			}
		})
	}
}

func TestDirectoryFindsByEveryName(t *testing.T) {
	d, err := NewDirectory([]Consumer{
		{Username: "ann", CustomID: "client-a"},
		{CustomID: "client-b"},
		{Username: "carl", ID: "0D3E0A6B-4F5D-4A7E-9A52-7D8F3C1B2A10"},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	name := func(c *Consumer) string {
		if c == nil {
			return "none"
		}
		return c.Name()
	}
	for _, test := range []struct {
		got  *Consumer
		want string
	}{
		{d.ByClient("", "client-a"), "ann"},
		{d.ByClient("", "client-b"), "client-b"},
		{d.ByClient("", "ann"), "none"},
		{d.ByClient("", ""), "none"},
		{d.Find("ann"), "ann"},
		{d.Find("ANN"), "none"},
		{d.Find("client-a"), "none"},
		{d.Find(DeriveID("ann")), "ann"},
		{d.Find(strings.ToUpper(DeriveID("ann"))), "ann"},
		{d.Find(DeriveID("client-b")), "client-b"},
		{d.Find("0d3e0a6b-4f5d-4a7e-9a52-7d8f3c1b2a10"), "carl"},
		{d.Find(""), "none"},
	} {
		if got := name(test.got); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
	if a, b := d.ByClient("", "client-a"), d.Find("ann"); a != b {
		t.Errorf("got two consumers %p and %p for one", a, b)
	}
	if !d.Ready() {
		t.Error("a directory without a store is not ready")
	}
}

// The id of a consumer goes into upstreams' databases: it must never change.
func TestDeriveIDIsStable(t *testing.T) {
	if got, want := DeriveID("ann"), "2f3339e2-88b3-57f5-bcf7-f64f85da4e03"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if DeriveID("ann") == DeriveID("bob") {
		t.Error("two names have the same id")
	}
}

func many(n int) []Consumer {
	consumers := make([]Consumer, n)
	for i := range consumers {
		consumers[i] = Consumer{Username: fmt.Sprintf("consumer-%d", i), CustomID: fmt.Sprintf("client-%d", i)}
	}
	return consumers
}

// What a request pays for consumers: 10 or 100,000, configured or live.
func BenchmarkByClient(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		for _, live := range []bool{false, true} {
			b.Run(fmt.Sprintf("consumers=%d/live=%t", n, live), func(b *testing.B) {
				var d *Directory
				var err error
				if live {
					store := openMemory(b)
					fill(b, store, many(n))
					d, err = NewDirectory(nil, store)
				} else {
					d, err = NewDirectory(many(n), nil)
				}
				if err != nil {
					b.Fatal(err)
				}
				ids := make([]string, 1024)
				for i := range ids {
					ids[i] = fmt.Sprintf("client-%d", i*7919%n)
				}
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					if d.ByClient("", ids[i&1023]) == nil {
						b.Fatal("not found")
					}
					i++
				}
			})
		}
	}
}

func BenchmarkNewDirectory(b *testing.B) {
	consumers := many(100_000)
	for b.Loop() {
		if _, err := NewDirectory(consumers, nil); err != nil {
			b.Fatal(err)
		}
	}
}
