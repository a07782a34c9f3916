// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Grants that a client can have.
const (
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
	GrantImplicit          = "implicit"
	GrantPassword          = "password"
)

// Ways in which a client authenticates (RFC 7591 section 2).
const (
	AuthBasic         = "client_secret_basic"
	AuthPost          = "client_secret_post"
	AuthPrivateKeyJWT = "private_key_jwt"
	AuthNone          = "none"
)

// IDTokenAlgs are the algorithms that ID tokens can be signed with. The first is the default,
// which every client has to know (OpenID Connect Core section 15.1).
func IDTokenAlgs() []string { return []string{"RS256", "ES256"} }

// CheckIDTokenAlg refuses what ID tokens cannot be signed with.
func CheckIDTokenAlg(alg string) error {
	if alg != "" && !slices.Contains(IDTokenAlgs(), alg) {
		return fmt.Errorf("id_token_signed_response_alg is %s, not %q", strings.Join(IDTokenAlgs(), " or "), alg)
	}
	return nil
}

// Client is a client of the server. Those of the configuration are never stored.
type Client struct {
	ID       string `json:"id"`        // of the record, a UUID
	ClientID string `json:"client_id"` // what the client calls itself
	Name     string `json:"name,omitempty"`

	// Consumer is the id of the consumer that the client is; several clients may
	// be the same one.
	Consumer string   `json:"consumer,omitempty"`
	Tags     []string `json:"tags,omitempty"`

	// Public says that the client can keep no secret.
	Public bool `json:"public,omitempty"`

	// Auth is how the client authenticates. "" is either of client_secret_basic
	// and client_secret_post, for clients of a server that did not distinguish.
	Auth string `json:"auth,omitempty"`

	Secrets []Secret        `json:"secrets,omitempty"`
	JWKS    json.RawMessage `json:"jwks,omitempty"`
	JWKSURI string          `json:"jwks_uri,omitempty"`

	Grants    []string `json:"grants,omitempty"`
	Scopes    []string `json:"scopes,omitempty"`
	Resources []string `json:"resources,omitempty"` // none: all of the server

	RedirectURIs           []string `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`

	TokenFormat string `json:"token_format,omitempty"` // "": the server's

	// IDTokenAlg is how its ID tokens are signed, one of IDTokenAlgs; "" is the first.
	IDTokenAlg string `json:"id_token_alg,omitempty"`

	Created time.Time `json:"created,omitzero"`
	Updated time.Time `json:"updated,omitzero"`

	// Registration is set if the client has registered itself.
	Registration *Registration `json:"registration,omitempty"`

	// Expires is when a client that has registered itself is forgotten unless it
	// is used; zero: never.
	Expires time.Time `json:"expires,omitzero"`

	// Configured says that the client is in the configuration, so it cannot be
	// changed at run time.
	Configured bool `json:"-"`

	// Fetched says that the client is a metadata document.
	Fetched bool `json:"-"`

	version uint64 // of the stored record
}

// Secret is the hash of a client secret. Two are valid while one is replaced.
type Secret struct {
	Hash    string    `json:"hash"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
}

// Registration is what a client has registered itself with (RFC 7591).
type Registration struct {
	Issuer string `json:"issuer"`

	// AccessToken is the SHA-256 of the registration access token (RFC 7592).
	AccessToken TokenID `json:"access_token"`

	// Metadata is what the client said about itself, as accepted.
	Metadata json.RawMessage `json:"metadata,omitempty"`

	// Digest names the metadata: who registers the same again gets the same
	// client.
	Digest string `json:"digest,omitempty"`
}

// IsSelfMade reports whether the client is there because it said so itself. What
// such a client says about itself is not to be trusted: consent is never
// skipped for it.
func (c *Client) IsSelfMade() bool { return c.Registration != nil || c.Fetched }

// HasGrant reports whether the client may use a grant.
func (c *Client) HasGrant(grant string) bool { return slices.Contains(c.Grants, grant) }

// ValidSecrets returns the hashes that are valid at a time.
func (c *Client) ValidSecrets(now time.Time) []string {
	var hashes []string
	for _, s := range c.Secrets {
		if s.Expires.IsZero() || now.Before(s.Expires) {
			hashes = append(hashes, s.Hash)
		}
	}
	return hashes
}
