// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSec_S53 follows a rotation through its life: at no time is there a valid
// token whose key an upstream cannot find, with a key set as old as the
// gateway allows, and at its end the old key is gone.
func TestSec_S53_noTokenOutlivesItsKey(t *testing.T) {
	for name, immediately := range map[string]bool{"gracefully": false, "immediately": true} {
		t.Run(name, func(t *testing.T) {
			clk := newClock()
			storage := newMemoryStorage()
			s := newSigner(t, SignerConfig{Storage: storage, Now: clk.now}, "")
			mustSync(t, s)
			first := mustSign(t, s, SignRequest{})
			if err := s.Rotate(t.Context(), immediately); err != nil {
				t.Fatal(err)
			}
			rotated := clk.now()
			type seen struct {
				kid string
				end time.Time
			}
			firstKid := kidOf(t, first.Token)
			tokens := []seen{{firstKid, first.ExpiresAt}}
			held := kids(t, s) // by an upstream, for as long as it may
			heldSince := clk.now()
			for clk.now().Before(rotated.Add(3 * time.Hour)) {
				signed := mustSign(t, s, SignRequest{})
				tokens = append(tokens, seen{kidOf(t, signed.Token), signed.ExpiresAt})
				if clk.now().Sub(heldSince) >= keepFor {
					held, heldSince = kids(t, s), clk.now()
				}
				for _, token := range tokens {
					if clk.now().Before(token.end) && !slices.Contains(held, token.kid) {
						t.Fatalf("after %s: an upstream does not know the key of a valid token", clk.now().Sub(rotated))
					}
				}
				clk.advance(30 * time.Second)
				if clk.now().Unix()%60 == 0 {
					mustSync(t, s)
				}
				if clk.now().Sub(rotated) == time.Hour {
					// A restart in the middle: nothing is known but the storage.
					s = newSigner(t, SignerConfig{Storage: storage, Now: clk.now}, "")
					mustSync(t, s)
				}
			}
			if firstKid == tokens[len(tokens)-1].kid {
				t.Error("nothing was rotated")
			}
			if got := kids(t, s); len(got) != 1 {
				t.Errorf("%d keys are left, want one", len(got))
			}
			if wait := tokens[1].kid == firstKid; wait == immediately {
				t.Errorf("the old key signed after the rotation: %v", wait)
			}
		})
	}
}

func TestRotatingTwiceMakesOneKey(t *testing.T) {
	clk := newClock()
	s := newSigner(t, SignerConfig{Storage: newMemoryStorage(), Now: clk.now}, "")
	mustSync(t, s)
	for range 5 {
		if err := s.Rotate(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(kids(t, s)); n != 2 {
		t.Errorf("%d keys, want 2", n)
	}
	// An immediate one goes before the one that waits, which never signs.
	if err := s.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	newest := kidOf(t, mustSign(t, s, SignRequest{}).Token)
	clk.advance(PublishLead + time.Minute)
	mustSync(t, s)
	if got := kidOf(t, mustSign(t, s, SignRequest{}).Token); got != newest {
		t.Error("a key that was passed over signs")
	}
	var err error
	for range maxRing {
		err = s.Rotate(t.Context(), true)
	}
	if err == nil || !strings.Contains(err.Error(), "wait until some have expired") {
		t.Errorf("rotating without end: got %v", err)
	}
}

// A gateway learns of another gateway's key a little later. An upstream that
// got the set from it just before asks again before that key is used.
func TestSec_S53_aSetOfTheGatewayThatHearsLast(t *testing.T) {
	clk := newClock()
	config := SignerConfig{Storage: newMemoryStorage(), Now: clk.now}
	first, second := newSigner(t, config, ""), newSigner(t, config, "")
	mustSync(t, first)
	mustSync(t, second)
	if err := first.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	clk.advance(pollInterval - time.Second)
	set, err := second.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	known := kids(t, second)
	clk.advance(set.MaxAge - time.Second)
	if kid := kidOf(t, mustSign(t, first, SignRequest{}).Token); !slices.Contains(known, kid) {
		t.Errorf("the key %s signs, while the set %q may be kept for another second", kid, known)
	}
	if set.MaxAge < time.Minute {
		t.Errorf("the set may be kept for %s only", set.MaxAge)
	}
}

func TestRotationAtIntervals(t *testing.T) {
	clk := newClock()
	storage := newMemoryStorage()
	s := newSigner(t, SignerConfig{Storage: storage, Now: clk.now, RotateEvery: 24 * time.Hour}, "")
	used := make(map[string]int)
	for range 4 * 24 * 60 {
		mustSync(t, s)
		used[kidOf(t, mustSign(t, s, SignRequest{}).Token)]++
		clk.advance(time.Minute)
	}
	if len(used) != 4 {
		t.Errorf("%d keys in four days, want 4", len(used))
	}
	if storage.stores > 12 {
		t.Errorf("the storage was written %d times for 4 keys", storage.stores)
	}
}

func TestGatewaysThatShareAStorageShareTheKey(t *testing.T) {
	clk := newClock()
	storage := newMemoryStorage()
	signers := make([]*Signer, 8)
	var wg sync.WaitGroup
	for i := range signers {
		signers[i] = newSigner(t, SignerConfig{Storage: storage, Now: clk.now}, "")
		wg.Go(func() { mustSync(t, signers[i]) })
	}
	wg.Wait()
	for i, s := range signers {
		token := mustSign(t, s, SignRequest{}).Token
		for j, other := range signers {
			if err := verify(t, other, token); err != nil {
				t.Errorf("a token of %d at %d: %v", i, j, err)
			}
		}
	}
	// One rotates; the others notice within a minute, before the key is used.
	if err := signers[0].Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	clk.advance(pollInterval)
	for _, s := range signers {
		mustSync(t, s)
	}
	clk.advance(PublishLead)
	token := mustSign(t, signers[0], SignRequest{}).Token
	if err := verify(t, signers[7], token); err != nil {
		t.Error(err)
	}
	if n := len(kids(t, signers[7])); n != 2 {
		t.Errorf("%d keys, want 2", n)
	}
}

// A key leaves the set on time even if the storage is unavailable and nothing
// is read any more.
func TestTheKeySetFollowsTheClock(t *testing.T) {
	clk := newClock()
	s := newSigner(t, SignerConfig{Storage: newMemoryStorage(), Now: clk.now}, "")
	mustSync(t, s)
	if err := s.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	clk.advance(retention - time.Second)
	if n := len(kids(t, s)); n != 2 {
		t.Errorf("%d keys before the end, want 2", n)
	}
	clk.advance(time.Second)
	if n := len(kids(t, s)); n != 1 {
		t.Errorf("%d keys after the end, want 1", n)
	}
}
