// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/caddy-gluu/gateway/internal/strictjson"
)

// Some servers, AD FS among them, name a key in their tokens only by the
// thumbprint of its certificate. It is a name like a key ID: nothing about the
// certificate is verified, and that SHA-1 has collisions changes nothing, since
// the key is one that the server publishes.

// certificateThumbprints returns the thumbprints that a JWK has (RFC 7517,
// sections 4.7 to 4.9), computed from its certificate where it does not say.
func certificateThumbprints(jwk Object) (x5t [2]string) {
	for i, name := range []string{"x5t", "x5t#S256"} {
		if text, err := jwk.Text(name); err == nil {
			x5t[i] = unpadded(text)
		}
	}
	certificate := firstCertificate(jwk)
	if certificate == nil {
		return x5t
	}
	if x5t[0] == "" {
		sum := sha1.Sum(certificate)
		x5t[0] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if x5t[1] == "" {
		sum := sha256.Sum256(certificate)
		x5t[1] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return x5t
}

// firstCertificate returns the certificate of a JWK, nil if it has none.
func firstCertificate(jwk Object) []byte {
	chain, ok := jwk.Get("x5c")
	if !ok || !chain.IsList() {
		return nil
	}
	elements := strictjson.Elements(chain.raw)
	if len(elements) == 0 {
		return nil
	}
	text, err := Value{elements[0]}.Text()
	if err != nil {
		return nil
	}
	certificate, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return certificate
}

// unpadded brings base64 of either alphabet into that of a JWS, without padding:
// servers write both.
func unpadded(text string) string {
	return strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "="))
}

// HasCertificate reports whether the key comes with the thumbprint of a
// certificate, so that it can be named by it.
func (k Key) HasCertificate() bool { return k.x5t != [2]string{} }

// IsNamed reports whether a header names this key by the thumbprint of its
// certificate.
func (k Key) IsNamed(name KeyName) bool {
	for i, wanted := range []string{name.X5T, name.X5TS256} {
		if wanted != "" && k.x5t[i] != unpadded(wanted) {
			return false
		}
	}
	return k.HasCertificate() && name.HasThumbprint()
}

// HasThumbprint reports whether the header names a key by a thumbprint.
func (n KeyName) HasThumbprint() bool { return n.X5T != "" || n.X5TS256 != "" }
