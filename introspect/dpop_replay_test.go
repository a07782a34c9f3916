// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// S-42: a proof is used once, for as long as it could be used.
func TestSec_S42_Replay(t *testing.T) {
	p := testProvider()
	now := testNow
	p.server.Now = func() time.Time { return now }
	d := newDPoPTest(t, "ES256")
	check := func(r *http.Request) error { return p.CheckBinding(r, d.token, "DPoP", d.raw) }

	first := d.request(t, nil, nil)
	wantBinding(t, "first use", check(first), "")
	wantBinding(t, "second use", check(first), codeInvalidProof)
	// Another token of the same key and the same jti.
	wantBinding(t, "same jti, another signature", check(d.request(t, nil, claims{"jti": "once"})), "")
	wantBinding(t, "same jti, another signature", check(d.request(t, nil, claims{"jti": "once"})), codeInvalidProof)

	// At the edges of the window, with more proofs coming in all the time.
	ahead := d.request(t, nil, claims{"iat": testNow.Add(5 * time.Second).Unix()})
	wantBinding(t, "from the future", check(ahead), "")
	for now = testNow; now.Before(testNow.Add(70 * time.Second)); now = now.Add(500 * time.Millisecond) {
		wantBinding(t, "another", check(d.request(t, nil, claims{"iat": now.Unix()})), "")
		wantBinding(t, "replay after "+now.Sub(testNow).String(), check(first), codeInvalidProof)
		wantBinding(t, "replay of the future after "+now.Sub(testNow).String(), check(ahead), codeInvalidProof)
	}

	// Two clients may use the same jti, and neither takes it from the other.
	now = testNow
	other := newDPoPTest(t, "EdDSA")
	p = testProvider()
	wantBinding(t, "one client", check(d.request(t, nil, claims{"jti": "shared"})), "")
	wantBinding(t, "another client", p.CheckBinding(other.request(t, nil, claims{"jti": "shared"}), other.token, "DPoP", other.raw), "")
}

// A route may have several authentication handlers, of one server or of several.
// All of them check the proof of the request that uses it; any other request with
// it is a replay.
func TestSec_S42_OneRequestMayBeCheckedTwice(t *testing.T) {
	d := newDPoPTest(t, "ES256")
	a, b := testProvider(), testProvider()
	inCaddy := func(proof string) *http.Request {
		r := todos()
		r.Header.Set("DPoP", proof)
		return r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{}))
	}
	proof := d.proof(t, nil, nil)
	r := inCaddy(proof)
	for _, p := range []*Provider{a, a, b, b, a} {
		wantBinding(t, "the same request", p.CheckBinding(r, d.token, "DPoP", d.raw), "")
	}
	for _, p := range []*Provider{a, b} {
		again := inCaddy(proof)
		for range 2 {
			wantBinding(t, "another request", p.CheckBinding(again, d.token, "DPoP", d.raw), codeInvalidProof)
		}
	}
	// What a request has proven with one proof it has not with another.
	used := d.proof(t, nil, nil)
	wantBinding(t, "another proof", a.CheckBinding(inCaddy(used), d.token, "DPoP", d.raw), "")
	r.Header.Set("DPoP", used)
	wantBinding(t, "another proof, replayed", a.CheckBinding(r, d.token, "DPoP", d.raw), codeInvalidProof)
}

// Two gateways do not share what they have seen of proofs. Where that matters
// each demands a nonce of its own, which no proof for the other one has.
func TestSec_S42_ReplayAtAnotherReplica(t *testing.T) {
	one, two := testProvider(), testProvider()
	for _, p := range []*Provider{one, two} {
		p.DPoPNonce, p.server.Config().DPoPNonce = true, true
	}
	d := newDPoPTest(t, "ES256")
	proof := d.request(t, nil, claims{"nonce": one.NextNonce()})
	wantBinding(t, "at the gateway that it is for", one.CheckBinding(proof, d.token, "DPoP", d.raw), "")
	wantBinding(t, "there again", one.CheckBinding(proof, d.token, "DPoP", d.raw), codeInvalidProof)
	wantBinding(t, "at the other one", two.CheckBinding(proof, d.token, "DPoP", d.raw), codeUseNonce)
}

// Whoever has no key of his own cannot use up a proof by sending it wrongly.
func TestRefusedProofsAreNotUsedUp(t *testing.T) {
	p := testProvider()
	d := newDPoPTest(t, "ES256")
	r := d.request(t, nil, nil)
	elsewhere := r.Clone(r.Context())
	elsewhere.Method = http.MethodPost
	wantBinding(t, "with another method", p.CheckBinding(elsewhere, d.token, "DPoP", d.raw), codeInvalidProof)
	wantBinding(t, "with another token", p.CheckBinding(r, d.token, "DPoP", "another"), codeInvalidProof)
	wantBinding(t, "as it should be", p.CheckBinding(r, d.token, "DPoP", d.raw), "")
	if p.verifier.replays.count != 1 {
		t.Errorf("%d proofs are remembered, want 1", p.verifier.replays.count)
	}
}

func TestOnlyOneOfManyUsesAtOnce(t *testing.T) {
	p := testProvider()
	d := newDPoPTest(t, "EdDSA")
	r := d.request(t, nil, nil)
	var passed atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if p.CheckBinding(r, d.token, "DPoP", d.raw) == nil {
				passed.Add(1)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 1 {
		t.Errorf("a proof was used %d times", passed.Load())
	}
}

// The memory of proofs is bounded, gives itself back, and does not forget under
// pressure.
func TestProofMemory(t *testing.T) {
	g := newReplayCache()
	g.limit = 5000
	if got := g.use("key", "victim", testNow, testNow); got != proofFirst {
		t.Fatal(got)
	}
	for i := 1; i < g.limit; i++ {
		if got := g.use("key", fmt.Sprint(i), testNow.Add(time.Duration(i%60)*time.Second), testNow); got != proofFirst {
			t.Fatalf("proof %d: %d", i, got)
		}
	}
	if got := g.use("key", "one more", testNow, testNow); got != proofsFull {
		t.Errorf("one more: %d", got)
	}
	if got := g.use("key", "victim", testNow, testNow); got != proofReplayed {
		t.Errorf("the victim's proof was forgotten: %d", got)
	}
	later := testNow.Add(proofMaxAge + time.Second)
	if got := g.use("key", "one more", later, later); got != proofFirst {
		t.Errorf("one more, later: %d", got)
	}
	if got := g.use("key", "victim", testNow, later); got != proofReplayed {
		t.Errorf("the victim's proof can be used again: %d", got)
	}
	later = later.Add(3 * proofMaxAge)
	g.use("key", "last", later, later)
	if g.count != 1 || len(g.used) != 1 {
		t.Errorf("%d proofs in %d sets are left", g.count, len(g.used))
	}
	// The caller is told that the fault is not the client's.
	p := testProvider()
	p.verifier.replays.limit = 0
	d := newDPoPTest(t, "EdDSA")
	wantReason(t, "full", p.CheckBinding(d.request(t, nil, nil), d.token, "DPoP", d.raw), ProviderUnavailable)
}
