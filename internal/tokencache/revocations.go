// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// A revocation is an entry in a log that all gateways read in order. The record
// of a token says how far its gateway had read the log before it asked about the
// token. So every gateway can tell whether the record is from before or after a
// revocation, and no clocks are compared.

// entryID is the id of an entry of the log, which is a Redis stream.
type entryID struct {
	Time   uint64 `json:"t"` // of Redis, in milliseconds
	Number uint64 `json:"n"` // within that time
}

func parseEntryID(text string) (id entryID, err error) {
	head, tail, ok := strings.Cut(text, "-")
	if !ok {
		return id, fmt.Errorf("%.40q is not the id of an entry", text)
	}
	if id.Time, err = strconv.ParseUint(head, 10, 64); err != nil {
		return entryID{}, err
	}
	id.Number, err = strconv.ParseUint(tail, 10, 64)
	return id, err
}

func (e entryID) String() string { return fmt.Sprintf("%d-%d", e.Time, e.Number) }

func (e entryID) before(other entryID) bool {
	return e.Time < other.Time || e.Time == other.Time && e.Number < other.Number
}

// Position is how far a gateway has read the log. A restarted Redis may have
// lost the end of the log, so positions in different runs do not compare.
type Position struct {
	Run string  `json:"run"`
	ID  entryID `json:"id"`
}

// revocation is what an entry of the log says: these tokens are to be forgotten.
type revocation struct {
	Kind  selectionKind `json:"kind"`
	Value string        `json:"value,omitempty"` // a tokenName for oneToken
}

const (
	// nothingRevoked starts an empty log.
	nothingRevoked selectionKind = -1

	// lostTrack is never written: a part of the log is gone, so nothing that is
	// remembered can be relied on, though nothing may have been revoked.
	lostTrack selectionKind = -2
)

func (r revocation) encode() []byte {
	text, err := json.Marshal(struct {
		Kind  selectionKind `json:"kind"`
		Value []byte        `json:"value"` // any bytes at all
	}{r.Kind, []byte(r.Value)})
	if err != nil {
		panic(fmt.Sprintf("a revocation: %v", err)) // a number and bytes
	}
	return text
}

func decodeRevoked(text []byte) (revocation, error) {
	var r struct {
		Kind  selectionKind `json:"kind"`
		Value []byte        `json:"value"`
	}
	err := json.Unmarshal(text, &r)
	return revocation{r.Kind, string(r.Value)}, err
}

// revocations are what a gateway knows of the log.
type revocations struct {
	mu    sync.RWMutex
	run   string
	first entryID // what was revoked before this entry is not known
	last  entryID // the last entry that was read
	all   entryID // everything was revoked here
	ids   map[revocation]entryID
}

// maxRevocations bounds the map. Beyond it, older records count as revoked: each
// costs one more introspection.
const maxRevocations = 20_000

// begin starts over with a log that has not been read.
func (r *revocations) begin(run string, first entryID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run, r.first, r.last, r.all, r.ids = run, first, first, entryID{}, make(map[revocation]entryID)
}

// read notes an entry in its turn.
func (r *revocations) read(id entryID, what revocation) (isNew bool) {
	isNew = r.note(id, what)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = id
	return isNew
}

// note notes an entry, perhaps before its turn. It reports whether the entry is
// new.
func (r *revocations) note(id entryID, what revocation) (isNew bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch what.Kind {
	case nothingRevoked:
		return false
	case allTokens:
		if !r.all.before(id) {
			return false
		}
		r.all = id
		return true
	}
	if known, ok := r.ids[what]; ok && !known.before(id) {
		return false
	}
	if len(r.ids) >= maxRevocations {
		clear(r.ids)
		r.first = id
	}
	r.ids[what] = id
	return true
}

func (r *revocations) position() Position {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return Position{r.run, r.last}
}

// allow reports whether a token that was asked about at a position has not
// been revoked since.
func (r *revocations) allow(since Position, name tokenName, client, subject string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if since.Run != r.run || since.ID.before(r.first) || since.ID.before(r.all) {
		return false
	}
	for _, what := range []revocation{{tokensOfClient, client}, {tokensOfSubject, subject}, {oneToken, string(name[:])}} {
		if since.ID.before(r.ids[what]) {
			return false
		}
	}
	return true
}
