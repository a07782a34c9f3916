// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/jose"
)

const (
	// maxProof bounds a DPoP proof. One with a key and a signature of RSA 4096
	// has about 2 KiB.
	maxProof = 8 << 10

	// proofMaxAge is for how long a proof can be used, and so for how long it
	// must be remembered.
	proofMaxAge = time.Minute
)

// Error codes of a challenge (RFC 6750, section 3.1; RFC 9449, sections 7.1 and
// 9).
const (
	codeInvalidToken = "invalid_token"
	codeInvalidProof = "invalid_dpop_proof"
	codeUseNonce     = "use_dpop_nonce"
)

var errUnknownBinding = errors.New("the token is bound in a way that cannot be checked here")

// DPoPAlgorithms returns the algorithms that proofs may be signed with, for the
// `algs` of a challenge (RFC 9449, section 7.1).
func DPoPAlgorithms() string { return strings.Join(jose.Algorithms(), " ") }

func refuseProof(code, format string, args ...any) *Error {
	return &Error{Reason: TokenBound, Scheme: "DPoP", Code: code, Err: fmt.Errorf(format, args...)}
}

// checkProof checks that the request comes with a DPoP proof, made with the key
// of this thumbprint for this request and this token. It goes through the list
// of RFC 9449, section 4.3, but compares the key first of all: a proof with
// another one is not worth the price of checking its signature.
func (v *verifier) checkProof(r *http.Request, jkt, token string) error {
	now := v.server.Now()

	// Exactly one proof, well-formed, of the right type.
	proofs := r.Header["Dpop"]
	if len(proofs) != 1 {
		return refuseProof(codeInvalidProof, "%d DPoP header fields, not one", len(proofs))
	}
	jws, err := jose.Parse(proofs[0], maxProof)
	if err != nil {
		return refuseProof(codeInvalidProof, "DPoP proof: %w", err)
	}
	if jwtcheck.MediaType(jws.Header.Type) != "dpop+jwt" {
		return refuseProof(codeInvalidProof, "DPoP proof: typ is not dpop+jwt")
	}
	if err := jwtcheck.HeaderWithKey(jws.Header); err != nil {
		return refuseProof(codeInvalidProof, "DPoP proof: header: %w", err)
	}

	// The public key, and no more than that, that the token is bound to; the
	// signature with it, under an asymmetric algorithm.
	jwk, _ := jws.Header.Get("jwk")
	key, err := jose.ParseKey([]byte(jwk.JSON()))
	if err != nil {
		return refuseProof(codeInvalidProof, "DPoP proof: jwk: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(key.Thumbprint()), []byte(jkt)) != 1 {
		return refuseProof(codeInvalidToken, "the token is bound to another key than that of the DPoP proof")
	}
	if err := jws.Verify(key, jws.Header.Algorithm); err != nil {
		return refuseProof(codeInvalidProof, "DPoP proof: %w", err)
	}

	// What the key's owner has put his signature to: this method and address.
	claims, err := jose.ParseObject(jws.Payload)
	if err != nil {
		return refuseProof(codeInvalidProof, "DPoP proof: %w", err)
	}
	method, address := asReceived(r)
	if htm, err := claims.Text("htm"); err != nil || htm != method {
		return refuseProof(codeInvalidProof, "DPoP proof: htm is another method")
	}
	if htu, err := claims.Text("htu"); err != nil || !sameAddress(htu, address) {
		return refuseProof(codeInvalidProof, "DPoP proof: htu is another address than %.200s", address)
	}

	// This token (section 4.2, "ath").
	sum := sha256.Sum256([]byte(token))
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	if ath, err := claims.Text("ath"); err != nil || subtle.ConstantTimeCompare([]byte(ath), []byte(want)) != 1 {
		return refuseProof(codeInvalidProof, "DPoP proof: ath is another token")
	}

	// Now, as far as the client can know (section 11.1).
	issued, err := claims.Time("iat")
	if err != nil || issued.IsZero() {
		return refuseProof(codeInvalidProof, "DPoP proof: no iat")
	}
	if issued.Before(now.Add(-proofMaxAge)) || issued.After(now.Add(jwtcheck.Leeway)) {
		return refuseProof(codeInvalidProof, "DPoP proof: iat is not now: %ds off", int64(issued.Sub(now).Seconds()))
	}
	if v.server.Config().DPoPNonce {
		if nonce, err := claims.Text("nonce"); err != nil || !v.replays.validNonce(nonce, now) {
			e := refuseProof(codeUseNonce, "DPoP proof: no nonce, or an old one")
			e.Nonce = v.replays.nonce(now)
			return e
		}
	}

	// Once. This is the last check, so that only the owner of the key can have
	// anything remembered, and only for proofs that he could use.
	jti, err := claims.Text("jti")
	if err != nil || jti == "" {
		return refuseProof(codeInvalidProof, "DPoP proof: no jti")
	}
	if v.hasProven(r, proofs[0]) {
		return nil
	}
	switch v.replays.use(jkt, jti, issued, now) {
	case proofReplayed:
		return refuseProof(codeInvalidProof, "DPoP proof: used before")
	case proofsFull:
		return unavailable(proofMaxAge, "more DPoP proofs in a minute than can be remembered: %d", maxProofs)
	}
	v.setProven(r, proofs[0])
	return nil
}

// provenVar is the request variable with what this request has proven already.
// A route may have several authentication handlers, and each checks the proof:
// it is used by the request, not by the handler. A `vars` directive cannot take
// its place, since that sets no value of this type.
const provenVar = "gluu.proven"

// proven is a proof that a request has used with a verifier.
type proven struct {
	verifier *verifier
	proof    string
}

func (v *verifier) hasProven(r *http.Request, proof string) bool {
	all, _ := caddyhttp.GetVar(r.Context(), provenVar).([]proven)
	return slices.Contains(all, proven{v, proof})
}

func (v *verifier) setProven(r *http.Request, proof string) {
	all, _ := caddyhttp.GetVar(r.Context(), provenVar).([]proven)
	caddyhttp.SetVar(r.Context(), provenVar, append(all, proven{v, proof}))
}

// NextNonce returns the nonce that the next DPoP proof should contain, for the
// DPoP-Nonce field of any answer (RFC 9449, section 8.2); "" if this provider
// does not demand one.
func (p *Provider) NextNonce() string {
	if !p.DPoPNonce {
		return ""
	}
	return p.verifier.replays.nonce(p.server.Now())
}

// asReceived returns the method and URL that the client sent, before Caddy's
// handlers rewrote any of it. Scheme and host are those of the connection and
// the request itself. What X-Forwarded-* or Forwarded say does not count, even
// from a trusted proxy, since a proof is worth no more than the address in it
// is certain: where a proxy in front ends TLS or changes the host, clients have
// to make their proofs for the address that the proxy uses.
func asReceived(r *http.Request) (method string, u *url.URL) {
	u = &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath}
	method = r.Method
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		method = original.Method
		u.Path, u.RawPath = original.URL.Path, original.URL.RawPath
	}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	return method, u
}

// sameAddress compares an htu claim with the address of a request as RFC 9449,
// section 4.3 asks: without query and fragment, and after the normalisation of
// RFC 3986 that changes no meaning (sections 6.2.2.1, 6.2.2.2 and 6.2.3): case
// of scheme, host and percent-encoding, encoded unreserved characters, default
// port, empty path. Dot segments are left as they are, for a path that has any
// means different things to different readers.
func sameAddress(htu string, address *url.URL) bool {
	u, err := url.Parse(htu)
	if err != nil || u.Opaque != "" || u.User != nil || u.Host == "" {
		return false
	}
	return u.Scheme == address.Scheme &&
		normalHost(u) == normalHost(address) &&
		normalPath(u.EscapedPath()) == normalPath(address.EscapedPath())
}

func normalHost(u *url.URL) string {
	port := ":443"
	if u.Scheme == "http" {
		port = ":80"
	}
	host := strings.TrimSuffix(strings.ToLower(u.Host), port)
	return strings.TrimSuffix(host, ":")
}

func normalPath(escaped string) string {
	if escaped == "" {
		return "/"
	}
	if strings.IndexByte(escaped, '%') < 0 {
		return escaped
	}
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		if escaped[i] != '%' || i+2 >= len(escaped) {
			b.WriteByte(escaped[i])
			continue
		}
		triplet := escaped[i : i+3]
		if c, err := url.PathUnescape(triplet); err == nil && isUnreserved(c[0]) {
			b.WriteString(c)
		} else {
			b.WriteString(strings.ToUpper(triplet))
		}
		i += 2
	}
	return b.String()
}

// isUnreserved reports whether c means the same encoded or not (RFC 3986,
// section 2.3).
func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("-._~", c) >= 0
}
