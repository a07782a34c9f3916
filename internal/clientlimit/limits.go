// SPDX-License-Identifier: Apache-2.0

package clientlimit

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// unknownRate is how many unknown tokens a second a network may send for good,
	// after unknownBurst at once. Expired tokens of many clients behind one address
	// must fit into it; a flood does not.
	unknownRate  = rate.Limit(100)
	unknownBurst = 1000

	// placesPerNetwork is how many calls a network may have under way at one time:
	// a quarter of what the authorization server may be asked at once.
	placesPerNetwork = 64

	// sweepAt is how many networks are known before the first sweep.
	sweepAt = 1024
)

// ErrTooMany is the error for a network that has sent too many unknown tokens.
var ErrTooMany = errors.New("too many unknown tokens came from this client network")

// Limits are those of all networks. It is safe for concurrent use.
type Limits struct {
	Now func() time.Time // the clock; only tests set another

	mu       sync.Mutex
	networks map[string]*network
	sweep    int // the number of networks at which idle ones are removed
}

// network is what is known about one of them, for as long as it has a call under
// way or unknown tokens to its account.
type network struct {
	places  chan struct{}
	unknown *rate.Limiter
	users   int // calls under way or waiting
}

// New returns limits under which no network has done anything yet.
func New() *Limits {
	return &Limits{Now: time.Now, networks: map[string]*network{}, sweep: sweepAt}
}

// Enter asks for a place for one call on behalf of a network and waits for it,
// for as long as wait and the context allow. The caller calls leave when the call
// is over, and says whether the token was unknown. The error is ErrTooMany, or the
// context's. The network "" has no limits.
func (l *Limits) Enter(ctx context.Context, name string, wait time.Duration) (leave func(isUnknown bool), err error) {
	if name == "" {
		return func(bool) {}, nil
	}
	n := l.join(name)
	if err := n.enter(ctx, wait, l.Now); err != nil {
		l.part(n)
		return nil, err
	}
	return func(isUnknown bool) {
		<-n.places
		if isUnknown {
			n.unknown.AllowN(l.Now(), 1)
		}
		l.part(n)
	}, nil
}

func (n *network) enter(ctx context.Context, wait time.Duration, now func() time.Time) error {
	if n.isOver(now()) {
		return ErrTooMany
	}
	if err := n.take(ctx, wait); err != nil {
		return err
	}
	// Those that went before may have been unknown.
	if n.isOver(now()) {
		<-n.places
		return ErrTooMany
	}
	return nil
}

// take takes a place: at once if there is one, however short the wait.
func (n *network) take(ctx context.Context, wait time.Duration) error {
	select {
	case n.places <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case n.places <- struct{}{}:
		return nil
	case <-timer.C:
		return ErrTooMany
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (n *network) isOver(now time.Time) bool { return n.unknown.TokensAt(now) < 1 }

// join returns a network, which stays known until part is called.
func (l *Limits) join(name string) *network {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.networks[name]
	if n == nil {
		l.removeIdle()
		n = &network{places: make(chan struct{}, placesPerNetwork), unknown: rate.NewLimiter(unknownRate, unknownBurst)}
		l.networks[name] = n
	}
	n.users++
	return n
}

func (l *Limits) part(n *network) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n.users--
}

// removeIdle forgets networks that have nothing under way and nothing to their
// account, whenever their number has doubled. The caller holds the lock.
func (l *Limits) removeIdle() {
	if len(l.networks) < l.sweep {
		return
	}
	now := l.Now()
	for name, n := range l.networks {
		if n.users == 0 && n.unknown.TokensAt(now) >= unknownBurst {
			delete(l.networks, name)
		}
	}
	l.sweep = max(sweepAt, 2*len(l.networks))
}
