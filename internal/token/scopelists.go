// SPDX-License-Identifier: Apache-2.0

package token

import (
	"slices"
	"strings"
	"sync"
	"unique"
)

// scopeLists are the lists of scopes that tokens have.
var scopeLists sharedLists

const (
	maxSharedLists      = 4096
	maxSharedListLength = 1024 // bytes; a token with longer ones has a list of its own
)

// sharedLists finds one list for all that are equal. It forgets everything
// when it has too many, and what was handed out stays what it is.
type sharedLists struct {
	mu    sync.RWMutex
	lists map[string][]string
}

// share returns a list with the same strings, the same list for equal ones as
// long as shared is true.
func (s *sharedLists) share(list []string) (equal []string, shared bool) {
	key := strings.Join(list, " ")
	if len(key) > maxSharedListLength {
		return cloneList(list), false
	}
	s.mu.RLock()
	known, ok := s.lists[key]
	s.mu.RUnlock()
	if ok && slices.Equal(known, list) { // a string may contain spaces itself
		return known, true
	}
	list = cloneList(list)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lists == nil || len(s.lists) >= maxSharedLists {
		s.lists = make(map[string][]string)
	}
	s.lists[strings.Clone(key)] = list // a list of one joined is a part of its document
	return list, true
}

// cloneList returns a list that shares no memory with what it was parsed from.
func cloneList(list []string) []string {
	own := make([]string, len(list))
	for i, text := range list {
		own[i] = unique.Make(text).Value()
	}
	return own
}

// SharesScopes reports whether other tokens with equal scopes have the same
// list of them, so that what is made of the list can be kept under it.
func (t *Token) SharesScopes() bool { return t.sharesScopes }
