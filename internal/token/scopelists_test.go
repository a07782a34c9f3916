// SPDX-License-Identifier: Apache-2.0

package token

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

func TestSharedLists(t *testing.T) {
	var s sharedLists
	for _, list := range [][]string{nil, {}, {"read"}, {"read", "write"}, {"write", "read"}, {"read write"}, {"", ""}, {" "}, {strings.Repeat("x", 2000)}} {
		given := slices.Clone(list)
		got, shared := s.share(given)
		if want := len(strings.Join(list, " ")) <= maxSharedListLength; shared != want {
			t.Errorf("%.20q: shared %t, want %t", list, shared, want)
		}
		if !slices.Equal(got, list) {
			t.Errorf("%q became %q", list, got)
		}
		if len(given) > 0 {
			given[0] = "changed afterwards"
		}
		if !slices.Equal(got, list) {
			t.Errorf("%q is not a copy", list)
		}
	}
	a, _ := s.share([]string{"read", "delete"})
	b, _ := s.share([]string{"read", "delete"})
	if &a[0] != &b[0] {
		t.Error("two equal lists share no memory")
	}
	for i := range 2 * maxSharedLists {
		list := []string{"read", fmt.Sprint("todo:", i)}
		if got, _ := s.share(list); !slices.Equal(got, list) {
			t.Fatalf("%q became %q", list, got)
		}
		if len(s.lists) > maxSharedLists {
			t.Fatalf("%d lists are kept, want %d at most", len(s.lists), maxSharedLists)
		}
	}
}

// What was shared keeps nothing else alive, such as the document that a single
// scope was cut out of.
func TestSharedListsKeepNoDocument(t *testing.T) {
	var s sharedLists
	document := strings.Repeat("x", 100) + "scope-of-one" + strings.Repeat("x", 100)
	list, _ := s.share([]string{document[100:112]})
	for key, kept := range s.lists {
		for _, text := range []string{key, kept[0], list[0]} {
			if unsafe.StringData(text) == unsafe.StringData(document[100:]) {
				t.Errorf("%q is a part of the document", text)
			}
		}
	}
}

func TestSubstringOf(t *testing.T) {
	document := []byte(`{"sub":"alice","name":"al\u0069ce2"}`)
	for _, text := range []string{"alice", "alice2", "", "somebody else"} {
		given := []byte(text)
		got := substringOf(document, string(given))
		if got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	if n := testing.AllocsPerRun(10, func() { _ = substringOf(document, "alice") }); n != 0 {
		t.Errorf("a text that stands in the document takes %v allocations, want none", n)
	}
}
