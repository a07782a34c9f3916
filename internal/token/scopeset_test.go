// SPDX-License-Identifier: Apache-2.0

package token

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

func TestScopeSets(t *testing.T) {
	var s internedSets
	for _, list := range [][]string{nil, {}, {"read"}, {"read", "write"}, {"write", "read"}, {"read write"}, {"", ""}, {" "}, {strings.Repeat("x", 2000)}} {
		given := slices.Clone(list)
		got, set := s.intern(given)
		if want := len(strings.Join(list, " ")) <= maxScopeSetLength; (set != nil) != want {
			t.Errorf("%.20q: set %v, want %t", list, set, want)
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
	a, setOfA := s.intern([]string{"read", "delete"})
	b, setOfB := s.intern([]string{"read", "delete"})
	if &a[0] != &b[0] || setOfA != setOfB {
		t.Error("two equal lists do not share a set")
	}
	for i := range 2 * maxScopeSets {
		list := []string{"read", fmt.Sprint("todo:", i)}
		if got, _ := s.intern(list); !slices.Equal(got, list) {
			t.Fatalf("%q became %q", list, got)
		}
		if len(s.sets) > maxScopeSets {
			t.Fatalf("%d lists are kept, want %d at most", len(s.sets), maxScopeSets)
		}
	}
}

// What was shared keeps nothing else alive, such as the document that a single
// scope was cut out of.
func TestScopeSetsKeepNoDocument(t *testing.T) {
	var s internedSets
	document := strings.Repeat("x", 100) + "scope-of-one" + strings.Repeat("x", 100)
	list, _ := s.intern([]string{document[100:112]})
	for key, kept := range s.sets {
		for _, text := range []string{key, kept.scopes[0], list[0]} {
			if unsafe.StringData(text) == unsafe.StringData(document[100:]) {
				t.Errorf("%q is a part of the document", text)
			}
		}
	}
}

func TestSubstringOf(t *testing.T) {
	document := string([]byte(`{"sub":"alice","name":"al\u0069ce2"}`))
	for _, text := range []string{"alice", "alice2", "", "another name"} {
		given := []byte(text)
		got := substringOf(document, string(given))
		if got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	if n := testing.AllocsPerRun(10, func() { _ = substringOf(document, "alice") }); n != 0 {
		t.Errorf("a text that the document contains takes %v allocations, want none", n)
	}
}
