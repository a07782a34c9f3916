// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-gluu/gateway/internal/strictjson"
)

// Key is a public key for verifying signatures. It has passed every check that can
// be made once. It is small, so copy it. The zero Key fits no algorithm.
type Key struct {
	id         string    // "kid"
	alg        string    // "alg", canonical; "" if the key does not say
	kty        string    // "RSA", "EC" or "OKP"
	crv        string    // "P-256", "P-384", "P-521", "Ed25519"; "" for RSA
	x5t        [2]string // thumbprints of its certificate, SHA-1 and SHA-256; "" if it has none
	thumbprint string
	public     crypto.PublicKey
	material   []strictjson.Member // kty, and what RFC 7638 names for it
}

// ID is the key's "kid", "" if it has none.
func (k Key) ID() string { return k.id }

// Thumbprint is the SHA-256 thumbprint of RFC 7638 in base64url, as in the
// "jkt" confirmation of RFC 9449.
func (k Key) Thumbprint() string { return k.thumbprint }

// Fits reports whether the key can verify signatures of this algorithm: its type
// and curve match, and if the key names an algorithm (RFC 7517 section 4.4) it is
// this one. No key fits "none" or an HMAC.
func (k Key) Fits(alg string) bool {
	a, ok := algorithms[alg]
	return ok && a.kty == k.kty && a.crv == k.crv && (k.alg == "" || k.alg == alg)
}

// WithID returns the key under this "kid".
func (k Key) WithID(kid string) Key {
	k.id = kid
	return k
}

// WithAlgorithm returns the key bound to one algorithm. It fails if the key has
// another type.
func (k Key) WithAlgorithm(alg string) (Key, error) {
	k.alg = ""
	if !k.Fits(alg) {
		return Key{}, fmt.Errorf("a key of type %q cannot be used with %q", k.describe(), alg)
	}
	k.alg = alg
	return k, nil
}

func (k Key) describe() string {
	if k.crv != "" {
		return k.kty + " " + k.crv
	}
	return k.kty
}

// MarshalJSON returns the key as a JWK (RFC 7517), with "use", and with "kid" and
// "alg" if they are known.
func (k Key) MarshalJSON() ([]byte, error) {
	if k.public == nil {
		return nil, errors.New("not a public key")
	}
	jwk := map[string]any{"use": "sig"}
	for _, m := range k.material {
		jwk[m.Name] = json.RawMessage(m.Value)
	}
	if k.id != "" {
		jwk["kid"] = k.id
	}
	if k.alg != "" {
		jwk["alg"] = k.alg
	}
	return json.Marshal(jwk)
}

// ParseKey reads one public key for signatures as a JWK. A private or symmetric
// key is refused: a signing key must never be published, and once it has been,
// its signatures prove nothing.
func ParseKey(jwk []byte) (Key, error) {
	if len(jwk) > maxKeyJSON {
		return Key{}, errors.New("key too large")
	}
	o, err := ParseObject(jwk)
	if err != nil {
		return Key{}, err
	}
	return parseKeyObject(o)
}

// parseKeyObject is ParseKey for a parsed object.
func parseKeyObject(o Object) (key Key, err error) {
	// Members of private and symmetric keys: RFC 7518 sections 6.2.2, 6.3.2 and
	// 6.4.
	if slices.ContainsFunc([]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}, o.Has) {
		return Key{}, errors.New("a private or symmetric key")
	}
	// RFC 7517 sections 4.2 and 4.3.
	use, err := o.Text("use")
	if err != nil {
		return Key{}, err
	}
	if use != "" && use != "sig" {
		return Key{}, errors.New("the key is not for signatures (use)")
	}
	if v, ok := o.Get("key_ops"); ok {
		ops, err := v.Texts()
		if err != nil {
			return Key{}, fmt.Errorf("key_ops: %w", err)
		}
		if !slices.Contains(ops, "verify") {
			return Key{}, errors.New("the key is not for verification (key_ops)")
		}
	}
	if key.kty, err = o.Text("kty"); err != nil {
		return Key{}, err
	}
	if key.id, err = o.Text("kid"); err != nil {
		return Key{}, err
	}
	alg, err := o.Text("alg")
	if err != nil {
		return Key{}, err
	}
	// A certificate that a key comes with (x5c) only names it: the key is trusted
	// because of where it was fetched from.
	key.x5t = certificateThumbprints(o)
	names := map[string][]string{
		"RSA": {"kty", "n", "e"},
		"EC":  {"kty", "crv", "x", "y"},
		"OKP": {"kty", "crv", "x"},
	}[key.kty]
	if names == nil {
		return Key{}, fmt.Errorf("unknown key type %.20q", key.kty)
	}
	for _, name := range names {
		v, ok := o.Get(name)
		if !ok || !v.IsText() {
			return Key{}, fmt.Errorf("the key has no %q", name)
		}
		key.material = append(key.material, strictjson.Member{Name: name, Value: v.raw})
	}
	if key.kty != "RSA" {
		if key.crv, err = o.Text("crv"); err != nil {
			return Key{}, err
		}
	}
	if key.public, key.thumbprint, err = decodePublic(key.material); err != nil {
		return Key{}, err
	}
	if alg == "" {
		return key, nil
	}
	if canonical, ok := Algorithm(alg); ok {
		alg = canonical
	}
	return key.WithAlgorithm(alg)
}

const (
	maxKeyJSON  = 64 << 10 // a key with a chain of certificates
	maxSetJSON  = 1 << 20
	maxSetKeys  = 500
	maxReported = 20
)

// KeySet is what an authorization server publishes at its jwks_uri.
type KeySet struct {
	Keys []Key
	// Ignored says why keys are missing from Keys, for a log; at most twenty.
	Ignored []error
}

// ParseKeySet reads a JWK Set (RFC 7517 section 5). Unusable keys are left out, as
// that section requires: encryption keys, symmetric and private ones, unknown
// types and curves, RSA below 2048 bits. It fails for anything that is not a set,
// and for more than a megabyte or 500 keys. A set without usable keys is not an
// error: a set may be empty.
func ParseKeySet(data []byte) (KeySet, error) {
	if len(data) > maxSetJSON {
		return KeySet{}, errors.New("key set larger than a megabyte")
	}
	o, err := ParseObject(data)
	if err != nil {
		return KeySet{}, err
	}
	list, ok := o.Get("keys")
	if !ok || !list.IsList() {
		return KeySet{}, errors.New("not a JWK Set: it has no list \"keys\"")
	}
	elements := strictjson.Elements(list.raw)
	if len(elements) > maxSetKeys {
		return KeySet{}, errors.New("key set of more than 500 keys")
	}
	var set KeySet
	for i, element := range elements {
		key, err := ParseKey([]byte(element))
		if err == nil {
			set.Keys = append(set.Keys, key)
		} else if len(set.Ignored) < maxReported {
			set.Ignored = append(set.Ignored, fmt.Errorf("key %d: %w", i+1, err))
		}
	}
	return set, nil
}

// PublicKeySet returns the JWK Set of these keys, for publication.
func PublicKeySet(keys ...Key) ([]byte, error) {
	if keys == nil {
		keys = []Key{}
	}
	return json.Marshal(struct {
		Keys []Key `json:"keys"`
	}{keys})
}
