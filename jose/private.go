// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// PrivateKey is a key for signing. Neither fmt nor encoding/json prints its
// content. The zero PrivateKey cannot sign.
type PrivateKey struct {
	public Key
	// In a function, because fmt prints only the address of one. It would follow
	// a pointer, and does not call String on an unexported field.
	private func() private
}

type private struct {
	signer crypto.Signer
	secret []byte // of an HMAC key, which has no signer and no public half
}

func newPrivateKey(public Key, p private) PrivateKey {
	return PrivateKey{public, func() private { return p }}
}

func (k PrivateKey) signer() crypto.Signer {
	if k.private == nil {
		return nil
	}
	return k.private().signer
}

func (k PrivateKey) secret() []byte {
	if k.private == nil {
		return nil
	}
	return k.private().secret
}

// GenerateKey returns a new key for this algorithm. RSA keys have 2048 bits.
// Its ID is its thumbprint.
func GenerateKey(alg string) (PrivateKey, error) {
	canonical, ok := Algorithm(alg)
	if !ok {
		return PrivateKey{}, fmt.Errorf("cannot generate a key for algorithm %.20q", alg)
	}
	signer, err := generate(algorithms[canonical])
	if err != nil {
		return PrivateKey{}, fmt.Errorf("generating a key: %w", err)
	}
	key, err := privateKeyOf(signer)
	if err != nil {
		return PrivateKey{}, err
	}
	key.public, err = key.public.WithAlgorithm(canonical)
	return key, err
}

// HMACKey returns a key for the HS* algorithms. Their only use is to prove
// possession of a client secret to an authorization server (client_secret_jwt).
// Nothing verifies with it.
func HMACKey(secret []byte) PrivateKey {
	return newPrivateKey(Key{}, private{secret: bytes.Clone(secret)})
}

// ReadPrivateKey is [ParsePrivateKey] for a file.
func ReadPrivateKey(path string) (PrivateKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("reading private key: %w", err)
	}
	key, err := ParsePrivateKey(data)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("private key in %q: %w", path, err)
	}
	return key, nil
}

// ParsePrivateKey reads a private key: PEM (PKCS #8, PKCS #1 or SEC 1, not
// encrypted) or JWK. RSA of 2048 bits or more, the NIST curves and Ed25519 are
// accepted. Its ID is the "kid" of a JWK, otherwise the thumbprint.
func ParsePrivateKey(data []byte) (PrivateKey, error) {
	if len(data) > maxKeyJSON {
		return PrivateKey{}, errors.New("too large to be a key")
	}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return parsePrivateJWK(data)
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return PrivateKey{}, errors.New("neither a PEM private key nor a JWK")
		}
		signer, err := parseBlock(block)
		if err != nil {
			return PrivateKey{}, err
		}
		if signer != nil {
			return privateKeyOf(signer)
		}
	}
}

// parseBlock returns nil for a block that is not a private key: openssl writes
// the parameters of a curve before the key, and files often contain certificates.
func parseBlock(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, errEncryptedKey
		}
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, errEncryptedKey
		}
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errEncryptedKey
	default:
		return nil, nil
	}
	if err != nil {
		return nil, errors.New("not a valid private key")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key cannot sign")
	}
	return signer, nil
}

var errEncryptedKey = errors.New("the private key is encrypted: decrypt it, for example with openssl pkey, and protect the file")

func parsePrivateJWK(data []byte) (PrivateKey, error) {
	o, err := ParseObject(data)
	if err != nil {
		return PrivateKey{}, err
	}
	signer, err := decodePrivate(data)
	if err != nil {
		return PrivateKey{}, err
	}
	key, err := privateKeyOf(signer)
	if err != nil {
		return PrivateKey{}, err
	}
	kid, err := o.Text("kid")
	if err != nil {
		return PrivateKey{}, err
	}
	if kid != "" {
		key = key.WithID(kid)
	}
	alg, err := o.Text("alg")
	if err != nil || alg == "" {
		return key, err
	}
	if canonical, ok := Algorithm(alg); ok {
		alg = canonical
	}
	key.public, err = key.public.WithAlgorithm(alg)
	return key, err
}

// privateKeyOf checks the public half like a key from a set.
func privateKeyOf(signer crypto.Signer) (PrivateKey, error) {
	jwk, err := encodePublic(signer.Public())
	if err != nil {
		return PrivateKey{}, err
	}
	public, err := ParseKey(jwk)
	if err != nil {
		return PrivateKey{}, err
	}
	return newPrivateKey(public.WithID(public.thumbprint), private{signer: signer}), nil
}

// Public returns the public half, or the zero Key for an HMAC key.
func (k PrivateKey) Public() Key { return k.public }

// ID is the key's "kid": from its JWK, or else its thumbprint; "" for an HMAC key.
func (k PrivateKey) ID() string { return k.public.id }

// WithID returns the key under this "kid".
func (k PrivateKey) WithID(kid string) PrivateKey {
	k.public.id = kid
	return k
}

// Algorithm is the default algorithm to sign with: the one that the key names, or
// the first of RS256, ES256, ES384, ES512 and EdDSA that its type allows.
func (k PrivateKey) Algorithm() string {
	if k.public.alg != "" {
		return k.public.alg
	}
	for _, alg := range []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"} {
		if k.public.Fits(alg) {
			return alg
		}
	}
	return ""
}

// MarshalPEM returns the key as PEM (PKCS #8), which [ParsePrivateKey] reads.
func (k PrivateKey) MarshalPEM() ([]byte, error) {
	if k.signer() == nil {
		return nil, errors.New("the key cannot be written as PEM")
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.signer())
	if err != nil {
		return nil, fmt.Errorf("encoding private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// String keeps the key out of logs, with any formatting verb.
func (k PrivateKey) String() string { return "private key " + k.public.id }

// GoString is String, for %#v.
func (k PrivateKey) GoString() string { return k.String() }

// MarshalJSON always fails. Use MarshalPEM to write a private key.
func (k PrivateKey) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a private key cannot be written as JSON; use MarshalPEM")
}

// Sign returns claims, a JSON object, as a JWT signed with this algorithm. Empty
// kid and typ are left out of the header.
func Sign(claims []byte, key PrivateKey, alg, kid, typ string) (string, error) {
	header := map[string]any{}
	if kid != "" {
		header["kid"] = kid
	}
	if typ != "" {
		header["typ"] = typ
	}
	return SignWithHeader(claims, key, alg, header)
}

// SignWithHeader is [Sign] with arbitrary header members, such as the "jwk" of a
// DPoP proof. It always sets "alg" to the algorithm used.
func SignWithHeader(claims []byte, key PrivateKey, alg string, header map[string]any) (string, error) {
	h := map[string]any{"alg": alg}
	for name, value := range header {
		if name != "alg" {
			h[name] = value
		}
	}
	headerJSON, err := json.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("encoding header: %w", err)
	}
	input := make([]byte, 0, base64url.EncodedLen(len(headerJSON))+1+base64url.EncodedLen(len(claims)))
	input = base64url.AppendEncode(input, headerJSON)
	input = append(input, '.')
	input = base64url.AppendEncode(input, claims)
	signature, err := key.sign(input, alg)
	if err != nil {
		return "", err
	}
	token := append(input, '.')
	return string(base64url.AppendEncode(token, signature)), nil
}
