// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"
)

// Token is an access token that its authorization server vouched for, by its
// signature or in answer to an introspection. It is shared between all
// requests that carry it and must not be changed. The token itself, as it
// was sent, is not kept.
type Token struct {
	// Provider is the name of the provider that verified the token.
	Provider string

	// Issuer is the provider's issuer, which the token names or which
	// answered for it.
	Issuer string

	// Subject is the `sub` claim, empty if there is none.
	Subject string

	// ClientID is the client that the token was issued to, from `client_id`,
	// `azp` or `cid`; empty if none of them is present.
	ClientID string

	// Scopes are what the token grants, in the order of the token. Tokens with
	// the same scopes share the list, as a rule.
	Scopes []string

	// ExpiresAt is the `exp` claim; zero if the authorization server set no
	// end, which only introspection allows.
	ExpiresAt time.Time

	// JWT says that the token itself is a signed JWT, which may have been
	// introspected all the same. Any other means nothing to an upstream.
	JWT bool

	// Confirmation is the `cnf` claim; nil for a plain bearer token. A token
	// that has one is worth nothing without the proof: see
	// [Provider.CheckBinding].
	Confirmation *Confirmation

	// ClaimsJSON are the verified claims, or the introspection answer, as a
	// JSON object.
	ClaimsJSON []byte

	sharesScopes bool

	name  tokenName // for revocations by other gateways, if there are any
	slots atomic.Pointer[[]slot]
}

// Confirmation names the key that a token is bound to (RFC 7800). With no
// member set the token is bound in a way that this gateway cannot check, and
// no proof will do.
type Confirmation struct {
	// JKT is the SHA-256 thumbprint of a DPoP key (RFC 9449, section 6.1).
	JKT string

	// X5T is the SHA-256 thumbprint of a client certificate (RFC 8705,
	// section 3.1).
	X5T string
}

// Claims parses the token's claims anew at each call, so that callers may
// change what they get. Numbers are json.Number.
func (t *Token) Claims() (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(t.ClaimsJSON))
	decoder.UseNumber()
	var claims map[string]any
	if err := decoder.Decode(&claims); err != nil {
		return nil, fmt.Errorf("claims of a verified token: %w", err)
	}
	return claims, nil
}

// SharesScopes reports whether other tokens with equal scopes have the same
// list of them, so that what is made of the list can be kept under it.
func (t *Token) SharesScopes() bool { return t.sharesScopes }

// Expired reports whether the token's time is over. There is no leeway:
// RFC 7519, section 4.1.4, allows some, but a token that is accepted after its
// end outlives its revocation.
func (t *Token) Expired(now time.Time) bool {
	return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt)
}

// Slots: what a handler computes from a token (the scope set in the form its
// policy wants, rendered headers) is kept with the token, so that the next
// request with it finds everything ready. A slot belongs to one handler of
// one loaded configuration: the token outlives a reload, what an older
// configuration made of it must not.

// SlotKey names a slot: the handler, by the number that NextHandlerID gave it,
// and the configuration that it belongs to, by App.Generation.
type SlotKey struct {
	Generation uint64
	Handler    uint64
}

type slot struct {
	key   SlotKey
	value any
}

var lastHandlerID atomic.Uint64

// NextHandlerID returns a number that no other handler of this process has.
func NextHandlerID() uint64 {
	return lastHandlerID.Add(1)
}

// Slot returns what SetSlot kept under the key, nil if there is nothing. It
// takes no lock.
func (t *Token) Slot(key SlotKey) any {
	slots := t.slots.Load()
	if slots == nil {
		return nil
	}
	for i := range *slots {
		if (*slots)[i].key == key {
			return (*slots)[i].value
		}
	}
	return nil
}

// SetSlot keeps a value for Slot and drops the slots of older generations. A
// value of a generation that is itself older than what is kept is not taken:
// a request that began before a reload may end after it.
func (t *Token) SetSlot(key SlotKey, value any) {
	for {
		old := t.slots.Load()
		next, ok := withSlot(old, slot{key, value})
		if !ok || t.slots.CompareAndSwap(old, &next) {
			return
		}
	}
}

func withSlot(old *[]slot, added slot) (slots []slot, ok bool) {
	if old == nil {
		return []slot{added}, true
	}
	slots = make([]slot, 0, len(*old)+1)
	for _, s := range *old {
		if s.key.Generation > added.key.Generation {
			return nil, false
		}
		if s.key.Generation == added.key.Generation && s.key != added.key {
			slots = append(slots, s)
		}
	}
	return append(slots, added), true
}
