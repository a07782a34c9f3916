// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// A revocation is an entry in a log that all gateways read in order. What a
// gateway knew of the log before it asked about a token is written into the
// record of that token, so any gateway can tell whether the record is from
// before or after a revocation, and no clocks are compared.

// entryID is the id of an entry of the log, which is a Redis stream.
type entryID struct {
	Time   uint64 `json:"t"` // of Redis, in milliseconds
	Number uint64 `json:"n"` // within that time
}

func parseEntryID(text string) (id entryID, err error) {
	head, tail, ok := strings.Cut(text, "-")
	if !ok {
		return id, fmt.Errorf("'%.40s' is no id of an entry", text)
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

// position is how far somebody has read the log. A Redis that was started
// again may have forgotten the end of it, so positions in different runs do
// not compare.
type position struct {
	Run string  `json:"run"`
	ID  entryID `json:"id"`
}

// revoked is what an entry of the log says: these tokens are to be forgotten.
type revoked struct {
	Kind  selectionKind `json:"kind"`
	Value string        `json:"value,omitempty"` // a tokenName for oneToken
}

// nothingRevoked begins an empty log.
const nothingRevoked selectionKind = -1

func (r revoked) encode() []byte {
	text, err := json.Marshal(struct {
		Kind  selectionKind `json:"kind"`
		Value []byte        `json:"value"` // any bytes at all
	}{r.Kind, []byte(r.Value)})
	if err != nil {
		panic(fmt.Sprintf("a revocation: %v", err)) // a number and bytes
	}
	return text
}

func decodeRevoked(text []byte) (revoked, error) {
	var r struct {
		Kind  selectionKind `json:"kind"`
		Value []byte        `json:"value"`
	}
	err := json.Unmarshal(text, &r)
	return revoked{r.Kind, string(r.Value)}, err
}

// revocations are what a gateway knows of the log.
type revocations struct {
	mu    sync.RWMutex
	run   string
	first entryID // what was revoked before this entry is not known
	last  entryID // the last entry that was read
	all   entryID // everything was revoked here
	ids   map[revoked]entryID
}

// maxRevocations bounds the map. Beyond it records from before count as
// revoked: they cost one more introspection each.
const maxRevocations = 20_000

// begin starts over with a log of which nothing is known yet.
func (r *revocations) begin(run string, first entryID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run, r.first, r.last, r.all, r.ids = run, first, first, entryID{}, make(map[revoked]entryID)
}

// read notes an entry in its turn.
func (r *revocations) read(id entryID, what revoked) (isNew bool) {
	isNew = r.note(id, what)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = id
	return isNew
}

// note notes an entry, perhaps before its turn. It reports whether that was
// not known before.
func (r *revocations) note(id entryID, what revoked) (isNew bool) {
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

func (r *revocations) position() position {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return position{r.run, r.last}
}

// allow reports whether a token that was asked about at a position has not
// been revoked since.
func (r *revocations) allow(since position, name tokenName, client, subject string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if since.Run != r.run || since.ID.before(r.first) || since.ID.before(r.all) {
		return false
	}
	for _, what := range []revoked{{tokensOfClient, client}, {tokensOfSubject, subject}, {oneToken, string(name[:])}} {
		if since.ID.before(r.ids[what]) {
			return false
		}
	}
	return true
}
