// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"time"

	"github.com/caddy-gluu/gateway/internal/store"
)

// Code is an authorization code: a grant that has not begun, and what it is bound to.
type Code struct {
	Grant Grant `json:"grant"`

	// RedirectURI is where the code was sent; Asked says that the client has named
	// it, and so has to name it again (RFC 6749 section 4.1.3).
	RedirectURI string `json:"redirect_uri,omitempty"`
	Asked       bool   `json:"asked,omitempty"`

	// Challenge is the S256 code challenge (RFC 7636), "" if there is none.
	Challenge string `json:"challenge,omitempty"`

	// UsedAs is the ID of the grant that began with the code.
	UsedAs string    `json:"used_as,omitempty"`
	Issued time.Time `json:"issued"`

	version uint64
}

// usedCode is how long it is remembered that a code was used: who brings it again
// ends the grant.
const usedCode = 24 * time.Hour

// IssueCode stores a code and returns its text.
func (s *Store) IssueCode(ctx context.Context, c *Code, ttl time.Duration, newText func() string, with ...Op) (string, error) {
	text := Terms{NewText: newText}.newText()
	c.Issued = s.now()
	id := codeID(c.Grant.Issuer, text)
	r, err := record(codeKind, id[:], c, c.Issued.Add(ttl), 0)
	if err != nil {
		return "", err
	}
	ops := []store.Op{store.Create(r)}
	for _, op := range with {
		ops = append(ops, op.op)
	}
	return text, changed(s.records.Commit(ctx, ops...))
}

// Op is a further operation of a Commit.
type Op struct{ op store.Op }

// Redemption is how a client redeems a code.
type Redemption struct {
	Issuer   string
	Service  string
	ClientID string // of the client, authenticated

	// OwnService refuses a code that is good for every service, unless Service is "*" too.
	OwnService bool

	RedirectURI string // "" if it was not sent
	Verifier    string // "" if it was not sent

	// Resources narrow what the access token is for; none: all of the grant.
	Resources []string

	// RequireChallenge refuses a code whose authorization request had no code
	// challenge, because the client has to use PKCE.
	RequireChallenge bool

	// Refuse is why the request is refused whatever the code is, nil if it is not.
	// Only that the code was used before goes first.
	Refuse error

	// Accept looks at the grant that is about to begin and returns the terms of
	// its tokens, or why it must not begin.
	Accept func(*Grant) (Terms, error)
}

// RedeemCode redeems a code, in one Commit with all that is issued for it. Of many that
// do so at the same moment one wins. A code that is not this client's, or comes with
// a wrong redirect URI or verifier, stays usable by its owner. A second redemption by the same client
// ends the grant.
func (s *Store) RedeemCode(ctx context.Context, text string, by Redemption) (*Tokens, error) {
	for range attempts {
		tokens, err := s.redeemCode(ctx, text, by)
		if !errors.Is(err, ErrChanged) {
			return tokens, err
		}
	}
	return nil, errContention
}

var errContention = errors.New("too many do the same at the same moment")

func (s *Store) redeemCode(ctx context.Context, text string, by Redemption) (*Tokens, error) {
	c, id, err := s.code(ctx, text, by)
	if err != nil {
		return nil, refusal(by.Refuse, err)
	}
	if c.UsedAs != "" {
		return nil, s.endReused(ctx, c.UsedAs, c.Issued, fault(InvalidGrant, ReasonCodeReused, "the code was used before"))
	}
	if by.Refuse != nil {
		return nil, by.Refuse
	}
	if err := c.matches(by); err != nil {
		return nil, err
	}
	grant := c.Grant
	if !isSubset(by.Resources, grant.Resources) {
		return nil, fault(InvalidTarget, ReasonTarget, "a resource is not one of those that were granted")
	}
	terms, err := by.Accept(&grant)
	if err != nil {
		return nil, err
	}
	grant.ID = RandomText(16)
	used := Code{Grant: Grant{Issuer: grant.Issuer, Service: grant.Service, ClientID: grant.ClientID}, UsedAs: grant.ID, Issued: c.Issued}
	r, err := record(codeKind, id[:], used, s.now().Add(usedCode), c.version)
	if err != nil {
		return nil, err
	}
	return s.startGrant(ctx, &grant, by.Resources, terms, store.Replace(r))
}

// refusal is why a request is refused that is refused anyway. A failure of the store stays
// one: it is not known then whether there was a reuse.
func refusal(anyway, err error) error {
	if _, refused := errors.AsType[*Fault](err); refused && anyway != nil {
		return anyway
	}
	return err
}

// code reads the code that a client brings, unless it is another one's.
func (s *Store) code(ctx context.Context, text string, by Redemption) (*Code, TokenID, error) {
	unknown := fault(InvalidGrant, ReasonCodeUnknown, "the code is unknown or has expired")
	if text == "" || len(text) > MaxToken {
		return nil, TokenID{}, unknown
	}
	id := codeID(by.Issuer, text)
	c := new(Code)
	found, err := s.read(ctx, codeKind, id[:], c)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, id, unknown
	case err != nil:
		return nil, id, err
	case c.Grant.ClientID != by.ClientID:
		return nil, id, fault(InvalidGrant, ReasonForeignClient, "the code was issued to another client")
	case !IsGoodAt(c.Grant.Service, by.Service, by.OwnService):
		return nil, id, fault(InvalidGrant, ReasonForeignService, "the code was issued for another service")
	}
	c.version = found.Version
	return c, id, nil
}

// matches checks what the code is bound to. A client that has proved by the verifier
// that the code is its own need not repeat the redirect URI (OAuth 2.1); one that does
// has to repeat it exactly.
func (c *Code) matches(by Redemption) error {
	if by.RedirectURI != "" && by.RedirectURI != c.RedirectURI || by.RedirectURI == "" && c.Asked && c.Challenge == "" {
		return fault(InvalidGrant, ReasonRedirectURI, "redirect_uri is not the one of the authorization request")
	}
	switch {
	case c.Challenge == "" && by.RequireChallenge:
		return fault(InvalidGrant, ReasonVerifierMissing, "the authorization request had no code_challenge, which this client needs")
	case c.Challenge == "" && by.Verifier != "":
		// An attacker may have removed the challenge (RFC 9700 section 4.8.2).
		return fault(InvalidRequest, ReasonVerifierUnwanted, "there is a code_verifier, and the authorization request had no code_challenge")
	case c.Challenge != "" && by.Verifier == "":
		return fault(InvalidGrant, ReasonVerifierMissing, "the code_verifier is missing")
	case c.Challenge != "" && !VerifierMatches(c.Challenge, by.Verifier):
		return fault(InvalidGrant, ReasonVerifier, "the code_verifier does not belong to the code_challenge")
	}
	return nil
}

// VerifierMatches reports whether a code verifier belongs to an S256 challenge (RFC 7636
// section 4.6).
func VerifierMatches(challenge, verifier string) bool {
	sum := sha256.Sum256([]byte(verifier))
	computed := base64.RawURLEncoding.EncodeToString(sum[:])
	return isUnreserved(verifier) && len(verifier) >= 43 && len(verifier) <= 128 &&
		subtle.ConstantTimeCompare([]byte(computed), []byte(challenge)) == 1
}

// CheckChallenge checks code_challenge and code_challenge_method. Only S256 is served: a
// plain challenge is the verifier, to be read on its way.
func CheckChallenge(challenge, method string) error {
	switch {
	case challenge == "" && method == "":
		return nil
	case challenge == "":
		return fault(InvalidRequest, ReasonChallengeMethod, "there is a code_challenge_method and no code_challenge")
	case method != "S256":
		return fault(InvalidRequest, ReasonChallengeMethod, "code_challenge_method must be S256")
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	if err != nil || len(decoded) != sha256.Size {
		return fault(InvalidRequest, ReasonChallengeMethod, "code_challenge is not the base64url of a SHA-256")
	}
	return nil
}

func isUnreserved(text string) bool {
	for _, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' && c != '~' {
			return false
		}
	}
	return true
}

// endReused ends a grant because a token of it was used twice, and returns the fault with
// what the log needs.
func (s *Store) endReused(ctx context.Context, grantID string, issued time.Time, f *Fault) error {
	f.Age = s.now().Sub(issued)
	g, err := s.Grant(ctx, grantID)
	if errors.Is(err, ErrNotFound) {
		return f // it has ended already
	}
	if err != nil {
		return err
	}
	f.Grant = g
	if err := s.EndGrant(ctx, grantID); err != nil {
		return err
	}
	return f
}
