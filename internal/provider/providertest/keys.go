// SPDX-License-Identifier: Apache-2.0

package providertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-gluu/gateway/jose"
)

// IssuerKeys returns private keys of an issuer, by algorithm and at the same time
// key ID. They are made once, since RSA keys take long.
var IssuerKeys = sync.OnceValue(func() map[string]jose.PrivateKey {
	keys := map[string]jose.PrivateKey{}
	for _, alg := range []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"} {
		key, err := jose.GenerateKey(alg)
		if err != nil {
			panic(err)
		}
		// By way of a file, which forgets that the key is for one algorithm.
		file, err := key.MarshalPEM()
		if err != nil {
			panic(err)
		}
		if key, err = jose.ParsePrivateKey(file); err != nil {
			panic(err)
		}
		keys[alg] = key.WithID(alg)
	}
	return keys
})

// WriteKey makes a key and writes it to a file.
func WriteKey(t testing.TB) (file string, public *ecdsa.PublicKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return WritePEM(t, "PRIVATE KEY", PKCS8(t, key)), &key.PublicKey
}

// PKCS8 encodes a private key.
func PKCS8(t testing.TB, key crypto.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// WritePEM writes a PEM file that ends with the test.
func WritePEM(t testing.TB, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// CutSignature returns what a JWT signs, and the signature.
func CutSignature(t testing.TB, jwt string) (signed string, signature []byte) {
	t.Helper()
	at := strings.LastIndexByte(jwt, '.')
	signature, err := base64.RawURLEncoding.DecodeString(jwt[at+1:])
	if err != nil {
		t.Fatalf("%q: %v", jwt, err)
	}
	return jwt[:at], signature
}
