// SPDX-License-Identifier: Apache-2.0

package jose

// This is the only file that uses lestrrat-go/jwx. It bypasses the high-level
// functions on purpose: jws.Verify parses the token a second time, chooses keys
// by its own rules, and takes three times as long as the signature itself. The
// low-level verifiers and signers do exactly what is needed here. Only the key
// types of Go's standard library leave this file.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"

	"github.com/caddy-gluu/gateway/internal/strictjson"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// algorithm is one signature algorithm and the kind of key that it needs.
type algorithm struct {
	kty, crv string
	hash     crypto.Hash // of an HMAC; its size is the minimum length of the key
	verifier jws.Verifier
	signer   jws.Signer
}

// algorithms holds every algorithm with a public key. It is read-only after
// initialization.
var algorithms = map[string]algorithm{
	"RS256": newAlgorithm(jwa.RS256, "RSA", ""),
	"RS384": newAlgorithm(jwa.RS384, "RSA", ""),
	"RS512": newAlgorithm(jwa.RS512, "RSA", ""),
	"PS256": newAlgorithm(jwa.PS256, "RSA", ""),
	"PS384": newAlgorithm(jwa.PS384, "RSA", ""),
	"PS512": newAlgorithm(jwa.PS512, "RSA", ""),
	// RFC 7518 section 3.4 binds each of these to one curve.
	"ES256": newAlgorithm(jwa.ES256, "EC", "P-256"),
	"ES384": newAlgorithm(jwa.ES384, "EC", "P-384"),
	"ES512": newAlgorithm(jwa.ES512, "EC", "P-521"),
	// RFC 8037; the other curve, Ed448, is not in use.
	"EdDSA": newAlgorithm(jwa.EdDSA, "OKP", "Ed25519"),
}

// hmacAlgorithms are for signing only. They are separate from the others to rule
// out algorithm confusion, in which a public key serves as the secret.
var hmacAlgorithms = map[string]algorithm{
	"HS256": {hash: crypto.SHA256, signer: newSigner(jwa.HS256)},
	"HS384": {hash: crypto.SHA384, signer: newSigner(jwa.HS384)},
	"HS512": {hash: crypto.SHA512, signer: newSigner(jwa.HS512)},
}

func newAlgorithm(name jwa.SignatureAlgorithm, kty, crv string) algorithm {
	verifier, err := jws.NewVerifier(name)
	if err != nil {
		panic(err) // the library dropped an algorithm: any test finds this
	}
	return algorithm{kty: kty, crv: crv, verifier: verifier, signer: newSigner(name)}
}

func newSigner(name jwa.SignatureAlgorithm) jws.Signer {
	signer, err := jws.NewSigner(name)
	if err != nil {
		panic(err)
	}
	return signer
}

// Algorithms lists the canonical names of the signature algorithms with a public
// key, which tokens can be verified with.
func Algorithms() []string {
	return []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
		"ES256", "ES384", "ES512", "EdDSA",
	}
}

// Algorithm returns the canonical name of a signature algorithm with a public
// key, and whether there is one. Names are case-sensitive (RFC 7515 section
// 4.1.1). RFC 9864 gives EdDSA over Ed25519 the name "Ed25519": it is the same
// algorithm, whichever name the token, the key or the configuration uses.
func Algorithm(name string) (canonical string, ok bool) {
	if name == "Ed25519" {
		return "EdDSA", true
	}
	_, ok = algorithms[name]
	return name, ok
}

// verify checks a signature. The caller has checked that the key fits.
func (k Key) verify(input, signature []byte, alg string) error {
	if err := algorithms[alg].verifier.Verify(input, signature, k.public); err != nil {
		return errSignature
	}
	return nil
}

func (k PrivateKey) sign(input []byte, alg string) ([]byte, error) {
	if h, ok := hmacAlgorithms[alg]; ok {
		// RFC 7518 section 3.2.
		if len(k.secret()) < h.hash.Size() {
			return nil, fmt.Errorf("%q needs a secret of at least %d bytes", alg, h.hash.Size())
		}
		return h.signer.Sign(input, k.secret())
	}
	canonical, _ := Algorithm(alg)
	if k.signer() == nil || !k.public.Fits(canonical) {
		return nil, fmt.Errorf("this key cannot sign with %.20q", alg)
	}
	signature, err := algorithms[canonical].signer.Sign(input, k.signer())
	if err != nil {
		return nil, fmt.Errorf("signing with %q: %w", alg, err)
	}
	return signature, nil
}

// decodePublic turns the members of a JWK that describe the key, and no others,
// into a key of Go's standard library and its thumbprint.
func decodePublic(material []strictjson.Member) (crypto.PublicKey, string, error) {
	jwkMembers := make(map[string]json.RawMessage, len(material))
	for _, m := range material {
		jwkMembers[m.Name] = json.RawMessage(m.Value)
	}
	text, err := json.Marshal(jwkMembers)
	if err != nil {
		return nil, "", errors.New("not a valid JWK")
	}
	key, err := jwk.ParseKey(text)
	if err != nil {
		return nil, "", errors.New("not a valid JWK")
	}
	var raw any
	if err := key.Raw(&raw); err != nil {
		return nil, "", errors.New("not a valid JWK")
	}
	if err := checkPublic(raw); err != nil {
		return nil, "", err
	}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, "", errors.New("not a valid JWK")
	}
	return raw, base64url.EncodeToString(thumbprint), nil
}

func encodePublic(public crypto.PublicKey) ([]byte, error) {
	if err := checkPublic(public); err != nil {
		return nil, err
	}
	key, err := jwk.FromRaw(public)
	if err != nil {
		return nil, errors.New("not a public key for signatures")
	}
	return json.Marshal(key)
}

// checkPublic refuses weak keys, and keys that are slow to verify with: a client
// that chooses the key (the jwk of a DPoP proof) must not choose the cost of a
// verification.
func checkPublic(public crypto.PublicKey) error {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < 2048 || n > 8192 {
			return errors.New("RSA key of less than 2048 or more than 8192 bits")
		}
		if key.E < 3 || key.E&1 == 0 || bits.Len64(uint64(key.E)) > 31 {
			return errors.New("RSA key with an unusable exponent")
		}
	case *ecdsa.PublicKey:
		if _, err := key.ECDH(); err != nil { // NIST curves only, and on the curve
			return errors.New("EC key on an unknown curve")
		}
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return errors.New("Ed25519 key of the wrong size")
		}
	default:
		return errors.New("not a public key for signatures")
	}
	return nil
}

// decodePrivate reads a private JWK and checks that both halves match.
func decodePrivate(data []byte) (crypto.Signer, error) {
	key, err := jwk.ParseKey(data)
	if err != nil {
		return nil, errors.New("not a valid JWK") // the library's error may quote the key
	}
	var raw any
	if err := key.Raw(&raw); err != nil {
		return nil, errors.New("not a valid JWK")
	}
	switch key := raw.(type) {
	case *rsa.PrivateKey:
		if err := key.Validate(); err != nil {
			return nil, errors.New("not a valid RSA private key: it needs matching n, e, d, p and q")
		}
		return key, nil
	case *ecdsa.PrivateKey:
		private, err := key.ECDH()
		if err != nil {
			return nil, errors.New("not a valid EC private key")
		}
		public, err := key.PublicKey.ECDH()
		if err != nil || !private.PublicKey().Equal(public) {
			return nil, errors.New("not a valid EC private key: the halves do not match")
		}
		return key, nil
	case ed25519.PrivateKey:
		return key, nil // the library has compared its halves
	}
	return nil, errors.New("not a private key for signatures")
}

func generate(a algorithm) (crypto.Signer, error) {
	switch a.crv {
	case "P-256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "P-384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "P-521":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "Ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}
