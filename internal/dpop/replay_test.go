// SPDX-License-Identifier: Apache-2.0

package dpop

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/token"
)

// S-42: a proof is used once, for as long as it could be used.
func TestSec_S42_Replay(t *testing.T) {
	now := testNow
	p := New(NewMemory(time.Time{}), func() time.Time { return now }, false)
	d := newClient("ES256")
	check := func(r *http.Request) error { return p.Check(r, d.jkt, d.raw) }

	first := d.request(t, nil, nil)
	want(t, "first use", check(first), "")
	want(t, "second use", check(first), CodeInvalidProof)
	// Another token of the same key and the same jti.
	want(t, "same jti, another signature", check(d.request(t, nil, claims{"jti": "once"})), "")
	want(t, "same jti, another signature", check(d.request(t, nil, claims{"jti": "once"})), CodeInvalidProof)

	// At the edges of the window, with more proofs coming in all the time.
	ahead := d.request(t, nil, claims{"iat": testNow.Add(5 * time.Second).Unix()})
	want(t, "from the future", check(ahead), "")
	for now = testNow; now.Before(testNow.Add(70 * time.Second)); now = now.Add(500 * time.Millisecond) {
		want(t, "another", check(d.request(t, nil, claims{"iat": now.Unix()})), "")
		want(t, "replay after "+now.Sub(testNow).String(), check(first), CodeInvalidProof)
		want(t, "replay of the future after "+now.Sub(testNow).String(), check(ahead), CodeInvalidProof)
	}

	// Two clients may use the same jti, and neither takes it from the other.
	now = testNow
	other := newClient("EdDSA")
	p = testChecker(false)
	want(t, "one client", check(d.request(t, nil, claims{"jti": "shared"})), "")
	want(t, "another client", p.Check(other.request(t, nil, claims{"jti": "shared"}), other.jkt, other.raw), "")
}

// A route may have several authentication handlers, of one server or of several.
// All of them check the proof of the request that uses it; any other request with
// it is a replay.
func TestSec_S42_OneRequestMayBeCheckedTwice(t *testing.T) {
	d := newClient("ES256")
	a, b := testChecker(false), testChecker(false)
	inCaddy := func(proof string) *http.Request {
		r := todos()
		r.Header.Set("DPoP", proof)
		return r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{}))
	}
	proof := d.proof(t, nil, nil)
	r := inCaddy(proof)
	for _, p := range []*Checker{a, a, b, b, a} {
		want(t, "the same request", p.Check(r, d.jkt, d.raw), "")
	}
	for _, p := range []*Checker{a, b} {
		again := inCaddy(proof)
		for range 2 {
			want(t, "another request", p.Check(again, d.jkt, d.raw), CodeInvalidProof)
		}
	}
	// A request that has used one proof has not used another.
	used := d.proof(t, nil, nil)
	want(t, "another proof", a.Check(inCaddy(used), d.jkt, d.raw), "")
	r.Header.Set("DPoP", used)
	want(t, "another proof, replayed", a.Check(r, d.jkt, d.raw), CodeInvalidProof)
}

// Gateways do not share which proofs they have seen. Where that matters, each
// requires a nonce of its own, which no proof for another gateway has.
func TestSec_S42_ReplayAtAnotherReplica(t *testing.T) {
	one, two := testChecker(true), testChecker(true)
	d := newClient("ES256")
	proof := d.request(t, nil, claims{"nonce": one.NextNonce()})
	want(t, "at the gateway that it is for", one.Check(proof, d.jkt, d.raw), "")
	want(t, "there again", one.Check(proof, d.jkt, d.raw), CodeInvalidProof)
	want(t, "at the other one", two.Check(proof, d.jkt, d.raw), CodeUseNonce)
}

// An attacker without the key cannot use up a proof by sending it wrongly.
func TestRefusedProofsAreNotUsedUp(t *testing.T) {
	p := testChecker(false)
	d := newClient("ES256")
	r := d.request(t, nil, nil)
	elsewhere := r.Clone(r.Context())
	elsewhere.Method = http.MethodPost
	want(t, "with another method", p.Check(elsewhere, d.jkt, d.raw), CodeInvalidProof)
	want(t, "with another token", p.Check(r, d.jkt, "another"), CodeInvalidProof)
	want(t, "correct", p.Check(r, d.jkt, d.raw), "")
	if p.replays.count != 1 {
		t.Errorf("%d proofs are remembered, want 1", p.replays.count)
	}
}

func TestOnlyOneOfManyUsesAtOnce(t *testing.T) {
	p := testChecker(false)
	d := newClient("EdDSA")
	r := d.request(t, nil, nil)
	var passed atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if p.Check(r, d.jkt, d.raw) == nil {
				passed.Add(1)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 1 {
		t.Errorf("a proof was used %d times", passed.Load())
	}
}

// The memory of proofs is bounded and freed in time, and does not forget under
// pressure.
func TestProofMemory(t *testing.T) {
	g := newReplayCache()
	g.limit = 5000
	if got := g.use("key", "victim", testNow, testNow); got != first {
		t.Fatal(got)
	}
	for i := 1; i < g.limit; i++ {
		if got := g.use("key", fmt.Sprint(i), testNow.Add(time.Duration(i%60)*time.Second), testNow); got != first {
			t.Fatalf("proof %d: %d", i, got)
		}
	}
	if got := g.use("key", "one more", testNow, testNow); got != full {
		t.Errorf("one more: %d", got)
	}
	if got := g.use("key", "victim", testNow, testNow); got != replayed {
		t.Errorf("the victim's proof was forgotten: %d", got)
	}
	later := testNow.Add(maxAge + time.Second)
	if got := g.use("key", "one more", later, later); got != first {
		t.Errorf("one more, later: %d", got)
	}
	if got := g.use("key", "victim", testNow, later); got != replayed {
		t.Errorf("the victim's proof can be used again: %d", got)
	}
	later = later.Add(3 * maxAge)
	g.use("key", "last", later, later)
	if g.count != 1 || len(g.used) != 1 {
		t.Errorf("%d proofs in %d sets are left", g.count, len(g.used))
	}
	// The caller is told that the fault is not the client's.
	p := testChecker(false)
	p.replays.limit = 0
	d := newClient("EdDSA")
	if err := token.AsError(p.Check(d.request(t, nil, nil), d.jkt, d.raw)); err.Reason != token.ProviderUnavailable || err.RetryAfter != maxAge {
		t.Errorf("full: got %v, retry after %s, want %s", err, err.RetryAfter, token.ProviderUnavailable)
	}
}
