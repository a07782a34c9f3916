// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// keyServer is a jwks_uri: what it answers, how long it takes, and how often it
// was asked. The tests run in bubbles of synctest, whose clock jumps when
// everybody waits.
type keyServer struct {
	mu    sync.Mutex
	body  []byte
	err   error
	delay time.Duration
	asked []time.Time
}

func (s *keyServer) publish(keys ...jose.Key) {
	body, err := jose.PublicKeySet(keys...)
	if err != nil {
		panic(err)
	}
	s.answer(string(body), nil)
}

func (s *keyServer) answer(body string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body, s.err = []byte(body), err
}

func (s *keyServer) fetch(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	s.asked = append(s.asked, time.Now())
	delay := s.delay
	s.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.body, s.err
}

func (s *keyServer) fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

// wantCoolDowns fails if two fetches began too soon after each other.
// wantCoolDowns allows one fetch within a cool-down, for keys that were changed
// right before they were used.
func (s *keyServer) wantCoolDowns(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	hurried := 0
	for i := 1; i < len(s.asked); i++ {
		pause := s.asked[i].Sub(s.asked[i-1])
		if pause < DefaultCoolDown {
			hurried++
		}
		if hurried > 1 || pause < justFetched {
			t.Errorf("fetches %d and %d are %v apart", i-1, i, pause)
			return
		}
	}
}

func newKeyTest(t *testing.T) (*keyServer, *RemoteKeySet) {
	server := &keyServer{delay: 100 * time.Millisecond}
	keys := NewRemoteKeySet(RemoteKeySetConfig{Fetch: server.fetch})
	t.Cleanup(keys.Close)
	return server, keys
}

func issuerKey(alg string) jose.Key { return providertest.IssuerKeys()[alg].Public() }

func wantKey(t *testing.T, keys *RemoteKeySet, kid, alg string, want token.Reason) {
	t.Helper()
	_, err := keys.Key(t.Context(), jose.KeyName{KeyID: kid}, alg)
	wantReason(t, "key "+kid, err, want)
}

// inBubble runs a test on a fake clock, and fails if it leaves a goroutine.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	providertest.IssuerKeys() // made outside, for its mutex is everybody's
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	synctest.Test(t, test)
}

func repeatKeys(n int) string {
	jwk, err := issuerKey("ES256").MarshalJSON()
	if err != nil {
		panic(err)
	}
	list := string(jwk)
	for range n - 1 {
		list += "," + string(jwk)
	}
	return list
}
