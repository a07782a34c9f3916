// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/caddy-gluu/gateway/internal/store"
)

// AuthorizationRequest is what a client asks a person for, checked.
type AuthorizationRequest struct {
	ClientID     string   `json:"client_id"`
	RedirectURI  string   `json:"redirect_uri"`
	Asked        bool     `json:"asked,omitempty"` // the client has named the redirect URI
	ResponseType string   `json:"response_type"`
	ResponseMode string   `json:"response_mode,omitempty"`
	State        string   `json:"state,omitempty"`
	Scopes       []string `json:"scopes,omitempty"`
	Resources    []string `json:"resources,omitempty"`
	Challenge    string   `json:"challenge,omitempty"`
	Nonce        string   `json:"nonce,omitempty"`
	LoginHint    string   `json:"login_hint,omitempty"`
	Subject      string   `json:"subject,omitempty"` // of the id_token_hint: for this person alone
	Prompt       []string `json:"prompt,omitempty"`
	MaxAge       *int64   `json:"max_age,omitempty"` // in seconds
	ACRValues    []string `json:"acr_values,omitempty"`
	UILocales    string   `json:"ui_locales,omitempty"`
}

// Challenge is an authorization request that waits for a person.
type Challenge struct {
	Request AuthorizationRequest `json:"request"`

	Issuer string `json:"issuer"`

	// Browser is the SHA-256 of the cookie of the browser that asked: no other one
	// gets the code.
	Browser TokenID `json:"browser"`

	// Subject is who was asked, if that is known from the start.
	Subject string `json:"subject,omitempty"`

	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`

	// Answer is what the login application, or the consent page, has answered.
	Answer *Answer `json:"answer,omitempty"`

	version uint64
}

// Answer is what a person decided.
type Answer struct {
	// Error is the error code for the client if the person, or the application,
	// said no.
	Error       string `json:"error,omitempty"`
	Description string `json:"error_description,omitempty"`

	Subject  string                     `json:"subject,omitempty"`
	Scopes   []string                   `json:"scopes,omitempty"`
	ACR      string                     `json:"acr,omitempty"`
	AuthTime time.Time                  `json:"auth_time,omitzero"`
	Remember bool                       `json:"remember,omitempty"`
	Claims   map[string]json.RawMessage `json:"claims,omitempty"`
}

// OpenChallenge stores a challenge and returns its text, which names it in URLs.
func (s *Store) OpenChallenge(ctx context.Context, c *Challenge, ttl time.Duration) (string, error) {
	text := RandomText(TokenBytes)
	c.Created = s.now()
	c.Expires = c.Created.Add(ttl)
	r, err := challengeRecord(c, text)
	if err != nil {
		return "", err
	}
	return text, s.records.Commit(ctx, store.Create(r))
}

func challengeRecord(c *Challenge, text string) (store.Record, error) {
	id := NewTokenID("challenge", c.Issuer, text)
	return record(challengeKind, id[:], c, c.Expires.Add(expiredChallenge), c.version)
}

// expiredChallenge is how long it is known of a challenge that it has expired.
const expiredChallenge = time.Hour

// Challenge returns the challenge that a text names, ErrExpired if its time is over, or
// ErrNotFound.
func (s *Store) Challenge(ctx context.Context, issuer, text string) (*Challenge, error) {
	if text == "" || len(text) > maxChallenge {
		return nil, ErrNotFound
	}
	id := NewTokenID("challenge", issuer, text)
	c := new(Challenge)
	found, err := s.read(ctx, challengeKind, id[:], c)
	if err != nil {
		return nil, err
	}
	c.version = found.Version
	if !s.now().Before(c.Expires) {
		return nil, ErrExpired
	}
	return c, nil
}

const maxChallenge = 256

// AnswerChallenge stores the answer, once: a second one is a fault.
func (s *Store) AnswerChallenge(ctx context.Context, text string, c *Challenge, answer *Answer) error {
	answered := fault(InvalidRequest, ReasonChallengeAnswered, "the login was answered before")
	if c.Answer != nil {
		return answered
	}
	withAnswer := *c
	withAnswer.Answer = answer
	r, err := challengeRecord(&withAnswer, text)
	if err != nil {
		return err
	}
	if err := s.records.Commit(ctx, store.Replace(r)); !errors.Is(err, store.ErrConflict) {
		return err
	}
	return answered
}

// Close returns the operation that ends a challenge, for the Commit that issues a code: of
// many that do so at the same moment one wins.
func (c *Challenge) Close(text string) Op {
	id := NewTokenID("challenge", c.Issuer, text)
	return Op{store.Remove(store.Record{Kind: challengeKind, Key: id[:], Version: c.version})}
}

// CloseChallenge ends a challenge without a code. ErrChanged says that another was first.
func (s *Store) CloseChallenge(ctx context.Context, text string, c *Challenge) error {
	return changed(s.records.Commit(ctx, c.Close(text).op))
}
