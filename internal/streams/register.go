// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
)

// Register holds the streams that are open in this process.
type Register struct {
	mu       sync.Mutex
	open     []*Stream // in any order
	due      dueList
	timer    *time.Timer                     // for the first that is due; nil until there is one
	sessions map[string]map[*Stream]struct{} // the streams of a person's session
	last     uint64
	wake     chan struct{} // holds a value after a stream has opened
}

// Open are the streams of all configurations: a stream goes on when its
// configuration is replaced.
var Open = NewRegister()

// NewRegister returns an empty register.
func NewRegister() *Register {
	return &Register{sessions: make(map[string]map[*Stream]struct{}), wake: make(chan struct{}, 1)}
}

func (r *Register) add(s *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	s.id = r.last
	r.open = append(r.open, s)
	s.atOpen = int32(len(r.open)) //nolint:gosec // there are not that many file descriptors
	if name := s.session; name != "" {
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
	r.due.remove(s)
	if s.atOpen == 0 {
		return
	}
	last := r.open[len(r.open)-1]
	r.open[s.atOpen-1], last.atOpen = last, s.atOpen
	r.open[len(r.open)-1] = nil
	r.open = r.open[:len(r.open)-1]
	s.atOpen = 0
	if name := s.session; name != "" {
		delete(r.sessions[name], s)
		if len(r.sessions[name]) == 0 {
			delete(r.sessions, name)
		}
	}
}

// all returns the streams that are open, the oldest first.
func (r *Register) all() []*Stream {
	r.mu.Lock()
	streams := slices.Clone(r.open)
	r.mu.Unlock()
	slices.SortFunc(streams, func(a, b *Stream) int { return cmp.Compare(a.id, b.id) })
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
		if t := s.token(); t != nil && revoked(t, s.raw) && s.end(TokenRevoked) {
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
		if s.source != nil && !s.source.Holds(s.token()) {
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
