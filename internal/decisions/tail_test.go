// SPDX-License-Identifier: Apache-2.0

package decisions

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestATailSeesWhatIsAddedAfterIt(t *testing.T) {
	r, _ := newRegister(10)
	r.Add(&Refused{RequestID: "before"})
	tail := r.Tail(Filter{Reason: "no_rule"})
	defer tail.Close()
	r.Add(&Refused{RequestID: "a", Reason: "no_token"})
	r.Add(&Refused{RequestID: "b", Reason: "no_rule"})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got, missed, err := tail.Next(ctx)
	if err != nil || missed != 0 || len(got) != 1 || got[0].RequestID != "b" {
		t.Fatalf("got %+v, missed %d, error %v", got, missed, err)
	}
	go r.Add(&Refused{RequestID: "c", Reason: "no_rule"})
	if got, _, err := tail.Next(ctx); err != nil || len(got) != 1 || got[0].RequestID != "c" {
		t.Fatalf("got %+v, error %v", got, err)
	}
	cancel()
	if _, _, err := tail.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got the error %v", err)
	}
}

func TestASlowTailMissesWhatIsOverwritten(t *testing.T) {
	r, _ := newRegister(4)
	tail := r.Tail(Filter{})
	defer tail.Close()
	for i := range 10 {
		r.Add(&Refused{RequestID: fmt.Sprint(i)})
	}
	got, missed, err := tail.Next(t.Context())
	if err != nil || missed != 6 || len(got) != 4 || got[0].RequestID != "6" {
		t.Errorf("got %+v, missed %d, error %v", got, missed, err)
	}
}

func TestAClosedTailIsForgotten(t *testing.T) {
	r, _ := newRegister(4)
	one, other := r.Tail(Filter{}), r.Tail(Filter{})
	one.Close()
	if open := r.tails.open.Load(); open == nil || len(*open) != 1 {
		t.Error("the other tail is not open")
	}
	other.Close()
	if r.tails.open.Load() != nil {
		t.Error("there are still tails")
	}
}

// Every refusal is either seen or missed by each tail, whatever the order in which
// the goroutines run.
func TestManyAddAndManyRead(t *testing.T) {
	const writers, each = 8, 2000
	r := NewRegister(64, time.Now)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var readers, adding sync.WaitGroup
	for range 3 {
		tail := r.Tail(Filter{})
		readers.Go(func() {
			defer tail.Close()
			var total, last uint64
			for total < writers*each {
				found, missed, err := tail.Next(ctx)
				if err != nil {
					t.Errorf("after %d: %v", total, err)
					return
				}
				for _, d := range found {
					if d.Number <= last || d.RequestID != d.Path {
						t.Errorf("got %+v after number %d", d, last)
					}
					last = d.Number
				}
				total += uint64(len(found)) + missed
			}
		})
	}
	for w := range writers {
		adding.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", w, i)
				r.Add(&Refused{RequestID: id, Path: id, Reason: "no_rule", Scopes: []string{id}})
				if i%100 == 0 {
					r.List(Filter{Path: id}, 10)
				}
			}
		})
	}
	adding.Wait()
	readers.Wait()
	if got := r.Last(6).Refused; got == 0 {
		t.Error("nothing was counted")
	}
}

// What a refusal needs once the slots are in use: no memory at all, however many come
// and however slowly tails read.
func TestAddingNeedsNoMemory(t *testing.T) {
	r := NewRegister(100, time.Now)
	tail := r.Tail(Filter{})
	defer tail.Close()
	d := sample()
	for range 300 {
		r.Add(d)
	}
	if got := testing.AllocsPerRun(1000, func() { r.Add(d) }); got != 0 {
		t.Errorf("adding makes %v allocations", got)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 50_000 { // those of ten seconds at 5,000 a second
		r.Add(d)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<10 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
}

func sample() *Refused {
	return &Refused{
		RequestID: "a3b1c7de-2f64-4f0b-9c55-0d8a1f6b2e90", Method: "POST", Host: "api.example.com", Path: "/todos", ClientIP: "203.0.113.7",
		Handler: Identify(HandlerInfo{Name: "gluu_oauth_pep"}), Passed: Trail{1}, Caller: Authenticated,
		Status: 403, Reason: "scope_missing", Error: "insufficient_scope",
		Description: "The access token does not have the scopes that this request needs: 'todos:write'.",
		Rule:        "/todos", Policy: "4f2a9c", ClientID: "todo-app-client", Consumer: "todo-app", Provider: "default",
		Required: "todos:write", Scopes: []string{"openid", "profile", "todos:read"}, Enough: "todos:write",
	}
}

// The goal is 300 ns.
func BenchmarkAdd(b *testing.B) {
	r := NewRegister(100, time.Now)
	d := sample()
	for range 100 {
		r.Add(d)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Add(d)
	}
}

func BenchmarkAddInParallel(b *testing.B) {
	r := NewRegister(100, time.Now)
	for range 100 {
		r.Add(sample())
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		d := sample()
		for pb.Next() {
			r.Add(d)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	r := NewRegister(Size, time.Now)
	for range Size {
		r.Add(sample())
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Find("another one")
	}
}
