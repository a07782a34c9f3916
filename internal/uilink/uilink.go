// SPDX-License-Identifier: Apache-2.0

// Package uilink hands out the links that open the UI of this process once,
// without a login: who can reach Caddy's admin endpoint asks for one, and the UI
// redeems it. A link holds for a minute and for one UI.
//
// The admin API and the UI share this package, so that neither has to know the
// other.
package uilink

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"sync"
	"time"
)

// Instance stands for this process, so that its pages know its admin endpoint from
// that of another gateway on the same machine.
var Instance = rand.Text()

// Lifetime is how long a link can be redeemed.
const Lifetime = time.Minute

// maxCodes bounds how many links of a UI wait to be redeemed. A new one takes the
// place of the oldest.
const maxCodes = 16

// Link opens a UI once.
type Link struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Register knows the UIs of this process that can be opened by a link.
type Register struct {
	mu  sync.Mutex
	uis map[string]*ui // by address
	now func() time.Time
}

type ui struct {
	users int // configurations that have it: two of them overlap during a reload
	codes []code
}

// code is the secret of a link. Only its hash is kept.
type code struct {
	hash    [sha256.Size]byte
	expires time.Time
}

// Open are the UIs of all configurations. They outlive a reload together with
// their links.
var Open = NewRegister(time.Now)

// NewRegister returns an empty register.
func NewRegister(now func() time.Time) *Register {
	return &Register{uis: make(map[string]*ui), now: now}
}

// Add says that there is a UI at an address, until the returned function is
// called. The address is what a browser opens, without a fragment.
func (r *Register) Add(address string) (remove func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.uis[address] == nil {
		r.uis[address] = new(ui)
	}
	r.uis[address].users++
	return sync.OnceFunc(func() { r.remove(address) })
}

func (r *Register) remove(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.uis[address].users--; r.uis[address].users == 0 {
		delete(r.uis, address)
	}
}

// New returns a new link for each UI, in the order of their addresses. The secret
// is in the fragment, which browsers send to no server and in no Referer.
func (r *Register) New() []Link {
	r.mu.Lock()
	defer r.mu.Unlock()
	links := make([]Link, 0, len(r.uis))
	for address, u := range r.uis {
		secret := newSecret()
		expires := r.now().Add(Lifetime)
		u.codes = append(u.codes, code{sha256.Sum256([]byte(secret)), expires})
		u.codes = u.codes[max(0, len(u.codes)-maxCodes):]
		links = append(links, Link{URL: address + "#" + secret, ExpiresAt: expires})
	}
	slices.SortFunc(links, func(a, b Link) int { return cmp.Compare(a.URL, b.URL) })
	return links
}

// newSecret returns 256 random bits as text.
func newSecret() string {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(secret)
}

// Redeem reports whether a secret is that of a link to the UI at an address, and
// takes the link away. What is compared are hashes, so the time that it takes says
// nothing about the secret.
func (r *Register) Redeem(address, secret string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.uis[address]
	if u == nil {
		return false
	}
	now, hash := r.now(), sha256.Sum256([]byte(secret))
	u.codes = slices.DeleteFunc(u.codes, func(c code) bool { return !now.Before(c.expires) })
	i := slices.IndexFunc(u.codes, func(c code) bool { return c.hash == hash })
	if i < 0 {
		return false
	}
	u.codes = slices.Delete(u.codes, i, i+1)
	return true
}
