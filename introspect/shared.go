// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
)

// A second level behind the cache of this process lets gateways share what
// they have verified. It is asked for a token that is new here, before the
// authorization server is, and told of every token that was verified. It never
// decides anything: without it, or while it is away, everything works the
// same and costs more introspections.

// sharedStore is the second level. An implementation derives its keys from
// recordID under a secret, seals the records, and answers with a miss whatever
// goes wrong.
type sharedStore interface {
	// name returns what the token is called when it is revoked elsewhere.
	name(token string) tokenName

	// get returns a record that has not been revoked, and in any case since
	// when this gateway will have known about the token: to be handed to set.
	get(ctx context.Context, id recordID) (record []byte, since position, ok bool)

	// set keeps a record for a while. The token is what the record says.
	set(ctx context.Context, id recordID, since position, record []byte, token *Token, lifetime time.Duration)

	// evict forgets what was selected, on all gateways.
	evict(ctx context.Context, what selection) error

	// status is for the operator.
	status() *SharedStatus

	// close ends what the store does in the background.
	close()
}

// SharedStatus is the state of the cache that gateways share, for the operator.
type SharedStatus struct {
	Address   string `json:"address"`
	State     string `json:"state"`
	Waiting   int    `json:"waiting_revocations"` // not yet told to the other gateways
	LastError string `json:"last_error,omitempty"`
}

const (
	sharedOK   = "ok"
	sharedAway = "away" // each gateway works on its own
)

// recordID is what a record is stored under.
type recordID struct {
	settings digest // everything that shapes the answer, the same on all gateways
	token    string
}

// selection says which tokens to forget.
type selection struct {
	kind  selectionKind
	value string
}

type selectionKind int

const (
	allTokens selectionKind = iota
	tokensOfClient
	tokensOfSubject
	oneToken
)

func (s selection) matches(t *Token) bool {
	switch s.kind {
	case allTokens:
		return true
	case tokensOfClient:
		return t.ClientID == s.value
	case tokensOfSubject:
		return t.Subject == s.value
	}
	return false
}

// answerDigest identifies what shapes the answers of a provider. Gateways that
// agree in this much have the same opinion of a token; where their files are
// and how patient they are does not matter.
func answerDigest(name string, c *ProviderConfig, clientID string) digest {
	text, err := json.Marshal([]any{
		"v1", name, c.Issuer, clientID, c.Verify, c.Algorithms, c.Audience,
		c.IntrospectionEndpoint, c.JWKSURI, c.EndpointHosts, c.IntrospectionSigned,
	})
	if err != nil {
		panic(fmt.Sprintf("settings of provider %s: %v", name, err)) // strings and lists of them
	}
	return sha256.Sum256(text)
}

// record is a verified token as it is shared.
type record struct {
	VerifiedAt   int64           `json:"at"` // seconds since 1970: max_age counts from here everywhere
	Subject      string          `json:"sub,omitempty"`
	ClientID     string          `json:"client,omitempty"`
	Scopes       []string        `json:"scopes,omitempty"`
	ExpiresAt    int64           `json:"exp,omitempty"`
	JWT          bool            `json:"jwt,omitempty"`
	Confirmation *Confirmation   `json:"cnf,omitempty"`
	Claims       json.RawMessage `json:"claims"`
}

func encodeRecord(t *Token, verifiedAt time.Time) ([]byte, error) {
	r := record{
		VerifiedAt: verifiedAt.Unix(), Subject: t.Subject, ClientID: t.ClientID, Scopes: t.Scopes,
		JWT: t.JWT, Confirmation: t.Confirmation, Claims: t.ClaimsJSON,
	}
	if !t.ExpiresAt.IsZero() {
		r.ExpiresAt = t.ExpiresAt.Unix()
	}
	return json.Marshal(r)
}

// decodeRecord returns the token of a record that was written by a gateway
// with the same settings.
func (v *verifier) decodeRecord(text []byte) (token *Token, verifiedAt time.Time, err error) {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, time.Time{}, err
	}
	token = &Token{
		Issuer: v.server.config.Issuer, Subject: r.Subject, ClientID: r.ClientID, Scopes: r.Scopes,
		JWT: r.JWT, Confirmation: r.Confirmation, ClaimsJSON: r.Claims,
	}
	if r.ExpiresAt != 0 {
		token.ExpiresAt = time.Unix(r.ExpiresAt, 0)
	}
	return token, time.Unix(r.VerifiedAt, 0), nil
}

func (v *verifier) recordID(raw string) recordID {
	s := v.server
	return recordID{answerDigest(s.name, &s.config, s.clientID()), raw}
}

// isShared reports whether gateways tell each other of this token. One whose
// signature says it all is verified in less time than it takes to ask.
func (p *Provider) isShared(sent *presented) bool {
	return p.cache.shared != nil && !p.verifier.verifiesLocally(sent)
}

// fromShared returns the token if another gateway has verified it and what it
// found still holds.
func (p *Provider) fromShared(ctx context.Context, sent *presented) (token *Token, verifiedAt time.Time, since position) {
	if !p.isShared(sent) {
		return nil, time.Time{}, position{}
	}
	v := p.verifier
	text, since, ok := p.cache.shared.get(ctx, v.recordID(sent.raw))
	if !ok {
		return nil, time.Time{}, since
	}
	token, verifiedAt, err := v.decodeRecord(text)
	now := v.server.now()
	fresh, _ := p.cache.lifetimes(token, verifiedAt, 0)
	if err != nil || verifiedAt.After(now.Add(jwtcheck.Leeway)) || !now.Before(fresh) {
		return nil, time.Time{}, since
	}
	return token, verifiedAt, since
}

// toShared tells the other gateways of a token.
func (p *Provider) toShared(ctx context.Context, sent *presented, since position, token *Token, verifiedAt time.Time) {
	shared := p.cache.shared
	if !p.isShared(sent) || len(token.ClaimsJSON) > maxCachedClaims {
		return
	}
	fresh, _ := p.cache.lifetimes(token, verifiedAt, 0)
	text, err := encodeRecord(token, verifiedAt)
	if lifetime := fresh.Sub(verifiedAt); err == nil && lifetime > 0 {
		shared.set(ctx, p.verifier.recordID(sent.raw), since, text, token, lifetime)
	}
}
