// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/caddy-gluu/gateway/internal/seal"
)

// Attempt is one login under way: everything that the way back from the OpenID
// Provider is checked against. There are as many as a person has tabs that log
// in; none knows of the others.
//
// State, nonce and code verifier are derived from one random seed, which only
// the sealed cookie holds. Each has 256 bits, and none tells anything of the
// others.
type Attempt struct {
	// Handler identifies the handler and its provider. An attempt of one
	// handler ends at no other.
	Handler string

	// ReturnTo is the path and query that the person wanted, as they were sent.
	ReturnTo string

	// ACRs and MaxAge are what the login was asked for: the authentication
	// contexts, and the age in seconds, 0 if it does not matter.
	ACRs   []string
	MaxAge int64

	// Round counts how often the same requirement was asked for.
	Round int

	// Silent says that the OpenID Provider was told to show nothing
	// (prompt=none).
	Silent bool

	// Session is the [Session.Tag] of the session that is renewed or stepped up,
	// "" at a new login.
	Session string

	// Post names the request body that waits on the server, "" if none does.
	Post string

	// Started is when the attempt began.
	Started time.Time

	seed []byte
}

const (
	// AttemptAge is how long a login may take.
	AttemptAge = 10 * time.Minute

	// MaxReturnTo is the length in bytes of the longest address that is
	// returned to in full. The query of a longer one is lost.
	MaxReturnTo = 2304

	seedSize       = 32
	attemptPurpose = "login attempt"
)

// ErrAttempt says that a text is not an attempt of this gateway for this state,
// or one that took too long.
var ErrAttempt = errors.New("not a login that was started here")

// NewAttempt gives an attempt its secrets.
func NewAttempt(a Attempt) *Attempt {
	a.seed = make([]byte, seedSize)
	rand.Read(a.seed) // never fails, see crypto/rand
	return &a
}

// State is the value of the authorization request's parameter of that name.
func (a *Attempt) State() string { return a.derive("state") }

// Nonce is what the ID token must repeat.
func (a *Attempt) Nonce() string { return a.derive("nonce") }

// Verifier is the PKCE code verifier (RFC 7636, section 4.1).
func (a *Attempt) Verifier() string { return a.derive("code verifier") }

// Challenge is the S256 code challenge (RFC 7636, section 4.2).
func (a *Attempt) Challenge() string {
	sum := sha256.Sum256([]byte(a.Verifier()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (a *Attempt) derive(name string) string {
	mac := hmac.New(sha256.New, a.seed)
	mac.Write([]byte(name))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Name is what a cookie with the attempt of a state is called, apart from its
// prefix. The state cannot be derived from the name.
func Name(state string) string {
	sum := sha256.Sum256([]byte("login cookie\x00" + state))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// sealedAttempt is an attempt as it is sealed: short names, because it has to
// fit into a cookie.
type sealedAttempt struct {
	Seed     []byte   `json:"s"`
	Handler  string   `json:"h"`
	ReturnTo string   `json:"u"`
	ACRs     []string `json:"a,omitempty"`
	MaxAge   int64    `json:"m,omitempty"`
	Round    int      `json:"r,omitempty"`
	Silent   bool     `json:"q,omitempty"`
	Session  string   `json:"b,omitempty"`
	Post     string   `json:"p,omitempty"`
	Started  int64    `json:"t"`
}

// Seal returns the attempt as the value of a cookie.
func (a *Attempt) Seal(s *seal.Sealer) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // \u0026 for each & of a query would not fit
	err := encoder.Encode(sealedAttempt{
		Seed: a.seed, Handler: a.Handler, ReturnTo: a.ReturnTo, ACRs: a.ACRs, MaxAge: a.MaxAge,
		Round: a.Round, Silent: a.Silent, Session: a.Session, Post: a.Post, Started: a.Started.Unix(),
	})
	if err != nil {
		return "", err
	}
	sealed := s.Seal(text.Bytes(), attemptPurpose, []byte(Name(a.State())))
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// OpenAttempt opens the attempt of a state. The error is ErrAttempt whatever is
// wrong with it: someone who tries values must not learn which part was right.
func OpenAttempt(s *seal.Sealer, state, cookie string, now time.Time) (*Attempt, error) {
	a, err := PeekAttempt(s, Name(state), cookie)
	if err != nil || subtle.ConstantTimeCompare([]byte(a.State()), []byte(state)) != 1 {
		return nil, ErrAttempt
	}
	if age := now.Sub(a.Started); age > AttemptAge || age < -time.Minute {
		return nil, ErrAttempt
	}
	return a, nil
}

// PeekAttempt opens the attempt in the cookie of a name (see [Name]) without
// the state, to see how old it is. Nothing may be decided on it.
func PeekAttempt(s *seal.Sealer, name, cookie string) (*Attempt, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil {
		return nil, ErrAttempt
	}
	text, err := s.Open(sealed, attemptPurpose, []byte(name))
	if err != nil {
		return nil, ErrAttempt
	}
	var p sealedAttempt
	if err := json.Unmarshal(text, &p); err != nil || len(p.Seed) != seedSize {
		return nil, ErrAttempt
	}
	return &Attempt{
		Handler: p.Handler, ReturnTo: p.ReturnTo, ACRs: p.ACRs, MaxAge: p.MaxAge, Round: p.Round,
		Silent: p.Silent, Session: p.Session, Post: p.Post, Started: time.Unix(p.Started, 0), seed: p.Seed,
	}, nil
}
