// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"context"
	"encoding/json"
	"time"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/internal/token"
)

// The second level is asked for a token that is new here, before the
// authorization server is, and told of every token that was verified.

// sharedStore is the second level. An implementation derives its keys from a
// RecordID under a secret, seals the records, and answers with a miss whatever
// goes wrong.
type sharedStore interface {
	// name returns what the token is called when it is revoked elsewhere.
	name(raw string) tokenName

	// get returns a record that has not been revoked, and in any case the
	// position that this gateway has in the log of revocations: set wants it.
	get(ctx context.Context, id RecordID) (record []byte, since Position, ok bool)

	// set keeps a record for a while. The token is what the record says.
	set(ctx context.Context, id RecordID, since Position, record []byte, t *token.Token, lifetime time.Duration)

	// forget forgets what was selected, on all gateways.
	forget(ctx context.Context, what Selection) error

	// status is for the operator.
	status() *SharedStatus

	// close ends what the store does in the background.
	close()
}

// RecordID is what a record is stored under.
type RecordID struct {
	Settings [32]byte // a digest of all that shapes the answer, the same on all gateways
	Token    string
}

// SharedName returns what identifies a token among the gateways that share a
// cache, zero if none is shared. See token.Token.SharedName.
func (c *Cache) SharedName(raw string) [16]byte {
	if c.shared == nil {
		return [16]byte{}
	}
	return c.shared.name(raw)
}

// Fetch returns the token if another gateway has verified it and its finding
// still holds, else nil. The provider and the issuer of the token are the
// caller's to set. In any case it returns the position to hand to Share.
func (c *Cache) Fetch(ctx context.Context, id RecordID, now time.Time) (t *token.Token, verifiedAt time.Time, since Position) {
	text, since, ok := c.shared.get(ctx, id)
	if !ok {
		return nil, time.Time{}, since
	}
	t, verifiedAt, err := decodeRecord(text)
	fresh, _ := c.lifetimes(t, verifiedAt, 0)
	if err != nil || verifiedAt.After(now.Add(jwtcheck.Leeway)) || !now.Before(fresh) {
		return nil, time.Time{}, since
	}
	return t, verifiedAt, since
}

// Share tells the other gateways of a token, with the position from before it
// was verified.
func (c *Cache) Share(ctx context.Context, id RecordID, since Position, t *token.Token, verifiedAt time.Time) {
	if len(t.ClaimsJSON) > MaxClaims {
		return
	}
	fresh, _ := c.lifetimes(t, verifiedAt, 0)
	text, err := encodeRecord(t, verifiedAt)
	if lifetime := fresh.Sub(verifiedAt); err == nil && lifetime > 0 {
		c.shared.set(ctx, id, since, text, t, lifetime)
	}
}

// record is a verified token as it is shared.
type record struct {
	VerifiedAt   int64               `json:"at"` // seconds since 1970: max_age counts from here everywhere
	Issuer       string              `json:"iss,omitempty"`
	Subject      string              `json:"sub,omitempty"`
	ClientID     string              `json:"client,omitempty"`
	Scopes       []string            `json:"scopes,omitempty"`
	ExpiresAt    int64               `json:"exp,omitempty"`
	JWT          bool                `json:"jwt,omitempty"`
	Confirmation *token.Confirmation `json:"cnf,omitempty"`
	Claims       json.RawMessage     `json:"claims"`
}

func encodeRecord(t *token.Token, verifiedAt time.Time) ([]byte, error) {
	r := record{
		VerifiedAt: verifiedAt.Unix(), Issuer: t.Issuer, Subject: t.Subject, ClientID: t.ClientID, Scopes: t.Scopes,
		JWT: t.JWT, Confirmation: t.Confirmation, Claims: json.RawMessage(t.ClaimsJSON),
	}
	if !t.ExpiresAt.IsZero() {
		r.ExpiresAt = t.ExpiresAt.Unix()
	}
	return json.Marshal(r)
}

// decodeRecord returns the token of a record that a gateway with the same
// settings wrote.
func decodeRecord(text []byte) (t *token.Token, verifiedAt time.Time, err error) {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, time.Time{}, err
	}
	t = &token.Token{
		Issuer: r.Issuer, Subject: r.Subject, ClientID: r.ClientID, Scopes: r.Scopes,
		JWT: r.JWT, Confirmation: r.Confirmation, ClaimsJSON: string(r.Claims),
	}
	if r.ExpiresAt != 0 {
		t.ExpiresAt = time.Unix(r.ExpiresAt, 0)
	}
	return t, time.Unix(r.VerifiedAt, 0), nil
}
