// SPDX-License-Identifier: Apache-2.0

package clientauth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"sync"
)

// maxRemembered bounds how many secrets are remembered.
const maxRemembered = 100_000

// Verifier checks secrets of clients. A hash is slow on purpose, which makes
// each check a lever: tens of milliseconds and megabytes for one small request.
// So half of the processors at the most do it at a time, and what was found
// right is remembered, under a key that exists only in this process: a client
// that introspects a thousand tokens a second is checked once, and keeps being
// served while an attacker tries secrets.
type Verifier struct {
	key    [sha256.Size]byte
	turns  *turns // half of the processors at the most check secrets at a time
	checks checks

	mu sync.RWMutex
	// right has one entry for each hash whose secret was seen lately.
	right map[string][sha256.Size]byte
}

// NewVerifier makes a Verifier.
func NewVerifier() *Verifier {
	v := &Verifier{
		turns: newTurns(max(1, runtime.GOMAXPROCS(0)/2)),
		right: make(map[string][sha256.Size]byte),
	}
	// crypto/rand.Read never fails (Go 1.24).
	_, _ = rand.Read(v.key[:])
	return v
}

// Verify reports whether secret is the one that was hashed. The error is
// ErrBusy, or that of ctx.
func (v *Verifier) Verify(ctx context.Context, by Asker, hash *Secret, secret string) (bool, error) {
	mac := v.mac(hash.text, secret)
	if v.remembers(hash, mac) {
		return true, nil
	}
	return v.checks.do(ctx, mac, func(ctx context.Context) (bool, error) {
		leave, err := v.turns.enter(ctx, by)
		if err != nil {
			return false, err
		}
		right := v.remembers(hash, mac) || hash.verify([]byte(secret))
		if right {
			v.remember(hash, mac)
		}
		leave(!right)
		return right, nil
	})
}

// Pretend takes as long as a verification of a wrong secret.
func (v *Verifier) Pretend(ctx context.Context, by Asker, hash *Secret, secret string) error {
	_, err := v.checks.do(ctx, v.mac("pretend", hash.text, secret), func(ctx context.Context) (bool, error) {
		leave, err := v.turns.enter(ctx, by)
		if err == nil {
			hash.verify([]byte(secret))
			leave(true)
		}
		return false, err
	})
	return err
}

func (v *Verifier) remember(hash *Secret, mac [sha256.Size]byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.right) >= maxRemembered {
		clear(v.right)
	}
	v.right[hash.text] = mac
}

func (v *Verifier) remembers(hash *Secret, mac [sha256.Size]byte) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	right, ok := v.right[hash.text]
	return ok && hmac.Equal(right[:], mac[:])
}

// choose picks a number below n that depends on the text, always the same one
// in this process, unforeseeable outside.
func (v *Verifier) choose(text string, n int) int {
	mac := v.mac("choose", text)
	return int(binary.BigEndian.Uint64(mac[:8]) % uint64(n))
}

func (v *Verifier) mac(parts ...string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, v.key[:])
	for _, part := range parts {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write([]byte(part))
	}
	mac.Sum(sum[:0])
	return sum
}

// Destruct makes a Verifier fit for a caddy.UsagePool.
func (v *Verifier) Destruct() error { return nil }
