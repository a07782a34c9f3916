// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
)

// Register holds the streams that are open in this process.
type Register struct {
	mu       sync.Mutex
	open     map[*Stream]struct{}
	sessions map[string]map[*Stream]struct{} // the streams of a person's session
	last     uint64
	wake     chan struct{} // holds a value after a stream has opened
}

// Open are the streams of all configurations: a stream goes on when its
// configuration is replaced.
var Open = NewRegister()

// NewRegister returns an empty register.
func NewRegister() *Register {
	return &Register{
		open: make(map[*Stream]struct{}), sessions: make(map[string]map[*Stream]struct{}), wake: make(chan struct{}, 1),
	}
}

func (r *Register) add(s *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	s.id = strconv.FormatUint(r.last, 10)
	r.open[s] = struct{}{}
	if name := s.caller.Session; name != "" {
		if r.sessions[name] == nil {
			r.sessions[name] = make(map[*Stream]struct{})
		}
		r.sessions[name][s] = struct{}{}
	}
	r.signal()
}

func (r *Register) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *Register) remove(s *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, s)
	if name := s.caller.Session; name != "" {
		delete(r.sessions[name], s)
		if len(r.sessions[name]) == 0 {
			delete(r.sessions, name)
		}
	}
}

// all returns the streams that are open, the oldest first.
func (r *Register) all() []*Stream {
	r.mu.Lock()
	streams := make([]*Stream, 0, len(r.open))
	for s := range r.open {
		streams = append(streams, s)
	}
	r.mu.Unlock()
	slices.SortFunc(streams, func(a, b *Stream) int {
		return cmp.Or(a.started.Compare(b.started), cmp.Compare(len(a.id), len(b.id)), cmp.Compare(a.id, b.id))
	})
	return streams
}

// count returns how many streams of each protocol are open.
func (r *Register) count() map[Protocol]int {
	counts := map[Protocol]int{WebSocket: 0, EventStream: 0, GRPC: 0, Other: 0}
	for _, s := range r.all() {
		if s.isUnderWay() {
			counts[s.protocol()]++
		}
	}
	return counts
}

// End ends the streams that are selected, and returns how many.
func (r *Register) End(reason Reason, selected func(Info) bool) (ended int) {
	for _, s := range r.all() {
		if selected(s.info()) && s.end(reason) {
			ended++
		}
	}
	return ended
}

// EndTokens ends the streams whose token is revoked. A token that was sent is
// compared by what was sent, so that one is found that no cache holds any more.
func (r *Register) EndTokens(revoked func(t *token.Token, raw string) bool) (ended int) {
	for _, s := range r.all() {
		if t := s.token(); t != nil && revoked(t, s.caller.Raw) && s.end(TokenRevoked) {
			ended++
		}
	}
	return ended
}

// SessionChanged has the streams of a session look at it again: it was renewed, or
// is over. An empty name stands for all sessions.
func (r *Register) SessionChanged(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sessions := r.sessions
	if name != "" {
		sessions = map[string]map[*Stream]struct{}{name: r.sessions[name]}
	}
	for _, streams := range sessions {
		for s := range streams {
			go s.askAgain()
		}
	}
}

// List describes the streams that are selected, the oldest first.
func (r *Register) List(selected func(Info) bool) []Info {
	infos := []Info{}
	for _, s := range r.all() {
		if info := s.info(); s.isUnderWay() && selected(info) {
			infos = append(infos, info)
		}
	}
	return infos
}

// Sweep looks after all streams once: it ends those that a step of the clock has
// made due and those for which a reason is returned, and asks about tokens that may
// not hold any more.
func (r *Register) Sweep(now time.Time, reasonFor func(Info) Reason) {
	for _, s := range r.all() {
		if reason := reasonFor(s.info()); reason != "" {
			s.end(reason)
			continue
		}
		if s.endIfOver(now) {
			continue
		}
		if holds := s.caller.Holds; holds != nil && !holds(s.token()) {
			go s.askAgain()
		}
	}
}

// Watch sweeps at an interval for as long as streams are open, until the context
// ends. During a reload two configurations watch for a moment.
func (r *Register) Watch(ctx context.Context, interval time.Duration, reasonFor func(Info) Reason) {
	defer r.signal() // another watcher may have missed it
	for ctx.Err() == nil {
		if r.Len() == 0 {
			select {
			case <-ctx.Done():
				return
			case <-r.wake:
			}
		}
		ticker := time.NewTicker(interval)
		for ctx.Err() == nil && r.Len() > 0 {
			select {
			case <-ctx.Done():
			case now := <-ticker.C:
				r.Sweep(now, reasonFor)
			}
		}
		ticker.Stop()
	}
}

// Len returns how many streams are open.
func (r *Register) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}
