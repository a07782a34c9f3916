// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-gluu/gateway/internal/dpop"
	"github.com/caddy-gluu/gateway/internal/token"
)

// CheckBinding checks that the client may use the token, which may be
// sender-constrained: that the client holds the key that the token is bound to. It
// is called for each request, after [Lookup.Verify] and whether or not the token
// came from a cache. scheme is that of the Authorization header and raw the token,
// as they were sent.
//
// A token that is bound to a key (RFC 9449, section 6) needs the scheme DPoP and
// a proof made for this request, one that is bound to a certificate (RFC 8705,
// section 3) needs the TLS connection to be the client's own, and an unbound
// token needs nothing but must not come with the scheme DPoP: its sender
// believes it to be protected. Proxies in front of the gateway cannot vouch for
// any of this. Header fields of theirs, certificates included, are ignored, since
// anyone can send the same.
//
// The error is a [*token.Error], and says how the client must be challenged.
func (v *Verifier) CheckBinding(r *http.Request, t *token.Token, scheme, raw string) error {
	isDPoP := strings.EqualFold(scheme, "DPoP")
	bound := t.Confirmation
	if bound == nil {
		if isDPoP {
			return notBound()
		}
		return nil
	}
	if *bound == (token.Confirmation{}) {
		return &token.Error{
			Reason: token.Bound, Code: dpop.CodeInvalidToken,
			Err: errUnknownBinding,
		}
	}
	if bound.X5T != "" {
		if err := checkCertificate(r, bound.X5T); err != nil {
			return err
		}
	}
	switch {
	case bound.JKT != "" && !isDPoP:
		return dpop.Refuse(dpop.CodeInvalidToken, "a token bound to a key was sent as a plain bearer token")
	case bound.JKT != "":
		if err := v.proofs.Check(r, bound.JKT, raw); err != nil {
			return err
		}
	case isDPoP:
		return notBound()
	}
	return nil
}

// errUnknownBinding is the cause of a refusal that no proof can avoid.
var errUnknownBinding = errors.New("the token is bound in a way that cannot be checked here")

func notBound() *token.Error {
	e := dpop.Refuse(dpop.CodeInvalidToken, "the DPoP scheme was used with a token that is bound to no key")
	e.Reason = token.Invalid
	return e
}

// checkCertificate compares the certificate of the client with the thumbprint
// in the token (RFC 8705, section 3.1).
func checkCertificate(r *http.Request, thumbprint string) error {
	switch {
	case r.TLS == nil || len(r.TLS.PeerCertificates) == 0:
		return token.Refuse(token.Bound, "a token bound to a certificate came over a connection without one")
	case !r.TLS.HandshakeComplete:
		// Early data can be replayed by anyone who has seen it on the wire: at
		// that point the client has not proven that it has the certificate's key.
		return token.Refuse(token.Bound, "a token bound to a certificate came in early data")
	}
	sum := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(want), []byte(thumbprint)) != 1 {
		return token.Refuse(token.Bound, "a token bound to another certificate than the client's")
	}
	return nil
}
