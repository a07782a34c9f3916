// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"hash/maphash"
	"sync/atomic"
)

// A cache of tokens must learn at once that it was revoked. Many
// things end a token (itself, its grant, its client), and finding the memories of
// all tokens that depend on one would take an index of them. So it is the other
// way round: each thing has a revision, which every change raises, and a memory
// keeps the revisions that it was made with. It holds as long as they are the same.
//
// Revisions are counters that things share by hash. Two things with one counter
// cost a needless question now and then, and never a wrong answer. The memory for
// them is fixed, whatever clients do.

// revisionSlots is how many counters there are: 32 KiB of them.
const revisionSlots = 8 << 10

var (
	revisions     [revisionSlots]atomic.Uint32
	revisionEpoch atomic.Uint32 // raised when anything may have changed
	revisionSeed  = maphash.MakeSeed()
)

// thing identifies what a token depends on, such as its record or its client.
type thing struct{ kind, id string }

func (t thing) slot() *atomic.Uint32 {
	return &revisions[maphash.Comparable(revisionSeed, t)%revisionSlots]
}

// changed is called after a thing has changed, in the process or elsewhere.
func changed(t thing) { t.slot().Add(1) }

// allChanged is called when it is not known what has changed.
func allChanged() { revisionEpoch.Add(1) }

// noteChange is told by the store what has changed, here or at another gateway.
func noteChange(kind string, key []byte) {
	if key == nil {
		allChanged()
		return
	}
	changed(thing{kind, string(key)})
}

// snapshot is the revisions of up to four things. It is taken before the things
// are read: what changes afterwards shows.
type snapshot struct {
	epoch uint32
	n     int
	slots [4]*atomic.Uint32
	at    [4]uint32
}

func takeSnapshot(things ...thing) (s snapshot) {
	s.epoch = revisionEpoch.Load()
	for _, t := range things {
		s.add(t)
	}
	return s
}

// add notes a further thing, before it is read.
func (s *snapshot) add(t thing) {
	slot := t.slot()
	s.slots[s.n], s.at[s.n] = slot, slot.Load()
	s.n++
}

// isCurrent reports whether nothing has changed since.
func (s *snapshot) isCurrent() bool {
	if s.epoch != revisionEpoch.Load() {
		return false
	}
	for i, slot := range s.slots[:s.n] {
		if slot.Load() != s.at[i] {
			return false
		}
	}
	return true
}
