// SPDX-License-Identifier: Apache-2.0

package token

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestValues(t *testing.T) {
	token := &Token{}
	a, b := ValueKey{1, NextHandlerID()}, ValueKey{1, NextHandlerID()}
	if a.Handler == b.Handler {
		t.Fatal("two handlers have one number")
	}
	if got := token.Value(a); got != nil {
		t.Errorf("nothing was kept, got %v", got)
	}
	token.SetValue(a, "a")
	token.SetValue(b, "b")
	token.SetValue(a, "A")
	if token.Value(a) != "A" || token.Value(b) != "b" {
		t.Errorf("got %v and %v", token.Value(a), token.Value(b))
	}
	next := ValueKey{2, a.Handler}
	token.SetValue(next, "next")
	if token.Value(a) != nil || token.Value(b) != nil || token.Value(next) != "next" {
		t.Errorf("after a reload: got %v, %v and %v", token.Value(a), token.Value(b), token.Value(next))
	}
	token.SetValue(a, "late")
	if token.Value(a) != nil || token.Value(next) != "next" {
		t.Errorf("after a late one: got %v and %v", token.Value(a), token.Value(next))
	}
}

func TestValuesOfManyHandlersAtOnce(t *testing.T) {
	token := &Token{}
	var wait sync.WaitGroup
	for i := range uint64(50) {
		wait.Go(func() { token.SetValue(ValueKey{1, i}, i) })
	}
	wait.Wait()
	for i := range uint64(50) {
		if got := token.Value(ValueKey{1, i}); got != i {
			t.Errorf("value %d is %v", i, got)
		}
	}
}

func TestClaimsCanBeChangedByWhoAsked(t *testing.T) {
	token := &Token{ClaimsJSON: `{"n":12345678901234567890,"o":{"a":1}}`}
	first, err := token.Claims()
	if err != nil {
		t.Fatal(err)
	}
	first["o"].(map[string]any)["a"] = "changed"
	second, _ := token.Claims()
	if got := fmt.Sprintf("%v %v", second["n"], second["o"]); got != "12345678901234567890 map[a:1]" {
		t.Errorf("got %s", got)
	}
}

// What is remembered of a refusal must not grow with what was refused.
func TestErrorsWithoutCauseAreSmall(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	if got := len(Refuse(Invalid, "%s", long).WithoutCause().Error()); got > 600 {
		t.Errorf("a remembered refusal has %d bytes", got)
	}
	if got := (&Error{Reason: Inactive}).WithoutCause().Error(); !strings.HasPrefix(got, "token_inactive") {
		t.Errorf("got %q", got)
	}
}
