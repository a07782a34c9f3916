// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// StorageModule is what a Caddy module in the namespace
// gluu.oauth_server.storage implements: a place where the authorization server
// remembers what it has issued.
type StorageModule interface {
	caddy.Module

	// OpenStorage connects to the place. It is called when a configuration
	// starts, never when one is only validated: `caddy validate` must work
	// beside a running gateway that holds the same file. It is called
	// again for each new configuration, before the previous one has closed
	// its storage. An error refuses the configuration.
	OpenStorage() (Storage, error)
}

// Storage remembers issued tokens. It is the seam between the embedded file
// and a database that several gateways share, so it asks for no more than any
// of them can do: records with a time to live, found by one key.
//
// A grant that has more to remember (authorization codes that are good once,
// refresh tokens that know their successors) brings an interface of its own
// for that. A server whose configuration asks for such a grant checks when it
// loads that its storage implements it; a storage that does not goes on
// working for the others.
//
// All methods are safe for concurrent use. What a method has changed is
// durable when it returns nil: it outlives the process, however that ends.
type Storage interface {
	// PutToken records a token, in the place of one with the same ID if
	// there is one. It returns ErrTooManyTokens when the token's client
	// holds as many as the storage keeps for one client.
	PutToken(ctx context.Context, token *Token) error

	// Token returns the token with this ID, or ErrNoToken. Whether a token
	// that has expired is still found is up to the storage.
	Token(ctx context.Context, id TokenID) (*Token, error)

	// DeleteToken forgets the token with this ID; an unknown ID is not an
	// error.
	DeleteToken(ctx context.Context, id TokenID) error

	// Close releases what OpenStorage has taken.
	Close() error
}

var (
	// ErrNoToken says that a storage does not know a token.
	ErrNoToken = errors.New("no such token")

	// ErrTooManyTokens says that a client holds as many tokens that have
	// not expired as the storage keeps for one client.
	ErrTooManyTokens = errors.New("the client holds too many tokens that have not expired")
)

// Token is what is remembered of an issued access token.
type Token struct {
	ID        TokenID
	Issuer    string
	ClientID  string
	Subject   string
	Scopes    []string
	IssuedAt  time.Time // to the second
	ExpiresAt time.Time // to the second; from then on it is inactive

	// Revoked marks a JWT that was taken back. A JWT proves by its
	// signature that it was issued, so only its revocation is recorded; an
	// opaque token is good because it is recorded, and revoked by being
	// forgotten.
	Revoked bool
}

// TokenID is the SHA-256 under which a token is kept: who reads the storage
// cannot use what it finds.
type TokenID [sha256.Size]byte

// opaqueTokenID is the ID of an opaque access token of an issuer. The issuer
// is part of it, so servers that share a storage never take each other's
// tokens for their own.
func opaqueTokenID(issuer, token string) TokenID { return tokenID("access_token", issuer, token) }

// jwtTokenID is the ID of a JWT access token with this jti.
func jwtTokenID(issuer, jti string) TokenID { return tokenID("jti", issuer, jti) }

// tokenID hashes its parts, each with its length before it: no two different
// lists of parts are hashed alike.
func tokenID(parts ...string) (id TokenID) {
	hash := sha256.New()
	for _, part := range parts {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		hash.Write(length[:])
		hash.Write([]byte(part))
	}
	hash.Sum(id[:0])
	return id
}
