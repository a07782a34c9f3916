// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/store"
)

// heard is what a watcher was told.
type heard struct {
	mu     sync.Mutex
	keys   []string
	missed int
}

func (h *heard) changed(key []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if key == nil {
		h.missed++
		return
	}
	h.keys = append(h.keys, string(key))
}

func (h *heard) of(key string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.keys, key)
}

func (h *heard) everything() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.missed > 0
}

func (s Suite) testWatch(t *testing.T) {
	gateways := s.gateways(t, s.New(t), store.Options{})
	var here, there, other heard
	listener := gateways[len(gateways)-1]
	defer gateways[0].Watch("grant", here.changed)()
	stop := listener.Watch("grant", there.changed)
	defer listener.Watch("token", other.changed)()

	commit(t, gateways[0], store.Put(record("grant", "quiet", "x")))
	commit(t, gateways[0], store.Put(record("grant", "loud", "x")).Announce(), store.Put(record("token", "t", "x")))
	if !here.of("loud") {
		t.Error("the gateway that committed was not told at once")
	}
	// One that only begins to watch is told that it may have missed some.
	eventually(t, "the other gateway was told", func() bool { return there.of("loud") || there.everything() })
	conflicts(t, gateways[0], store.Create(record("grant", "loud", "x")), store.Put(record("grant", "never", "x")).Announce())
	for i := range 200 {
		commit(t, gateways[0], store.Delete("grant", []byte(fmt.Sprint(i))).Announce())
	}
	for i := range 200 {
		eventually(t, fmt.Sprintf("the other gateway was told of %d", i), func() bool { return there.of(fmt.Sprint(i)) })
	}
	if there.of("quiet") || there.of("never") || other.of("t") || other.of("loud") {
		t.Errorf("told of what was not announced, or not of this kind: %q, %q", there.keys, other.keys)
	}
	stop()
	commit(t, gateways[0], store.Delete("grant", []byte("after")).Announce(), store.Delete("token", []byte("after")).Announce())
	eventually(t, "the one that still watches was told", func() bool { return other.of("after") })
	if there.of("after") {
		t.Error("told after it no longer watched")
	}
}

func (s Suite) testUnavailable(t *testing.T) {
	server, ok := s.New(t).(Server)
	if !ok {
		t.Skip("NOT TESTED: the store unavailable and back: this suite cannot stop what the engine stores in")
	}
	st := open(t, server, store.Options{Timeout: time.Second})
	other := open(t, server, store.Options{Timeout: time.Second})
	var watcher heard
	defer other.Watch("grant", watcher.changed)()
	eventually(t, "the server answers", func() bool { return st.Commit(t.Context(), store.Put(record("grant", "g", "x"))) == nil })

	var answered atomic.Int64 // how many were written, one after the other
	stopLoad := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stopLoad:
				return
			default:
			}
			if st.Commit(t.Context(), store.Put(record("grant", fmt.Sprint(i), "x"))) != nil {
				return
			}
			answered.Store(int64(i) + 1)
		}
	})
	eventually(t, "the load runs", func() bool { return answered.Load() > 20 })
	server.Stop(t)
	load.Wait()
	close(stopLoad)

	began := time.Now()
	if _, err := st.Get(t.Context(), "grant", []byte("g")); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: got %v, want ErrUnavailable", err)
	}
	if err := st.Commit(t.Context(), store.Delete("grant", []byte("g"))); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Commit: got %v, want ErrUnavailable", err)
	}
	if _, _, err := st.List(t.Context(), "grant", store.Entry{Kind: "subject"}, nil, 1); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("List: got %v, want ErrUnavailable", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("three operations took %s, want a second each at most", took)
	}

	server.Start(t)
	eventually(t, "the store works again", func() bool {
		return st.Commit(t.Context(), store.Put(record("grant", "back", "x"))) == nil && other.Commit(t.Context(), store.Put(record("grant", "back", "x"))) == nil
	})
	if server.KeepsAll() {
		for i := range answered.Load() {
			holds(t, st, "grant", fmt.Sprint(i), "x")
		}
	}
	eventually(t, "changes are announced again, or known to be missed", func() bool {
		commit(t, st, store.Delete("grant", []byte("g")).Announce())
		return watcher.of("g") || watcher.everything()
	})
	eventually(t, "changes are announced again", func() bool {
		commit(t, st, store.Delete("grant", []byte("later")).Announce())
		return watcher.of("later")
	})
}
