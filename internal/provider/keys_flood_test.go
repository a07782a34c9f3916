// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

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
