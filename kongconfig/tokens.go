// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// Token is a token of Kong's plugin oauth2, in the words in which the admin API of the
// gateway imports one.
type Token struct {
	// Line is where it is in the file.
	Line int `json:"-"`

	Credential   Credential `json:"credential"`
	Service      *Service   `json:"service,omitempty"` // nil: all services
	AccessToken  string     `json:"access_token,omitempty"`
	RefreshToken string     `json:"refresh_token,omitempty"`
	Scope        string     `json:"scope,omitempty"`
	UserID       string     `json:"authenticated_userid,omitempty"`

	CreatedAt        int64 `json:"created_at"`                   // seconds since 1970
	ExpiresIn        int64 `json:"expires_in"`                   // seconds from CreatedAt on; 0: never
	RefreshExpiresIn int64 `json:"refresh_expires_in,omitempty"` // likewise
}

// Credential names the client of a token.
type Credential struct {
	ClientID string `json:"client_id"`
}

// Service names the service that a token is good for.
type Service struct {
	ID string `json:"id"`
}

// defaultRefreshTTL is what Kong's plugin has if it says nothing, in seconds: 14 days.
const defaultRefreshTTL = 1209600

// Tokens returns the tokens of a declarative file, in its order. An error names all
// tokens that cannot be imported; a file whose other entities the adapter refuses is
// refused here too, because it would not run.
func (a Adapter) Tokens(body []byte, name string) ([]Token, []caddyconfig.Warning, error) {
	p := &problems{file: filepath.Base(cmp.Or(name, "kong.yml"))}
	root, err := parse(body)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p.file, withoutYAML(err))
	}
	getenv := a.Getenv
	if getenv == nil {
		getenv = os.Getenv
	}
	f := readFile(root, readSettings(getenv, p), p)
	var tokens []Token
	p.warnings = nil // the adapter says those
	for _, t := range f.tokens {
		if token, ok := f.token(t); ok {
			tokens = append(tokens, token)
		}
	}
	if err := p.err(); err != nil {
		return nil, nil, err
	}
	return tokens, p.list(), nil
}

// oauth2Token is a token as it was read.
type oauth2Token struct {
	o                         *object
	credential                *oauth2Credential
	credentialRef, serviceRef string
	Token
}

// readOAuth2Token reads a token. The adapter leaves it out: a configuration is
// written to files and shown, and a token is a secret.
func (f *file) readOAuth2Token(o *object, parent any, _ int) {
	if !f.tokensWarned {
		o.p.warnf(aboutTheRest, at{o.entity, "", o.line}, "tokens are not part of a configuration: write them into the store with caddy gluu import-tokens, or clients get new ones")
	}
	f.tokensWarned = true
	t := &oauth2Token{o: o, credentialRef: reference(o, "credential"), serviceRef: reference(o, "service")}
	t.credential, _ = parent.(*oauth2Credential)
	t.Token = Token{
		Line: o.line, AccessToken: o.str("access_token"), RefreshToken: o.str("refresh_token"), Scope: o.str("scope"), UserID: o.str("authenticated_userid"),
		ExpiresIn: int64(o.number("expires_in", 0, -1)), CreatedAt: int64(o.number("created_at", 0, 0)),
	}
	o.oneOf("token_type", "bearer", "Bearer")
	o.ignore("id", "ttl", "api")
	f.tokens = append(f.tokens, t)
}

// millisecondsFrom is where times in milliseconds begin, as the first versions of
// Kong wrote them: in seconds it is the year 5138.
const millisecondsFrom = 100_000_000_000

// token returns a token to import, and whether it can be.
func (f *file) token(t *oauth2Token) (Token, bool) {
	errs := len(t.o.p.errs)
	if t.credential == nil {
		if t.credentialRef == "" {
			t.o.errorf("credential", "is required: name the credential that the token was issued to")
		}
		t.credential = lookup[*oauth2Credential](f, t.o, "credential", "oauth2_credentials", t.credentialRef)
	}
	token := t.Token
	if service := lookup[*service](f, t.o, "service", "services", t.serviceRef); service != nil {
		token.Service = &Service{service.id}
	}
	switch {
	case token.AccessToken == "":
		t.o.errorf("access_token", "is required: Kong would make a new one, which no client has")
	case token.ExpiresIn < 0:
		t.o.errorf("expires_in", "is required: write the seconds from created_at on, or 0 for a token that does not expire")
	case token.CreatedAt == 0 && token.ExpiresIn > 0:
		t.o.errorf("created_at", "is required: without it an expired token would be good again")
	}
	if token.CreatedAt >= millisecondsFrom {
		token.CreatedAt /= 1000
	}
	if token.RefreshToken != "" {
		token.RefreshExpiresIn = f.refreshTTL(token.Service)
	}
	if len(t.o.p.errs) > errs {
		return Token{}, false
	}
	token.Credential.ClientID = t.credential.clientID
	return token, true
}

// refreshTTL is how long refresh tokens for a service live: what its plugin says, or
// what the one for all services says.
func (f *file) refreshTTL(s *Service) int64 {
	ttl := int64(defaultRefreshTTL)
	for _, p := range f.plugins {
		if p.name != "oauth2" || !p.enabled || !p.config.has("refresh_token_ttl") {
			continue
		}
		configured := int64(p.config.number("refresh_token_ttl", 0, defaultRefreshTTL))
		switch {
		case p.service != nil && s != nil && p.service.id == s.ID:
			return configured
		case p.service == nil && p.route == nil:
			ttl = configured
		}
	}
	return ttl
}
