// SPDX-License-Identifier: Apache-2.0

package clientauth

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrBusy says that too many secrets wait to be checked.
var ErrBusy = errors.New("too many client secrets are being checked")

const (
	// queueTimeout is how long a request waits for its turn to have a secret
	// checked.
	queueTimeout = 5 * time.Second

	// queueLength is how many requests wait, and flowLength how many of them for
	// one client from one network.
	queueLength = 256
	flowLength  = 8

	// penalty is how long one who has to go waits for that answer: a client that
	// tries secrets does not take the time of the processors with requests that are
	// turned away. maxPenalized is how many wait so.
	penalty      = 2 * time.Second
	maxPenalized = 2048

	// suspicion is how long a wrong secret counts against those who sent it, and
	// maxSuspects how many of them are remembered.
	suspicion   = time.Minute
	maxSuspects = 8192
)

// turns hands out turns to check secrets. A check is slow, and anyone can ask for
// one, so the order in which requests are served decides who is locked out while
// an attacker tries secrets:
//
//   - those who have given no cause for suspicion go first, unknown client ids
//     last (see class);
//   - those of one class share by client, and the requests for one client by
//     network, in turn.
//
// Of the connections that are new in a flow under suspicion the latest goes first:
// a queue of them is most likely the attack's.
//
// It is safe for concurrent use.
type turns struct {
	now func() time.Time // the clock; only tests set another

	mu        sync.Mutex
	free      int
	waiting   []*waiter       // in the order of their arrival
	served    map[flow]uint64 // when a client (network ""), and a flow, had its last turn
	turn      uint64          // the number of the last turn
	penalized int
	suspects  map[any]time.Time // flows and connections that sent a wrong secret, until when it counts
}

// Asker is who asks for a turn.
type Asker struct {
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
	Asker
	called chan error // receives nil, or ErrBusy for one who had to make room
}

func newTurns(n int) *turns {
	return &turns{now: time.Now, free: n, served: make(map[flow]uint64), suspects: make(map[any]time.Time)}
}

// enter waits for a turn. The caller calls leave when it is over, and says whether
// the secret was wrong.
func (t *turns) enter(ctx context.Context, a Asker) (leave func(wrong bool), err error) {
	w := &waiter{Asker: a, called: make(chan error, 1)}
	t.join(w)
	timeout := time.NewTimer(queueTimeout)
	defer timeout.Stop()
	select {
	case err = <-w.called:
	case <-timeout.C:
		err = t.part(w, ErrBusy)
	case <-ctx.Done():
		err = t.part(w, ctx.Err())
	}
	if errors.Is(err, ErrBusy) {
		t.penalize(ctx)
	}
	if err != nil {
		return nil, err
	}
	return func(wrong bool) { t.leave(a, wrong) }, nil
}

// join lets a request wait. If there is no room, the one that would be served last
// has to go, which may be the new one.
func (t *turns) join(w *waiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = append(t.waiting, w)
	t.serve()
	t.makeRoom(flowLength, func(other *waiter) bool { return other.flow == w.flow })
	t.makeRoom(queueLength, func(*waiter) bool { return true })
}

// makeRoom keeps the number of those who wait, of those that count, below a
// limit.
func (t *turns) makeRoom(limit int, counts func(*waiter) bool) {
	number, last := 0, (*waiter)(nil)
	for _, w := range t.waiting {
		if !counts(w) {
			continue
		}
		number++
		if last == nil || t.class(w) > t.class(last) || t.class(w) == t.class(last) && t.class(w) != newConnection {
			last = w
		}
	}
	if number > limit {
		t.remove(last)
		t.suspect(connection(last.connection))
		last.called <- ErrBusy
	}
}

// penalize makes a request wait for its refusal.
func (t *turns) penalize(ctx context.Context) {
	t.mu.Lock()
	full := t.penalized >= maxPenalized
	if !full {
		t.penalized++
	}
	t.mu.Unlock()
	if full {
		return
	}
	timeout := time.NewTimer(penalty)
	defer timeout.Stop()
	select {
	case <-timeout.C:
	case <-ctx.Done():
	}
	t.mu.Lock()
	t.penalized--
	t.mu.Unlock()
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

func (t *turns) leave(a Asker, wrong bool) {
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
		next := t.waiting[0]
		for _, w := range t.waiting[1:] {
			if d := t.compare(w, next); d < 0 || d == 0 && t.class(w) == newConnection {
				next = w
			}
		}
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
// network.
func (t *turns) compare(a, b *waiter) int {
	last := func(f flow) uint64 { return t.served[f] }
	return cmp.Or(
		cmp.Compare(t.class(a), t.class(b)),
		cmp.Compare(last(flow{client: a.client}), last(flow{client: b.client})),
		cmp.Compare(last(a.flow), last(b.flow)),
	)
}

// Classes of those who wait, in the order in which they are served.
const (
	unsuspected   = iota // no wrong secret came for this client from this network
	newConnection        // one did, not over this connection
	suspected            // one did over this connection
	unknownClient
)

// class is the order in which requests are served. It tells a client that comes
// with its secret for the first time from one that tries secrets in its name, even
// from the same network: the other one's connections have failed before.
func (t *turns) class(w *waiter) int {
	switch {
	case w.client == "":
		return unknownClient
	case !t.isSuspect(w.flow):
		return unsuspected
	case !t.isSuspect(connection(w.connection)):
		return newConnection
	}
	return suspected
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
