// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

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

func TestKeysAreFetchedOnceByAllWhoNeedThem(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, keys := newKeyTest(t)
		server.publish(issuerKey("ES256"), issuerKey("RS256"))
		if keys.KeyIDs() != nil || server.fetches() != 0 {
			t.Error("keys were fetched before a token needed them")
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
