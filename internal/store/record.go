// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"time"
)

const (
	// MaxIndex is how many index entries a record may have.
	MaxIndex = 4

	// MaxValue is the length in bytes that a value may have.
	MaxValue = 256 << 10

	// MaxOps is how many operations a Commit may have.
	MaxOps = 64

	maxKind  = 32
	maxKey   = 4 << 10
	maxEntry = 4 << 10
)

// Forever is the expiry of a record that does not expire. A record always has
// an expiry, so that none is left behind by mistake.
var Forever = time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC)

// Record is what is stored under a kind and a key.
type Record struct {
	Kind    string // lower-case letters, digits and "_", at most 32
	Key     []byte // says nothing about a person, see the package comment
	Value   []byte
	Expires time.Time // to the millisecond
	Index   []Entry   // at most 4, all different

	// Version is set by Get and List. It identifies this state of the record:
	// no later state, even of a record that was deleted and made again, has
	// the same.
	Version uint64
}

// Entry is an index entry, under which List finds the record.
type Entry struct {
	Kind  string // which index: letters, digits and "_"
	Value []byte
}

// Op is one operation of a Commit.
type Op struct {
	action   Action
	record   Record
	expect   Expect
	announce bool
}

// Put stores a record whatever is there.
func Put(r Record) Op { return Op{action: PutAction, record: r, expect: Expect{Any: true}} }

// Create stores a record that must not be there.
func Create(r Record) Op { return Op{action: PutAction, record: r} }

// Replace stores a record in place of the one that was read with r.Version.
func Replace(r Record) Op {
	return Op{action: PutAction, record: r, expect: Expect{Version: r.Version}}
}

// Delete deletes a record, if it is there.
func Delete(kind string, key []byte) Op {
	return Op{action: DeleteAction, record: Record{Kind: kind, Key: key}, expect: Expect{Any: true}}
}

// Remove deletes the record that was read with r.Version.
func Remove(r Record) Op {
	return Op{action: DeleteAction, record: r, expect: Expect{Version: r.Version}}
}

// Check changes nothing and lets the Commit fail unless the record is still the
// one that was read with r.Version.
func Check(r Record) Op {
	return Op{action: CheckAction, record: r, expect: Expect{Version: r.Version}}
}

// Announce returns the operation with an announcement: all gateways that watch
// the kind of the record are told. That is for what they may have cached.
func (op Op) Announce() Op {
	op.announce = true
	return op
}

// check returns what is wrong with an operation. All of that is a mistake in
// the program.
func (op Op) check() error {
	r := op.record
	switch {
	case !isName(r.Kind):
		return fmt.Errorf("%q is not a kind of record", r.Kind)
	case len(r.Key) == 0 || len(r.Key) > maxKey:
		return fmt.Errorf("a key of kind %q has %d bytes, want 1 to %d", r.Kind, len(r.Key), maxKey)
	case !op.expect.Any && op.expect.Version == 0 && op.action != PutAction:
		return fmt.Errorf("a record of kind %q has no version: it was not read from the store", r.Kind)
	case op.action != PutAction:
		return nil
	case len(r.Value) > MaxValue:
		return fmt.Errorf("a value of kind %q has %d bytes, %d is the most", r.Kind, len(r.Value), MaxValue)
	case r.Expires.IsZero() || r.Expires.After(Forever):
		return fmt.Errorf("a record of kind %q expires at %v: give it an expiry, or Forever", r.Kind, r.Expires)
	}
	return checkIndex(r)
}

func checkIndex(r Record) error {
	if len(r.Index) > MaxIndex {
		return fmt.Errorf("a record of kind %q has %d index entries, %d is the most", r.Kind, len(r.Index), MaxIndex)
	}
	seen := make(map[string]bool, MaxIndex)
	for _, e := range r.Index {
		if !isName(e.Kind) || len(e.Value) > maxEntry {
			return fmt.Errorf("a record of kind %q has an index entry of kind %q with %d bytes", r.Kind, e.Kind, len(e.Value))
		}
		if id := e.Kind + "\x00" + string(e.Value); seen[id] {
			return fmt.Errorf("a record of kind %q has an index entry of kind %q twice", r.Kind, e.Kind)
		} else {
			seen[id] = true
		}
	}
	return nil
}

var errSameRecord = errors.New("a Commit names the same record twice")

// isName reports whether a text may be a kind: engines use it in keys of
// their own, without escaping.
func isName(text string) bool {
	if text == "" || len(text) > maxKind {
		return false
	}
	for _, c := range []byte(text) {
		if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
