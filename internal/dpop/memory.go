// SPDX-License-Identifier: Apache-2.0

package dpop

import "time"

// Memory is what keeps a proof from being used twice: the proofs that were used,
// and the nonces that were given out. All checkers of a process share one, so that
// a proof is not good again once the settings, the name or the place of a provider
// change. It is safe for concurrent use.
type Memory struct {
	replays *replayCache
	nonces  nonces
	since   time.Time
}

// NewMemory makes a memory that knows of every proof which was used since a time.
// A proof that was made earlier may have been used before: it is refused unless it
// contains a nonce of this memory. The zero time is for a memory before which there
// was none.
func NewMemory(since time.Time) *Memory {
	return &Memory{replays: newReplayCache(), nonces: newNonces(), since: since}
}

// predates reports whether a proof was made before the memory began. Proofs know
// only whole seconds.
func (m *Memory) predates(issued time.Time) bool {
	return !m.since.IsZero() && issued.Unix() < m.since.Unix()
}
