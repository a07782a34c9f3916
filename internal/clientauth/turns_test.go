// SPDX-License-Identifier: Apache-2.0

package clientauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// queue is a turns whose only turn is taken, and who waits for it.
type queue struct {
	*turns
	t     *testing.T
	order chan string
}

func newQueue(t *testing.T) *queue {
	q := &queue{turns: newTurns(1), t: t, order: make(chan string, 1000)}
	q.free = 0
	return q
}

// wait adds a waiter. It gives its turn back as soon as it has one.
func (q *queue) wait(name string, a Asker, wrong bool) {
	go func() {
		w := &waiter{Asker: a, called: make(chan error, 1)}
		q.join(w)
		if err := <-w.called; err != nil {
			q.order <- name + ": busy"
			return
		}
		q.order <- name
		q.leave(a, wrong)
	}()
	synctest.Wait()
}

// open gives the turn back and returns who had it, in order.
func (q *queue) open() (order []string) {
	q.mu.Lock()
	q.free++
	q.serve()
	q.mu.Unlock()
	synctest.Wait()
	close(q.order)
	for name := range q.order {
		order = append(order, name)
	}
	return order
}

func TestTurnsAreSharedByClientAndNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		for i := range 3 {
			q.wait(fmt.Sprint("unknown", i), Asker{flow{"", "net1"}, "c"}, true)
		}
		for i := range 3 {
			q.wait(fmt.Sprint("a1-", i), Asker{flow{"a", "net1"}, "c"}, false)
		}
		q.wait("a2", Asker{flow{"a", "net2"}, "c"}, false)
		q.wait("b", Asker{flow{"b", "net1"}, "c"}, false)
		want := []string{"a1-0", "b", "a2", "a1-1", "a1-2", "unknown0", "unknown1", "unknown2"}
		if got := q.open(); !slices.Equal(got, want) {
			t.Errorf("the turns went to %q, want %q", got, want)
		}
	})
}

// One who tries secrets in the name of a client, even from its network, does not
// keep it waiting: the connections that failed go last.
func TestWhoTriesSecretsGoesLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		inNetwork := flow{"app", "net1"}
		q.suspect(inNetwork)
		for i := range 4 {
			c := fmt.Sprint("attacker", i)
			q.suspect(connection(c))
			q.wait(c, Asker{inNetwork, c}, true)
		}
		q.wait("same network, earlier", Asker{inNetwork, "new, too"}, false)
		q.wait("same network", Asker{inNetwork, "new"}, false)
		q.wait("other network", Asker{flow{"app", "net2"}, "new"}, false)
		want := []string{"other network", "same network", "same network, earlier", "attacker0", "attacker1", "attacker2", "attacker3"}
		if got := q.open(); !slices.Equal(got, want) {
			t.Errorf("the turns went to %q, want %q", got, want)
		}
		now := q.now()
		q.now = func() time.Time { return now.Add(suspicion) }
		if q.isSuspect(inNetwork) || q.isSuspect(connection("attacker0")) {
			t.Error("a wrong secret counts for longer than it should")
		}
	})
}

// A full queue makes room only for clients that are served earlier.
func TestAFullQueueMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		for i := range queueLength + 1 {
			q.wait("", Asker{flow{"", fmt.Sprint("net", i)}, fmt.Sprint(i)}, true)
		}
		if got := <-q.order; got != ": busy" || len(q.order) > 0 {
			t.Fatalf("the one too many got %q", got)
		}
		q.wait("known", Asker{flow{"app", "net"}, "c"}, false)
		if got := <-q.order; got != ": busy" {
			t.Errorf("an unknown id got %q when a client came, want it to make room", got)
		}
		for i := range flowLength + 2 {
			q.wait("more", Asker{flow{"app", "net"}, fmt.Sprint("d", i)}, false)
		}
		// The flow had one before, and each other one that finds room takes it from
		// an unknown id.
		counts := map[string]int{}
		for range len(q.order) {
			counts[<-q.order]++
		}
		if counts["more: busy"] != 3 || counts[": busy"] != flowLength-1 {
			t.Errorf("%v had to go, want 3 of the flow, which holds %d, and %d unknown ids", counts, flowLength, flowLength-1)
		}
		if got := q.open(); got[0] != "known" {
			t.Errorf("the first turn went to %q", got[0])
		}
	})
}

func TestLeavingTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		start := time.Now()
		if _, err := q.enter(t.Context(), Asker{}); !errors.Is(err, ErrBusy) || time.Since(start) != queueTimeout+penalty {
			t.Errorf("got %v after %s, want ErrBusy after %s", err, time.Since(start), queueTimeout+penalty)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := q.enter(gone, Asker{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v for a client that has left", err)
		}
		if len(q.waiting) != 0 {
			t.Errorf("%d wait still", len(q.waiting))
		}
		q.wait("next", Asker{}, false)
		if got := q.open(); !slices.Equal(got, []string{"next"}) {
			t.Errorf("the turn went to %q", got)
		}
	})
}

func TestSuspectsAreBounded(t *testing.T) {
	q := newTurns(1)
	for i := range 3 * maxSuspects {
		q.suspect(connection(fmt.Sprint(i)))
	}
	if n := len(q.suspects); n > maxSuspects {
		t.Errorf("%d suspects are remembered, want %d at most", n, maxSuspects)
	}
}
