// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"

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
func (s StaticKeys) Key(_ context.Context, kid, alg string) (jose.Key, error) {
	key, err := s.find(kid, alg)
	if err != nil {
		return jose.Key{}, token.Refuse(token.Invalid, "%w", err)
	}
	return key, nil
}

// find returns the one key that is meant. A server may publish a key more than
// once, for example for two algorithms; it is still one key.
func (s StaticKeys) find(kid, alg string) (jose.Key, error) {
	var found jose.Key
	err := ErrUnknownKey
	for _, key := range s {
		if kid != "" && key.ID() != kid {
			continue
		}
		switch {
		case !key.Fits(alg):
			if kid != "" && errors.Is(err, ErrUnknownKey) {
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
