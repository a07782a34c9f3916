// SPDX-License-Identifier: Apache-2.0

package clientlimit

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestNetworkOfAClient(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "what": "what", "": "",
	} {
		if got := Network(address); got != want {
			t.Errorf("%s: got %q, want %q", address, got, want)
		}
		ctx := context.WithValue(t.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: address})
		if got := NetworkOf(ctx); got != want {
			t.Errorf("%s: got %q from a request, want %q", address, got, want)
		}
	}
	if got := NetworkOf(t.Context()); got != "" {
		t.Errorf("got %q for what is not a request", got)
	}
}

// enter is a call that is over at once.
func enter(l *Limits, network string, isUnknown bool) error {
	leave, err := l.Enter(context.Background(), network, time.Second)
	if err == nil {
		leave(isUnknown)
	}
	return err
}

func TestOnlyUnknownTokensAreLimited(t *testing.T) {
	now := time.Unix(1000, 0)
	l := New()
	l.Now = func() time.Time { return now }
	for range 10 * unknownBurst {
		if err := enter(l, "a", false); err != nil {
			t.Fatalf("known tokens: %v", err)
		}
	}
	for i := range unknownBurst {
		if err := enter(l, "a", true); err != nil {
			t.Fatalf("unknown token %d: %v", i, err)
		}
	}
	if err := enter(l, "a", true); !errors.Is(err, ErrTooMany) {
		t.Errorf("one too many: got %v", err)
	}
	for _, other := range []string{"b", ""} {
		if err := enter(l, other, true); err != nil {
			t.Errorf("network %q: got %v", other, err)
		}
	}
	now = now.Add(time.Second)
	allowed := 0
	for enter(l, "a", true) == nil {
		allowed++
	}
	if allowed != int(unknownRate) {
		t.Errorf("%d unknown tokens in the next second, want %d", allowed, int(unknownRate))
	}
}

func TestPlacesOfANetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		var inside, most, late atomic.Int64
		for range 2*placesPerNetwork + 1 {
			go func() {
				leave, err := l.Enter(t.Context(), "a", 1500*time.Millisecond)
				if err != nil {
					late.Add(1)
					return
				}
				most.Store(max(most.Load(), inside.Add(1)))
				time.Sleep(time.Second)
				inside.Add(-1)
				leave(false)
			}()
		}
		synctest.Wait()
		if leave, err := l.Enter(t.Context(), "b", 0); err != nil {
			t.Errorf("another network: %v", err)
		} else {
			leave(false)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := l.Enter(ctx, "a", time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that does not wait: got %v", err)
		}
		time.Sleep(10 * time.Second)
		if most.Load() != placesPerNetwork || late.Load() != 1 {
			t.Errorf("%d calls at a time, and %d that found no place in time; want %d and 1", most.Load(), late.Load(), placesPerNetwork)
		}
	})
}

// Networks that have nothing to their account take no memory.
func TestIdleNetworksAreForgotten(t *testing.T) {
	now := time.Unix(1000, 0)
	l := New()
	l.Now = func() time.Time { return now }
	for i := range 100 * sweepAt {
		now = now.Add(time.Millisecond)
		if err := enter(l, fmt.Sprint(i), true); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(l.networks); got > 2*sweepAt {
		t.Errorf("%d networks are known", got)
	}
}

// Work that outlives its request knows the network without reading the request's
// variables, which the request goes on writing to.
func TestDetachedWorkReadsNoVariables(t *testing.T) {
	vars := map[string]any{caddyhttp.ClientIPVarKey: "192.0.2.7"}
	ctx := context.WithValue(t.Context(), caddyhttp.VarsCtxKey, vars)
	detached := Detach(ctx)
	done := make(chan string)
	go func() { done <- NetworkOf(detached) }()
	vars[caddyhttp.ClientIPVarKey] = "198.51.100.1" // the race detector sees a read
	if got := <-done; got != "192.0.2.7" {
		t.Errorf("got %q, want the network that the request came from", got)
	}
}
