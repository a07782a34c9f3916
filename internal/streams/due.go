// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"container/heap"
	"time"
)

// dueList holds the streams for which something is to happen, the next one first:
// a heap, with one timer for all. A timer a stream would take as much memory as all
// the rest that is known of the stream.
type dueList []*Stream

// Len implements heap.Interface.
func (d dueList) Len() int { return len(d) }

// Less implements heap.Interface.
func (d dueList) Less(i, j int) bool { return d[i].next < d[j].next }

// Swap implements heap.Interface.
func (d dueList) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].atDue, d[j].atDue = d[j].atDue, d[i].atDue
}

// Push implements heap.Interface.
func (d *dueList) Push(x any) {
	s := x.(*Stream)
	*d = append(*d, s)
	s.atDue = int32(len(*d)) //nolint:gosec // there are not that many file descriptors
}

// Pop implements heap.Interface.
func (d *dueList) Pop() any {
	last := len(*d) - 1
	s := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	s.atDue = 0
	return s
}

func (d *dueList) remove(s *Stream) {
	if s.atDue > 0 {
		heap.Remove(d, int(s.atDue-1))
	}
}

// schedule has a stream looked at after a time, instead of when it was to be.
func (r *Register) schedule(s *Stream, in time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.next = time.Since(epoch) + in
	if s.atDue > 0 {
		heap.Fix(&r.due, int(s.atDue-1))
	} else {
		heap.Push(&r.due, s)
	}
	if r.due[0] == s {
		r.setTimer()
	}
}

// unschedule forgets when a stream was to be looked at.
func (r *Register) unschedule(s *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due.remove(s)
}

// setTimer sets the timer for the first stream that is due. r.mu is held.
func (r *Register) setTimer() {
	if len(r.due) == 0 {
		return
	}
	in := r.due[0].next - time.Since(epoch)
	if r.timer == nil {
		r.timer = time.AfterFunc(in, r.runDue)
		return
	}
	r.timer.Reset(in)
}

// runDue looks at the streams that are due. Those that have to be asked about are
// not waited for.
func (r *Register) runDue() {
	for _, s := range r.takeDue() {
		if s.session == "" && s.endIfOver(time.Now()) {
			continue
		}
		go s.due()
	}
}

func (r *Register) takeDue() (streams []*Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for now := time.Since(epoch); len(r.due) > 0 && r.due[0].next <= now; {
		streams = append(streams, heap.Pop(&r.due).(*Stream))
	}
	r.setTimer()
	return streams
}
