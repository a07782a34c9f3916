// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// errBusy says that too many secrets wait to be checked.
var errBusy = errors.New("too many client secrets are being checked")

const (
	// queueTimeout is how long a request waits for its turn to have a secret
	// checked.
	queueTimeout = 5 * time.Second

	// queueLength is how many requests wait, and flowLength how many of them for
	// one client from one network.
	queueLength = 256
	flowLength  = 8

	// suspicion is how long a wrong secret counts against those who sent it, and
	// maxSuspects how many of them are remembered.
	suspicion   = time.Minute
	maxSuspects = 8192
)

// turns hands out turns to check secrets. A check is slow, and anyone can ask for
// one, so the order in which requests are served decides who is locked out while
// somebody tries secrets:
//
//   - those who have given no cause for suspicion go first, unknown client ids
//     last (see class);
//   - those of one class share by client, and the requests for one client by
//     network, in turn.
//
// It is safe for concurrent use.
type turns struct {
	now func() time.Time // the clock; only tests set another

	mu       sync.Mutex
	free     int
	waiting  []*waiter         // in the order of their arrival
	served   map[flow]uint64   // when a client (network ""), and a flow, had its last turn
	turn     uint64            // the number of the last turn
	suspects map[any]time.Time // flows and connections that sent a wrong secret, until when it counts
}

// asker is who asks for a turn.
type asker struct {
	flow
	connection string // the address of the client's end
}

// flow is what shares with others: the requests for one client from one network.
type flow struct {
	client  string // "" for an id that no client has
	network string
}

// connection is a key of turns.suspects.
type connection string

type waiter struct {
	asker
	called chan error // receives nil, or errBusy for one who had to make room
}

func newTurns(n int) *turns {
	return &turns{now: time.Now, free: n, served: make(map[flow]uint64), suspects: make(map[any]time.Time)}
}

// enter waits for a turn. The caller calls leave when it is over, and says whether
// the secret was wrong.
func (t *turns) enter(ctx context.Context, a asker) (leave func(wrong bool), err error) {
	w := &waiter{asker: a, called: make(chan error, 1)}
	if err := t.join(w); err != nil {
		return nil, err
	}
	timeout := time.NewTimer(queueTimeout)
	defer timeout.Stop()
	select {
	case err = <-w.called:
	case <-timeout.C:
		err = t.part(w, errBusy)
	case <-ctx.Done():
		err = t.part(w, ctx.Err())
	}
	if err != nil {
		return nil, err
	}
	return func(wrong bool) { t.leave(a, wrong) }, nil
}

// join lets a request wait. If there is no room, the one that is served last has
// to go, which may be the new one.
func (t *turns) join(w *waiter) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = append(t.waiting, w)
	t.serve()
	sameFlow := func(other *waiter) bool { return other.flow == w.flow }
	all := func(*waiter) bool { return true }
	if !t.makeRoom(w, flowLength, sameFlow) || !t.makeRoom(w, queueLength, all) {
		return errBusy
	}
	return nil
}

// makeRoom keeps the number of those who wait, of those that count, below a
// limit. It reports false if it is the new one that has to go.
func (t *turns) makeRoom(added *waiter, limit int, counts func(*waiter) bool) bool {
	number, last := 0, (*waiter)(nil)
	for _, w := range t.waiting {
		if !counts(w) {
			continue
		}
		number++
		if last == nil || t.class(w) >= t.class(last) {
			last = w
		}
	}
	if number <= limit {
		return true
	}
	t.remove(last)
	t.suspect(connection(last.connection))
	if last == added {
		return false
	}
	last.called <- errBusy
	return true
}

// part ends the waiting of a request, which may have been called at the same
// moment.
func (t *turns) part(w *waiter, reason error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.remove(w) {
		return reason
	}
	err := <-w.called
	if err == nil {
		t.free++
		t.serve()
	}
	return errors.Join(reason, err)
}

func (t *turns) leave(a asker, wrong bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if wrong {
		t.suspect(a.flow)
		t.suspect(connection(a.connection))
	}
	t.free++
	t.serve()
}

// serve hands out the turns that are free.
func (t *turns) serve() {
	for t.free > 0 && len(t.waiting) > 0 {
		next := slices.MinFunc(t.waiting, t.compare)
		t.remove(next)
		t.free--
		t.turn++
		t.served[next.flow] = t.turn
		t.served[flow{client: next.client}] = t.turn
		next.called <- nil
	}
	if len(t.waiting) == 0 {
		clear(t.served) // bounds it by what can wait at one time
	}
}

// compare orders those who wait: by class, then in turn by client, then by
// network. Of equals the first one is served.
func (t *turns) compare(a, b *waiter) int {
	if d := t.class(a) - t.class(b); d != 0 {
		return d
	}
	of := func(f flow) int { return int(t.served[f]) }
	if d := of(flow{client: a.client}) - of(flow{client: b.client}); d != 0 {
		return d
	}
	return of(a.flow) - of(b.flow)
}

// class is the order in which requests are served. It tells a client that comes
// with its secret for the first time from one that tries secrets in its name, even
// from the same network: the other one's connections have failed before.
func (t *turns) class(w *waiter) int {
	switch {
	case w.client == "":
		return 3
	case !t.isSuspect(w.flow):
		return 0
	case !t.isSuspect(connection(w.connection)):
		return 1
	}
	return 2
}

func (t *turns) isSuspect(who any) bool {
	until, ok := t.suspects[who]
	return ok && t.now().Before(until)
}

func (t *turns) suspect(who any) {
	now := t.now()
	if len(t.suspects) >= maxSuspects {
		for other, until := range t.suspects {
			if !now.Before(until) {
				delete(t.suspects, other)
			}
		}
		if len(t.suspects) >= maxSuspects {
			clear(t.suspects)
		}
	}
	t.suspects[who] = now.Add(suspicion)
}

// length returns how many wait.
func (t *turns) length() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting)
}

// remove reports whether a request was waiting still.
func (t *turns) remove(w *waiter) bool {
	i := slices.Index(t.waiting, w)
	if i < 0 {
		return false
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	return true
}
