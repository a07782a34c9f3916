// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// A key that the server has withdrawn goes, though every token knows its key.
func TestWithdrawnKeysGo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		server.publish(issuerKey("ES256"), issuerKey("RS256"))
		wantKey(t, keys, "RS256", "RS256", "")
		server.publish(issuerKey("ES256"))
		withdrawn := time.Now()
		for {
			time.Sleep(time.Second)
			wantKey(t, keys, "ES256", "ES256", "")
			if _, err := keys.Key(t.Context(), jose.KeyName{KeyID: "RS256"}, "RS256"); err != nil {
				wantReason(t, "withdrawn", err, token.Invalid)
				break
			}
			if time.Since(withdrawn) > time.Hour {
				t.Fatal("a withdrawn key is still used after an hour")
			}
		}
		if took := time.Since(withdrawn); took > keysMaxAge+2*time.Second {
			t.Errorf("took %v, want at most %v", took, keysMaxAge)
		}
	})
}

// Looking after keys that are known makes no token wait, even for a server that
// hangs.
func TestKnownKeysNeverWait(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		server.publish(issuerKey("ES256"))
		wantKey(t, keys, "ES256", "ES256", "")
		server.mu.Lock()
		server.delay = time.Hour
		server.mu.Unlock()
		time.Sleep(keysMaxAge + time.Second)
		for range 100 {
			begun := time.Now()
			wantKey(t, keys, "ES256", "ES256", "")
			if took := time.Since(begun); took > 0 {
				t.Fatalf("waited for %v", took)
			}
			time.Sleep(time.Second)
		}
		if server.fetches() != 2 {
			t.Errorf("%d fetches, want the first and one that hangs", server.fetches())
		}
	})
}

// When the keys have been unused for long, the first token waits until they
// have been fetched again: its key may have been withdrawn long ago.
func TestWithdrawnKeysGoAfterIdling(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		server.publish(issuerKey("ES256"), issuerKey("RS256"))
		wantKey(t, keys, "RS256", "RS256", "")
		server.publish(issuerKey("ES256"))
		time.Sleep(24 * time.Hour)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { wantKey(t, keys, "RS256", "RS256", token.Invalid) })
			wg.Go(func() { wantKey(t, keys, "ES256", "ES256", "") })
		}
		wg.Wait()
		if server.fetches() != 2 {
			t.Errorf("%d fetches, want the first and one for all", server.fetches())
		}
		// Without a key ID it is the same.
		time.Sleep(24 * time.Hour)
		wantKey(t, keys, "", "RS256", token.Invalid)
		wantKey(t, keys, "", "ES256", "")
		server.wantCoolDowns(t)
	})
}

// After idling, too, known keys survive an outage of the server. One token
// waits for it, and no other while it goes on failing, even if it hangs.
func TestKnownKeysSurviveIdling(t *testing.T) {
	for name, delay := range map[string]time.Duration{"refuses": 0, "hangs": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				server, keys := newKeyTest(t)
				server.publish(issuerKey("ES256"))
				wantKey(t, keys, "ES256", "ES256", "")
				server.answer("", errors.New("unavailable"))
				server.mu.Lock()
				server.delay = delay
				server.mu.Unlock()
				time.Sleep(24 * time.Hour)
				for i := range 600 {
					begun := time.Now()
					// A token has as long as a fetch has.
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					_, err := keys.Key(ctx, jose.KeyName{KeyID: "ES256"}, "ES256")
					cancel()
					if took := time.Since(begun); err != nil || i > 0 && took > 0 {
						t.Fatalf("token %d: got %v after %v", i, err, took)
					}
					time.Sleep(time.Second)
				}
				server.wantCoolDowns(t)
				if server.fetches() < 15 {
					t.Errorf("only %d fetches in ten minutes: it has given up", server.fetches())
				}
				// And it is waited for again when it has been idle again.
				time.Sleep(24 * time.Hour)
				server.publish(issuerKey("RS256"))
				wantKey(t, keys, "ES256", "ES256", token.Invalid)
			})
		})
	}
}

// A server without key IDs gives a token no way to say that its key is new.
func TestReplacedKeyWithoutID(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		old, replacement := issuerKey("ES256").WithID(""), issuerKey("RS256").WithID("")
		server.publish(old)
		wantKey(t, keys, "", "ES256", "")
		server.publish(replacement)
		for range 33 {
			time.Sleep(time.Second)
			keys.Key(t.Context(), jose.KeyName{}, "ES256")
		}
		wantKey(t, keys, "", "RS256", "")
		wantKey(t, keys, "", "ES256", token.Invalid)
		if got := keys.KeyIDs(); !slices.Equal(got, []string{replacement.Thumbprint()}) {
			t.Errorf("key IDs are %q", got)
		}
	})
}
