// SPDX-License-Identifier: Apache-2.0

package dpop

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
)

// A proof that was made before the memory began may have been used before. A client
// that knows how makes another one, with a nonce, at once.
func TestProofsFromBeforeTheMemory(t *testing.T) {
	d := newClient("ES256")
	check := func(since time.Time, changes claims) error {
		checker := New(NewMemory(since), func() time.Time { return testNow }, false)
		return checker.Check(d.request(t, nil, changes), d.jkt, d.raw)
	}
	want(t, "made after the memory", check(testNow.Add(-time.Minute), nil), "")
	want(t, "made in the second in which it began", check(testNow, nil), "")
	early := check(testNow, claims{"iat": testNow.Add(-time.Second).Unix()})
	want(t, "made a second before", early, CodeUseNonce)
	if e, ok := errors.AsType[*token.Error](early); !ok || e.Nonce == "" {
		t.Errorf("got %v, want a nonce for the next attempt", early)
	}

	checker := New(NewMemory(testNow), func() time.Time { return testNow }, false)
	nonce := checker.nonces.next(testNow)
	r := d.request(t, nil, claims{"iat": testNow.Add(-time.Second).Unix(), "nonce": nonce})
	want(t, "made by a slow clock, with a nonce", checker.Check(r, d.jkt, d.raw), "")
}

// Checkers of two providers, or of one before and after a reload, share what was
// used.
func TestProofsAreUsedUpForAllCheckers(t *testing.T) {
	memory := NewMemory(time.Time{})
	d := newClient("ES256")
	r := d.request(t, nil, nil)
	again := todos()
	again.Header = r.Header.Clone()
	now := func() time.Time { return testNow }
	want(t, "first", New(memory, now, false).Check(r, d.jkt, d.raw), "")
	want(t, "at another checker", New(memory, now, false).Check(again, d.jkt, d.raw), CodeInvalidProof)
}
