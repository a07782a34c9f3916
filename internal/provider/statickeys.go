// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"slices"

	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// Why a set has no key for a token. Each ends when the keys are fetched again.
var (
	ErrUnknownKey   = errors.New("the issuer has no such key")
	ErrUnfitKey     = errors.New("the key of this ID is for another algorithm")
	ErrAmbiguousKey = errors.New("more than one key of the issuer fits")
)

// StaticKeys is a jwtcheck.KeySet of keys that are never fetched.
type StaticKeys []jose.Key

// Key implements jwtcheck.KeySet.
func (s StaticKeys) Key(_ context.Context, name jose.KeyName, alg string) (jose.Key, error) {
	key, err := s.find(name, alg)
	if err != nil {
		return jose.Key{}, token.Refuse(token.Invalid, "%w", err)
	}
	return key, nil
}

// find returns the one key that is meant. A server may publish a key more than
// once, for example for two algorithms; it is still one key.
func (s StaticKeys) find(name jose.KeyName, alg string) (jose.Key, error) {
	var found jose.Key
	err := ErrUnknownKey
	isNamed := s.naming(name)
	for _, key := range s {
		if !isNamed(key) {
			continue
		}
		switch {
		case !key.Fits(alg):
			if name.KeyID != "" && errors.Is(err, ErrUnknownKey) {
				err = ErrUnfitKey
			}
		case err == nil && key.Thumbprint() != found.Thumbprint():
			return jose.Key{}, ErrAmbiguousKey
		default:
			found, err = key, nil
		}
	}
	return found, err
}

// naming returns which keys may be meant by a name: those of its key ID, else
// those of its certificate. A key that comes without a certificate may be that of
// any, but not where another key has the certificate.
func (s StaticKeys) naming(name jose.KeyName) func(jose.Key) bool {
	switch {
	case name.KeyID != "":
		return func(key jose.Key) bool { return key.ID() == name.KeyID }
	case !name.HasThumbprint():
		return func(jose.Key) bool { return true }
	case slices.ContainsFunc(s, func(key jose.Key) bool { return key.IsNamed(name) }):
		return func(key jose.Key) bool { return key.IsNamed(name) }
	}
	return func(key jose.Key) bool { return !key.HasCertificate() }
}
