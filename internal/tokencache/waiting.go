// SPDX-License-Identifier: Apache-2.0

package tokencache

import "sync"

// waitingRevocations are the revocations that a Redis has not been told of,
// oldest first. They outlive the store, for as long as the process runs: a
// configuration may do without this Redis for a while, but the operator was told
// that the revocation will hold at the other gateways when Redis is available
// again.
type waitingRevocations struct {
	mu      sync.Mutex
	entries []revocation
}

// maxWaiting is how many revocations wait for Redis before all tokens are
// revoked instead.
const maxWaiting = 1000

func (w *waitingRevocations) add(entry revocation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.entries = append(w.entries, entry); len(w.entries) > maxWaiting {
		w.entries = []revocation{{Kind: allTokens}}
	}
}

func (w *waitingRevocations) first() (entry revocation, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.entries) == 0 {
		return revocation{}, false
	}
	return w.entries[0], true
}

// done removes what was the first one, unless they have become one for all
// tokens.
func (w *waitingRevocations) done(entry revocation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.entries) > 0 && w.entries[0] == entry {
		w.entries = w.entries[1:]
	}
}

func (w *waitingRevocations) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.entries)
}

// waitingPlaces are the waiting revocations of each store that this process ever
// had, by a digest of its address and secret.
var waitingPlaces struct {
	sync.Mutex
	byPlace map[[32]byte]*waitingRevocations
}

func waitingAt(place [32]byte) *waitingRevocations {
	waitingPlaces.Lock()
	defer waitingPlaces.Unlock()
	if waitingPlaces.byPlace == nil {
		waitingPlaces.byPlace = make(map[[32]byte]*waitingRevocations)
	}
	if waitingPlaces.byPlace[place] == nil {
		waitingPlaces.byPlace[place] = new(waitingRevocations)
	}
	return waitingPlaces.byPlace[place]
}
