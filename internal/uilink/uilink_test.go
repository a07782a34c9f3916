// SPDX-License-Identifier: Apache-2.0

package uilink

import (
	"strings"
	"testing"
	"time"
)

const address = "http://127.0.0.1:8080/"

// newRegister returns a register with one UI and a clock that is moved by hand.
func newRegister() (*Register, *time.Time) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := NewRegister(func() time.Time { return now })
	r.Add(address)
	return r, &now
}

// secretOf returns the secret of the only link.
func secretOf(t *testing.T, r *Register) string {
	t.Helper()
	links := r.New()
	if len(links) != 1 {
		t.Fatalf("got %d links, want 1", len(links))
	}
	secret, ok := strings.CutPrefix(links[0].URL, address+"#")
	if !ok || len(secret) != 43 {
		t.Fatalf("got the link %q, want %s# and 256 bits", links[0].URL, address)
	}
	return secret
}

func TestALinkOpensOnce(t *testing.T) {
	r, _ := newRegister()
	secret := secretOf(t, r)
	if other := secretOf(t, r); other == secret {
		t.Error("two links have the same secret")
	}
	for i, want := range []bool{true, false} {
		if got := r.Redeem(address, secret); got != want {
			t.Errorf("attempt %d: got %v, want %v", i+1, got, want)
		}
	}
}

func TestWhatDoesNotOpen(t *testing.T) {
	for name, attempt := range map[string]func(r *Register, now *time.Time, secret string) bool{
		"after its time": func(r *Register, now *time.Time, secret string) bool {
			*now = now.Add(Lifetime)
			return r.Redeem(address, secret)
		},
		"another UI": func(r *Register, _ *time.Time, secret string) bool {
			r.Add("http://x/")
			return r.Redeem("http://x/", secret)
		},
		"an unknown UI":        func(r *Register, _ *time.Time, secret string) bool { return r.Redeem("http://y/", secret) },
		"no secret":            func(r *Register, _ *time.Time, _ string) bool { return r.Redeem(address, "") },
		"a part of the secret": func(r *Register, _ *time.Time, secret string) bool { return r.Redeem(address, secret[:42]) },
		"the oldest of many": func(r *Register, _ *time.Time, secret string) bool {
			for range maxCodes {
				r.New()
			}
			return r.Redeem(address, secret)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, now := newRegister()
			if attempt(r, now, secretOf(t, r)) {
				t.Error("the UI opened")
			}
		})
	}
}

// During a reload two configurations have the same UI: its links go on when the
// first of them ends.
func TestALinkOutlivesAReload(t *testing.T) {
	r := NewRegister(time.Now)
	removeOld := r.Add(address)
	secret := secretOf(t, r)
	removeNew := r.Add(address)
	removeOld()
	removeOld() // once is enough
	if !r.Redeem(address, secret) {
		t.Error("the link was lost in the reload")
	}
	removeNew()
	if links := r.New(); len(links) != 0 {
		t.Errorf("got %v for a UI that is gone, want none", links)
	}
}
