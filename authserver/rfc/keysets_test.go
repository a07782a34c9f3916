// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

// keyServer answers with a key of an ID that changes with each answer.
type keyServer struct {
	*httptest.Server
	calls atomic.Int64
	down  atomic.Bool
	wait  atomic.Pointer[chan struct{}] // answers hang until it is closed
}

func startKeyServer(t *testing.T) *keyServer {
	t.Helper()
	s := new(keyServer)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		id := string('a' + rune(s.calls.Add(1)-1))
		if wait := s.wait.Load(); wait != nil {
			<-*wait
		}
		if s.down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		// The public key of RFC 8037 appendix A.2.
		w.Write([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"` + id + `","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	}))
	t.Cleanup(s.Close)
	return s
}

// hang makes answers wait until the returned function is called.
func (s *keyServer) hang(t *testing.T) (release func()) {
	wait := make(chan struct{})
	s.wait.Store(&wait)
	release = sync.OnceFunc(func() { s.wait.Store(nil); close(wait) })
	t.Cleanup(release)
	return release
}

func (s *keyServer) client() *authcore.Client {
	return &authcore.Client{ClientID: s.URL, JWKSURI: s.URL}
}

// keyReader is a server with a clock that the test moves.
type keyReader struct {
	*Server
	t   *testing.T
	now atomic.Int64
}

func newKeyReader(t *testing.T) *keyReader {
	r := &keyReader{t: t}
	r.now.Store(time.Now().UnixNano())
	r.Server = &Server{Logger: zap.NewNop(), Now: func() time.Time { return time.Unix(0, r.now.Load()) }}
	return r
}

func (r *keyReader) advance(by time.Duration) { r.now.Add(int64(by)) }

// id returns the ID of the key of a client, and "" if there is none.
func (r *keyReader) id(s *keyServer) string {
	set, err := r.keysOf(r.t.Context(), s.client())
	if err != nil || len(set.Keys) == 0 {
		return ""
	}
	return set.Keys[0].ID()
}

func TestASlowAddressOfKeysHoldsUpNoOtherClient(t *testing.T) {
	r, slow, fast := newKeyReader(t), startKeyServer(t), startKeyServer(t)
	release := slow.hang(t)
	var waiting sync.WaitGroup
	for range 20 {
		waiting.Go(func() {
			if id := r.id(slow); id != "a" {
				t.Errorf("the slow one: got %q", id)
			}
		})
	}
	waitFor(t, func() bool { return slow.calls.Load() == 1 })
	if id := r.id(fast); id != "a" {
		t.Errorf("the fast one: got %q", id)
	}
	release()
	waiting.Wait()
	if n := slow.calls.Load(); n != 1 {
		t.Errorf("%d calls for 20 requests", n)
	}
}

// Keys that are a little too old are used while they are fetched again. Ones that are much
// too old are not.
func TestOldKeysAreUsedWhileTheyAreFetched(t *testing.T) {
	r, s := newKeyReader(t), startKeyServer(t)
	r.id(s)
	r.advance(keySetAge - time.Second)
	if id := r.id(s); id != "a" || s.calls.Load() != 1 {
		t.Fatalf("fresh ones: got %q after %d calls", id, s.calls.Load())
	}
	r.advance(time.Second)
	release := s.hang(t)
	if id := r.id(s); id != "a" {
		t.Errorf("old ones while they are fetched: got %q", id)
	}
	release()
	waitFor(t, func() bool { return r.id(s) == "b" })
	r.advance(maxKeySetAge)
	if id := r.id(s); id != "c" {
		t.Errorf("much too old ones: got %q, want those that were fetched", id)
	}
}

func TestKeysThatCannotBeFetched(t *testing.T) {
	r, s := newKeyReader(t), startKeyServer(t)
	s.down.Store(true)
	for range 5 {
		if id := r.id(s); id != "" {
			t.Errorf("got %q of a server that is down", id)
		}
	}
	if n := s.calls.Load(); n != 1 {
		t.Errorf("a failure was asked about %d times", n)
	}
	s.down.Store(false)
	r.advance(keySetPause)
	if id := r.id(s); id != "b" {
		t.Errorf("after the pause: got %q", id)
	}
	s.down.Store(true)
	r.advance(maxKeySetAge)
	for range 5 {
		if id := r.id(s); id != "b" {
			t.Errorf("the last good ones: got %q", id)
		}
	}
	if n := s.calls.Load(); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to that")
		}
	}
}
