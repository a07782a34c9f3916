// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
)

// CheckBinding checks that whoever sends the request may use the token: that
// he has the key that it is bound to, if it is bound to one. It is called for
// each request, after [Provider.Verify] and whether or not the token came from
// a cache. scheme is that of the Authorization header and raw the token, as
// they were sent.
//
// A token that is bound to a key (RFC 9449, section 6) needs the scheme DPoP and
// a proof made for this request, one that is bound to a certificate (RFC 8705,
// section 3) needs the TLS connection to be the client's own, and an unbound
// token needs nothing but must not come with the scheme DPoP: its sender
// believes it to be protected. Proxies in front of the gateway cannot vouch for
// any of this. What they say in header fields, certificates included, is not
// looked at, since anyone can say the same.
//
// The error is an [*Error], and says how the client must be challenged.
func (p *Provider) CheckBinding(r *http.Request, t *Token, scheme, raw string) error {
	dpop := strings.EqualFold(scheme, "DPoP")
	bound := t.Confirmation
	if bound == nil {
		if dpop {
			return notBound()
		}
		return nil
	}
	if *bound == (Confirmation{}) {
		return &Error{
			Reason: TokenBound, Code: codeInvalidToken,
			Err: errUnknownBinding,
		}
	}
	if bound.X5T != "" {
		if err := checkCertificate(r, bound.X5T); err != nil {
			return err
		}
	}
	switch {
	case bound.JKT != "" && !dpop:
		return refuseProof(codeInvalidToken, "a token bound to a key was sent as a plain bearer token")
	case bound.JKT != "":
		if err := p.verifier.checkProof(r, bound.JKT, raw); err != nil {
			return err
		}
	case dpop:
		return notBound()
	}
	return nil
}

func notBound() *Error {
	e := refuseProof(codeInvalidToken, "the DPoP scheme was used with a token that is bound to no key")
	e.Reason = TokenInvalid
	return e
}

// checkCertificate compares the certificate of the client with the thumbprint
// in the token (RFC 8705, section 3.1).
func checkCertificate(r *http.Request, thumbprint string) error {
	switch {
	case r.TLS == nil || len(r.TLS.PeerCertificates) == 0:
		return refuse(TokenBound, "a token bound to a certificate came over a connection without one")
	case !r.TLS.HandshakeComplete:
		// Early data can be sent again by anyone who has seen it on the wire: at
		// that point nobody has proven to have the certificate's key.
		return refuse(TokenBound, "a token bound to a certificate came in early data")
	}
	sum := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(want), []byte(thumbprint)) != 1 {
		return refuse(TokenBound, "a token bound to another certificate than the client's")
	}
	return nil
}
