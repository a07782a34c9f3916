// SPDX-License-Identifier: Apache-2.0

package store

import "sync"

// watchers are the functions that want to know of changes, by kind.
type watchers struct {
	mu     sync.Mutex
	next   int
	byKind map[string]map[int]func(key []byte)
}

// Watch calls a function for each announced change of a record of a kind, of
// this and of other gateways, within a second as a rule and two if a message was
// lost. A nil key says that some changes may have been missed: forget all that is
// cached. The function must return quickly; it may be called by several
// goroutines at a time, and more than once for the same change. It must not call
// stop, and is not called after stop has returned.
func (s *Store) Watch(kind string, changed func(key []byte)) (stop func()) {
	return s.watchers.add(kind, changed)
}

func (w *watchers) add(kind string, changed func(key []byte)) (remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byKind == nil {
		w.byKind = make(map[string]map[int]func([]byte))
	}
	if w.byKind[kind] == nil {
		w.byKind[kind] = make(map[int]func([]byte))
	}
	id := w.next
	w.next++
	w.byKind[kind][id] = changed
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.byKind[kind], id)
	}
}

func (w *watchers) tell(kind string, key []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, changed := range w.byKind[kind] {
		changed(key)
	}
}

func (w *watchers) tellAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, functions := range w.byKind {
		for _, changed := range functions {
			changed(nil)
		}
	}
}

// announced passes on what the engine has heard. An announcement that does not
// open may come from a gateway with a newer secret, so anything may have changed.
func (s *Store) announced(sealed []byte) {
	if sealed == nil {
		s.watchers.tellAll()
		return
	}
	kind, key, err := s.sealing.openAnnouncement(sealed)
	if err != nil {
		s.watchers.tellAll()
		return
	}
	s.watchers.tell(kind, key)
}
