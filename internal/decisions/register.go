// SPDX-License-Identifier: Apache-2.0

package decisions

import (
	"sync"
	"sync/atomic"
	"time"
)

// Recent are the decisions of this process.
var Recent = NewRegister(Size, time.Now)

// Size is how many refusals are remembered. With [maxText] it bounds the memory:
// as a rule some 5 MB, 25 MB if clients send all that they can.
const Size = 10_000

// Register remembers the last refusals. It may be used by several goroutines. Writers
// only wait for each other if one of them is a whole round behind.
type Register struct {
	now   func() time.Time
	added atomic.Uint64 // refusals so far; the number of the newest one
	slots []slot
	tails tails
	tally tally
}

// slot holds one refusal. The one with number n is in the slot (n-1) mod Size.
type slot struct {
	mu     sync.Mutex
	number uint64 // 0: empty
	record record
}

// NewRegister returns a register with so many slots.
func NewRegister(size int, now func() time.Time) *Register {
	return &Register{now: now, slots: make([]slot, size)}
}

// Add remembers a refusal. It keeps nothing that the argument points to.
func (r *Register) Add(d *Refused) {
	now := r.now()
	var buffer [maxText]byte
	text := appendText(buffer[:0], d)
	number := r.added.Add(1)
	s := r.slot(number)
	s.mu.Lock()
	if s.number < number { // else this goroutine is a whole round late
		s.number = number
		s.record.set(now, d, text)
	}
	s.mu.Unlock()
	r.tally.refused(now, d.Reason, d.DryRun)
	r.tails.wake()
}

// Granted adds requests that were granted since it was called last. Who calls it
// reads them off a counter, so that a grant itself costs nothing.
func (r *Register) Granted(n uint64) { r.tally.granted(r.now(), n) }

func (r *Register) slot(number uint64) *slot { return &r.slots[(number-1)%uint64(len(r.slots))] }

// state is what became of a refusal with a certain number.
type state int

const (
	kept    state = iota
	gone          // its slot has a later one
	pending       // it is being written
)

// read returns the refusal with a number, if it is kept and wanted.
func (r *Register) read(number uint64, wanted func(*record) bool) (*Decision, state) {
	s := r.slot(number)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.number > number:
		return nil, gone
	case s.number < number:
		return nil, pending
	case wanted != nil && !wanted(&s.record):
		return nil, kept
	}
	return s.record.decision(number), kept
}

// oldest returns the number of the oldest refusal that may be kept.
func (r *Register) oldest(newest uint64) uint64 {
	if size := uint64(len(r.slots)); newest > size {
		return newest - size + 1
	}
	return 1
}

// List returns the newest refusals that a filter wants, newest first.
func (r *Register) List(f Filter, most int) []*Decision {
	newest := r.added.Load()
	found := []*Decision{}
	for number := newest; number >= r.oldest(newest) && number > 0 && len(found) < most; number-- {
		if f.Before != 0 && number >= f.Before {
			continue
		}
		if d, _ := r.read(number, f.quick); d != nil && f.Wants(d) {
			found = append(found, d)
		}
	}
	return found
}

// Find returns the refusals of one request, in the order in which they happened:
// several if handlers are in a dry run. There are none if it is too long ago.
func (r *Register) Find(requestID string) []*Decision {
	if requestID == "" {
		return nil
	}
	found := r.List(Filter{RequestID: requestID}, len(r.slots))
	for i, j := 0, len(found)-1; i < j; i, j = i+1, j-1 {
		found[i], found[j] = found[j], found[i]
	}
	return found
}
