// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
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

// A server may change its keys right before it signs.
func TestKeysThatAreChangedRightBeforeTheyAreUsed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		server.publish(issuerKey("RS256"))
		wantKey(t, keys, "RS256", "RS256", "")
		server.publish(issuerKey("ES256"))
		wantKey(t, keys, "ES256", "ES256", token.Invalid) // the set is new
		time.Sleep(justFetched + time.Second)             // what was denied is made up for
		wantKey(t, keys, "ES256", "ES256", "")

		time.Sleep(keysMaxAge + time.Second)
		wantKey(t, keys, "ES256", "ES256", "") // has the set fetched again
		time.Sleep(2 * time.Second)
		server.publish(issuerKey("RS256"))
		wantKey(t, keys, "RS256", "RS256", "") // at once
		before := server.fetches()
		server.publish(issuerKey("ES256"))
		time.Sleep(2 * time.Second)
		for range 10 {
			wantKey(t, keys, "ES256", "ES256", token.Invalid) // once
		}
		if server.fetches() != before {
			t.Errorf("%d more fetches, want none within the cool-down", server.fetches()-before)
		}
	})
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

func TestKeysAreFetchedOnceByAllWhoNeedThem(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		server.publish(issuerKey("ES256"), issuerKey("RS256"))
		if keys.KeyIDs() != nil || server.fetches() != 0 {
			t.Error("keys were fetched before anybody needed them")
		}
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { wantKey(t, keys, "ES256", "ES256", "") })
		}
		wg.Wait()
		if server.fetches() != 1 {
			t.Errorf("%d fetches, want 1", server.fetches())
		}
		if got := keys.KeyIDs(); !slices.Equal(got, []string{"ES256", "RS256"}) {
			t.Errorf("key IDs are %q", got)
		}
		// A known key costs no fetch, and one of the wrong type neither.
		wantKey(t, keys, "RS256", "PS256", "")
		wantKey(t, keys, "RS256", "ES256", token.Invalid)
		if server.fetches() != 1 {
			t.Errorf("%d fetches, want 1", server.fetches())
		}
	})
}

// S-32: tokens with invented key IDs cost one fetch per cool-down however many
// they are, no goroutine, and no valid token its key.
func TestSec_S32_FloodOfInventedKeys(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		server.publish(issuerKey("ES256"))
		wantKey(t, keys, "ES256", "ES256", "") // the first fetch begins the cool-down
		goroutines := runtime.NumGoroutine()
		for i := range 10_000 {
			wantKey(t, keys, fmt.Sprint("invented-", i), "ES256", token.Invalid)
			if i%1000 == 0 {
				wantKey(t, keys, "ES256", "ES256", "")
			}
		}
		if got := runtime.NumGoroutine(); got > goroutines+1 {
			t.Errorf("%d goroutines, %d before", got, goroutines)
		}
		if server.fetches() != 1 {
			t.Errorf("%d fetches within the first cool-down, want 1", server.fetches())
		}

		// Ten minutes of it, from many sides at once.
		begun := time.Now()
		for time.Since(begun) < 10*time.Minute {
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() { wantKey(t, keys, fmt.Sprint("invented-", i), "ES256", token.Invalid) })
			}
			wantKey(t, keys, "ES256", "ES256", "")
			wg.Wait()
			time.Sleep(time.Second)
		}
		server.wantCoolDowns(t)
		if got := server.fetches(); got < 15 || got > 21 {
			t.Errorf("%d fetches in ten minutes of flood, want about 20", got)
		}
	})
}

// S-32: before the first good set it is the same, and no client is told that
// its token is invalid.
func TestSec_S32_FloodBeforeTheFirstSet(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		server.answer("", errors.New("connection refused"))
		for i := range 10_000 {
			wantKey(t, keys, fmt.Sprint("invented-", i), "ES256", token.ProviderUnavailable)
		}
		if server.fetches() != 1 {
			t.Errorf("%d fetches, want 1", server.fetches())
		}
		// The pause doubles up to the cool-down, less a quarter by chance, whatever
		// comes in.
		for range 600 {
			wantKey(t, keys, "ES256", "ES256", token.ProviderUnavailable)
			time.Sleep(time.Second)
		}
		if got := server.fetches(); got < 20 || got > 32 {
			t.Errorf("%d fetches in ten minutes without a server", got)
		}
		// And the server is found when it comes, within a cool-down at most.
		server.publish(issuerKey("ES256"))
		time.Sleep(DefaultCoolDown + time.Second)
		wantKey(t, keys, "ES256", "ES256", "")
	})
}

func TestServerThatStartsWithTheGatewayIsFoundSoon(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		server.answer("", errors.New("connection refused"))
		_, err := keys.Key(t.Context(), jose.KeyName{KeyID: "ES256"}, "ES256")
		wantReason(t, "first", err, token.ProviderUnavailable)
		if e := new(token.Error); !errors.As(err, &e) || e.RetryAfter != time.Second {
			t.Errorf("got %v, want it to say when to retry", err)
		}
		server.publish(issuerKey("ES256"))
		wantKey(t, keys, "ES256", "ES256", token.ProviderUnavailable)
		time.Sleep(1100 * time.Millisecond)
		wantKey(t, keys, "ES256", "ES256", "")
	})
}

// S-33: a real change of keys in the middle of a flood is known within one
// cool-down.
func TestSec_S33_RotationDuringFlood(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		server.publish(issuerKey("RS256"))
		wantKey(t, keys, "RS256", "RS256", "")
		stop := make(chan struct{})
		var flood sync.WaitGroup
		for worker := range 10 {
			flood.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
						wantKey(t, keys, fmt.Sprint("invented-", worker, "-", i), "ES256", token.Invalid)
					}
				}
			})
		}
		for range 5 { // at different moments of the cool-down
			time.Sleep(DefaultCoolDown + 7*time.Second)
			server.publish(issuerKey("RS256"))
			time.Sleep(DefaultCoolDown + time.Second)
			wantKey(t, keys, "ES256", "ES256", token.Invalid)

			server.publish(issuerKey("RS256"), issuerKey("ES256"))
			rotated := time.Now()
			for {
				if _, err := keys.Key(t.Context(), jose.KeyName{KeyID: "ES256"}, "ES256"); err == nil {
					break
				}
				time.Sleep(50 * time.Millisecond)
				if time.Since(rotated) > 2*DefaultCoolDown {
					break
				}
			}
			if took := time.Since(rotated); took > DefaultCoolDown+time.Second {
				t.Errorf("the new key was known after %v, want at most the cool-down of %v", took, DefaultCoolDown)
			}
			wantKey(t, keys, "RS256", "RS256", "")
		}
		close(stop)
		flood.Wait()
	})
}

// S-33: a fetch that the cool-down denies is made up for, though no other token
// asks again.
func TestSec_S33_DeniedFetchIsMadeUpFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		server.publish(issuerKey("RS256"))
		wantKey(t, keys, "RS256", "RS256", "")
		server.publish(issuerKey("RS256"), issuerKey("ES256"))
		wantKey(t, keys, "ES256", "ES256", token.Invalid)
		time.Sleep(DefaultCoolDown)
		synctest.Wait()
		time.Sleep(time.Second)
		if got := keys.KeyIDs(); !slices.Equal(got, []string{"RS256", "ES256"}) || server.fetches() != 2 {
			t.Errorf("known are %q after %d fetches", got, server.fetches())
		}
		// Nothing is fetched while no token needs a key.
		time.Sleep(time.Hour)
		if server.fetches() != 2 {
			t.Errorf("%d fetches without a request", server.fetches()-2)
		}
	})
}

// S-33: a token that comes in the moment in which the denied fetch is due makes
// the same one, also if that is over at once.
func TestSec_S33_DeniedFetchIsMadeUpForOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		server.delay = 0
		server.publish(issuerKey("ES256"))
		for range 600 {
			wantKey(t, keys, "ES256", "ES256", "")
			wantKey(t, keys, "invented", "ES256", token.Invalid)
			time.Sleep(time.Second)
		}
		server.wantCoolDowns(t)
	})
}

// S-33: the last good set survives every failure, and no failure shortens the
// cool-down.
func TestSec_S33_LastGoodSetSurvives(t *testing.T) {
	private := `{"keys":[{"kty":"EC","crv":"P-256","kid":"ES256","x":"AA","y":"AA","d":"AA"}]}`
	for name, c := range map[string]struct {
		body string
		err  error
	}{
		"connection refused": {"", errors.New("connection refused")},
		"status 500":         {"", errors.New("status 500")},
		"nothing":            {"", nil},
		"HTML":               {"<html>", nil},
		"an empty set":       {`{"keys":[]}`, nil},
		"keys null":          {`{"keys":null}`, nil},
		"no keys":            {`{}`, nil},
		"unusable keys":      {`{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`, nil},
		"private keys":       {private, nil},
		"keys twice":         {`{"keys":[],"keys":[]}`, nil},
		"cut off":            {`{"keys":[{`, nil},
		"too many keys":      {`{"keys":[` + repeatKeys(501) + `]}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				server, keys := newKeyTest(t)
				server.publish(issuerKey("ES256"))
				wantKey(t, keys, "ES256", "ES256", "")
				server.answer(c.body, c.err)
				for range 300 {
					time.Sleep(time.Second)
					wantKey(t, keys, "ES256", "ES256", "")
					// Whether this key exists cannot be said while the server
					// gives no answer.
					_, err := keys.Key(t.Context(), jose.KeyName{KeyID: "invented"}, "ES256")
					if err == nil {
						t.Fatal("an invented key was found")
					}
				}
				wantKey(t, keys, "invented", "ES256", token.ProviderUnavailable)
				server.wantCoolDowns(t)
				if server.fetches() < 8 {
					t.Errorf("only %d fetches in five minutes: it has given up", server.fetches())
				}
				server.publish(issuerKey("ES256"), issuerKey("EdDSA"))
				time.Sleep(DefaultCoolDown + time.Second)
				wantKey(t, keys, "EdDSA", "EdDSA", "")
				wantKey(t, keys, "invented", "ES256", token.Invalid)
			})
		})
	}
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

func TestWaitingEndsWithTheRequest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		server.publish(issuerKey("ES256"))
		server.delay = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begun := time.Now()
		_, err := keys.Key(ctx, jose.KeyName{KeyID: "ES256"}, "ES256")
		wantReason(t, "impatient", err, token.ProviderUnavailable)
		if took := time.Since(begun); took != 3*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waited for %v: %v", took, err)
		}
		// The fetch has not ended with him.
		wantKey(t, keys, "ES256", "ES256", "")
		if server.fetches() != 1 {
			t.Errorf("%d fetches, want 1", server.fetches())
		}
	})
}

func TestCloseEndsEverything(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		server.publish(issuerKey("ES256"))
		wantKey(t, keys, "ES256", "ES256", "")
		wantKey(t, keys, "invented", "ES256", token.Invalid) // makes a fetch due
		keys.Close()
		time.Sleep(time.Hour)
		wantKey(t, keys, "ES256", "ES256", "")
		if server.fetches() != 1 {
			t.Errorf("%d unrequested fetches after the end", server.fetches()-1)
		}
		keys.Close()
	})
}

// A request may outlast its configuration: it gets its answer, and a flood of
// such requests gets one fetch.
func TestKeysAfterClose(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		server.publish(issuerKey("ES256"))
		keys.Close()
		wantKey(t, keys, "ES256", "ES256", "")
		for range 100 {
			wantKey(t, keys, "invented", "ES256", token.Invalid)
		}
		if server.fetches() != 1 {
			t.Errorf("%d fetches after the end, want 1", server.fetches())
		}
	})
}

// Close ends a fetch that hangs, but not the request that waits for it, which
// asks once more and in its own time.
func TestCloseDuringAFetch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		server.publish(issuerKey("ES256"))
		server.delay = time.Second
		var answered sync.WaitGroup
		answered.Go(func() { wantKey(t, keys, "ES256", "ES256", "") })
		synctest.Wait()
		begun := time.Now()
		keys.Close()
		if took := time.Since(begun); took > 0 {
			t.Errorf("Close took %v", took)
		}
		answered.Wait()
		if server.fetches() != 2 {
			t.Errorf("%d fetches, want 2", server.fetches())
		}
	})
}

func TestAPanicIsAFailedFetch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		panics := true
		server := &keyServer{}
		server.publish(issuerKey("ES256"))
		keys := NewRemoteKeySet(RemoteKeySetConfig{Fetch: func(ctx context.Context) ([]byte, error) {
			if panics {
				panics = false
				panic("no such thing")
			}
			return server.fetch(ctx)
		}})
		defer keys.Close()
		wantKey(t, keys, "ES256", "ES256", token.ProviderUnavailable)
		time.Sleep(firstRetry)
		wantKey(t, keys, "ES256", "ES256", "")
	})
}

func TestFetchesAreReported(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server := &keyServer{}
		var reported []error
		keys := NewRemoteKeySet(RemoteKeySetConfig{
			Fetch: server.fetch, Now: time.Now, CoolDown: time.Second,
			OnFetch: func(err error) { reported = append(reported, err) },
		})
		defer keys.Close()
		server.publish(issuerKey("ES256"))
		wantKey(t, keys, "ES256", "ES256", "")
		server.answer(`{"keys":[]}`, nil)
		time.Sleep(time.Second)
		wantKey(t, keys, "x", "ES256", token.ProviderUnavailable)
		synctest.Wait()
		if len(reported) != 2 || reported[0] != nil || !errors.Is(reported[1], errNoKeys) {
			t.Errorf("reported %v", reported)
		}
	})
}
