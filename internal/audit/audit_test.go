// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func newRegister(size int) (*Register, *observer.ObservedLogs) {
	core, logs := observer.New(zap.InfoLevel)
	now := func() time.Time { return time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("", 3600)) }
	return NewRegister(size, now, func() *zap.Logger { return zap.New(core) }), logs
}

func TestAChangeIsKeptAndLogged(t *testing.T) {
	r, logs := newRegister(3)
	r.Add(Change{By: "ann", Role: "admin", From: Pages, Address: "203.0.113.7", Change: "consumer saved", Subject: "acme", Detail: "tags"})
	got := r.List(0, 10)
	want := Change{1, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), "ann", "admin", "pages", "203.0.113.7", "consumer saved", "acme", "tags"}
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	lines := logs.All()
	if len(lines) != 1 || lines[0].Message != "changed" {
		t.Fatalf("got the lines %v, want one", lines)
	}
	for name, want := range map[string]any{"by": "ann", "role": "admin", "from": "pages", "address": "203.0.113.7", "change": "consumer saved", "subject": "acme", "detail": "tags"} {
		if got := lines[0].ContextMap()[name]; got != want {
			t.Errorf("%s is logged as %v, want %v", name, got, want)
		}
	}
}

func TestTheLastChangesAreKept(t *testing.T) {
	r, _ := newRegister(3)
	for i := range 5 {
		r.Add(Change{Subject: fmt.Sprint(i + 1)})
	}
	for name, c := range map[string]struct {
		before uint64
		most   int
		want   string
	}{
		"all":              {0, 10, "5 4 3"},
		"two":              {0, 2, "5 4"},
		"the next page":    {4, 2, "3"},
		"before all":       {1, 2, ""},
		"before the kept":  {3, 2, ""},
		"after the newest": {99, 1, "5"},
	} {
		t.Run(name, func(t *testing.T) {
			var subjects []string
			for _, change := range r.List(c.before, c.most) {
				subjects = append(subjects, change.Subject)
				if fmt.Sprint(change.Number) != change.Subject {
					t.Errorf("change %s has the number %d", change.Subject, change.Number)
				}
			}
			if got := strings.Join(subjects, " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestTextsAreBounded(t *testing.T) {
	r, _ := newRegister(1)
	r.Add(Change{By: strings.Repeat("é", 400), Subject: "broken \xff"})
	got := r.List(0, 1)[0]
	if len(got.By) > maxText+2 || !strings.HasSuffix(got.By, "...") || !utf8.ValidString(got.By) || got.Subject != "broken \ufffd" {
		t.Errorf("got %q and %q", got.By, got.Subject)
	}
}

func TestChangesAtOnce(t *testing.T) {
	r, _ := newRegister(100)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { r.Add(Change{}); r.List(0, 5) })
	}
	all.Wait()
	if got := r.List(0, 100); len(got) != 50 || got[0].Number != 50 {
		t.Errorf("%d changes are kept", len(got))
	}
}
