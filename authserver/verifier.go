// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"sync"

	"github.com/caddyserver/caddy/v2"
)

// secretVerifier checks client secrets. A hash is slow on purpose, which makes
// each check a lever: tens of milliseconds and megabytes for one small request.
// So half of the processors at the most do it at a time, and what was found
// right is remembered, under a key that exists only in this process: a client
// that introspects a thousand tokens a second is checked once, and keeps being
// served while an attacker tries secrets.
type secretVerifier struct {
	key    [sha256.Size]byte
	turns  *turns // half of the processors at the most check secrets at a time
	checks checks

	mu sync.RWMutex
	// right has one entry for each hash whose secret was seen: what it
	// holds is bounded by the configuration.
	right map[string][sha256.Size]byte
}

func newSecretVerifier() *secretVerifier {
	v := &secretVerifier{
		turns: newTurns(max(1, runtime.GOMAXPROCS(0)/2)),
		right: make(map[string][sha256.Size]byte),
	}
	// crypto/rand.Read never fails (Go 1.24).
	_, _ = rand.Read(v.key[:])
	return v
}

// verify reports whether secret is the one that was hashed. The error is
// errBusy, or that of ctx.
func (v *secretVerifier) verify(ctx context.Context, by asker, hash *secretHash, secret string) (bool, error) {
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

// pretend takes as long as a verification of a wrong secret.
func (v *secretVerifier) pretend(ctx context.Context, by asker, hash *secretHash, secret string) error {
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

func (v *secretVerifier) remember(hash *secretHash, mac [sha256.Size]byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.right[hash.text] = mac
}

func (v *secretVerifier) remembers(hash *secretHash, mac [sha256.Size]byte) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	right, ok := v.right[hash.text]
	return ok && hmac.Equal(right[:], mac[:])
}

// keepOnly forgets the secrets of hashes that no client has any longer.
func (v *secretVerifier) keepOnly(clients map[string]*client) {
	current := make(map[string]bool, len(clients))
	for _, c := range clients {
		current[c.secret.text] = true
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for text := range v.right {
		if !current[text] {
			delete(v.right, text)
		}
	}
}

// choose picks a number below n that depends on the text, always the same one
// in this process, unforeseeable outside.
func (v *secretVerifier) choose(text string, n int) int {
	mac := v.mac("choose", text)
	return int(binary.BigEndian.Uint64(mac[:8]) % uint64(n))
}

func (v *secretVerifier) mac(parts ...string) (sum [sha256.Size]byte) {
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

// Destruct makes a secretVerifier fit for a caddy.UsagePool.
func (v *secretVerifier) Destruct() error { return nil }

// verifiers outlive a reload, so that it does not cost a hash for each client.
var verifiers = caddy.NewUsagePool()
