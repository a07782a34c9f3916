// SPDX-License-Identifier: Apache-2.0

package token

import "sync/atomic"

// Values: what a handler computes from a token (the scope set in the form its
// policy wants, rendered headers) is kept with the token, so that the next
// request with it finds everything ready. A value belongs to one handler
// of one loaded configuration: the token outlives a reload, what an older
// configuration made of it must not.

// ValueKey names a value: the handler, by the number that NextHandlerID gave it,
// and the number of the configuration that it belongs to. A later configuration
// has a greater number.
type ValueKey struct {
	Generation uint64
	Handler    uint64
}

type handlerValue struct {
	key   ValueKey
	value any
}

var lastHandlerID atomic.Uint64

// NextHandlerID returns a number that no other handler of this process has.
func NextHandlerID() uint64 {
	return lastHandlerID.Add(1)
}

// Value returns what SetValue kept under the key, nil if there is nothing. It
// takes no lock.
func (t *Token) Value(key ValueKey) any {
	values := t.values.Load()
	if values == nil {
		return nil
	}
	for i := range *values {
		if (*values)[i].key == key {
			return (*values)[i].value
		}
	}
	return nil
}

// SetValue keeps a value and drops those of older generations. A
// value of a generation that is itself older than what is kept is not taken:
// a request that began before a reload may end after it.
func (t *Token) SetValue(key ValueKey, value any) {
	for {
		old := t.values.Load()
		next, ok := withValue(old, handlerValue{key, value})
		if !ok || t.values.CompareAndSwap(old, &next) {
			return
		}
	}
}

// Sized is a value that says how many bytes of memory it takes. One that does not
// is taken to be small.
type Sized interface{ Size() int }

const (
	tokenSize = 640 // of a token with its entry in a cache, texts aside
	scopeSize = 64  // of a scope that is not shared, with what policies make of it
	valueSize = 64
)

// Size estimates how many bytes of memory a token takes with all that handlers
// keep with it.
func (t *Token) Size() int {
	size := tokenSize + len(t.ClaimsJSON)
	if t.scopeSet == nil {
		for _, scope := range t.Scopes {
			size += len(scope) + scopeSize
		}
	}
	values := t.values.Load()
	if values == nil {
		return size
	}
	for _, kept := range *values {
		size += valueSize
		if sized, ok := kept.value.(Sized); ok {
			size += sized.Size()
		}
	}
	return size
}

func withValue(old *[]handlerValue, added handlerValue) (values []handlerValue, ok bool) {
	if old == nil {
		return []handlerValue{added}, true
	}
	values = make([]handlerValue, 0, len(*old)+1)
	for _, s := range *old {
		if s.key.Generation > added.key.Generation {
			return nil, false
		}
		if s.key.Generation == added.key.Generation && s.key != added.key {
			values = append(values, s)
		}
	}
	return append(values, added), true
}
