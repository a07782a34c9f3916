// SPDX-License-Identifier: Apache-2.0

package token

import (
	"slices"
	"strings"
	"sync"
	"unique"
)

// ScopeSet is a list of scopes that many tokens have: those have the same
// *ScopeSet, so that what is made of their scopes can be kept under it.
type ScopeSet struct{ scopes []string }

// ScopeSet returns the set of the token's scopes, nil if it shares none. Tokens
// with one set have equal lists; tokens with equal lists have one set as a rule.
func (t *Token) ScopeSet() *ScopeSet { return t.scopeSet }

// scopeSets are those of all tokens.
var scopeSets internedSets

const (
	maxScopeSets      = 4096
	maxScopeSetLength = 1024 // bytes; a token with longer scopes has a list of its own
)

// internedSets finds one set for all lists that are equal. It forgets everything
// when it has too many; sets that were handed out stay valid.
type internedSets struct {
	mu   sync.RWMutex
	sets map[string]*ScopeSet
}

// intern returns a list with the same strings and its set, which is nil if the
// list is too long to share.
func (s *internedSets) intern(list []string) (equal []string, set *ScopeSet) {
	key := strings.Join(list, " ")
	if len(key) > maxScopeSetLength {
		return cloneList(list), nil
	}
	s.mu.RLock()
	known, ok := s.sets[key]
	s.mu.RUnlock()
	if ok && slices.Equal(known.scopes, list) { // a string may contain spaces itself
		return known.scopes, known
	}
	set = &ScopeSet{cloneList(list)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sets == nil || len(s.sets) >= maxScopeSets {
		s.sets = make(map[string]*ScopeSet)
	}
	s.sets[strings.Clone(key)] = set // a list of one joined is a part of its document
	return set.scopes, set
}

// cloneList returns a list that shares no memory with what it was parsed from.
func cloneList(list []string) []string {
	own := make([]string, len(list))
	for i, text := range list {
		own[i] = unique.Make(text).Value()
	}
	return own
}
