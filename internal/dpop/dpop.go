// SPDX-License-Identifier: Apache-2.0

// Package dpop checks DPoP proofs (RFC 9449): that the client of a request holds
// the key that its access token is bound to. A proof is a JWT that the client
// signs for one request with one token, so a stolen token is useless without the
// key, and a stolen proof is useless for any other request.
//
// A [Checker] belongs to one authorization server's tokens. Its [Memory], which all
// share, remembers the proofs that were used, so that a replay is refused, and gives
// out nonces where they are required.
//
//	checker := dpop.New(memory, time.Now, false)
//	err := checker.Check(r, token.Confirmation.JKT, raw)
//
// Errors are a *token.Error that says how to challenge the client.
package dpop

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

const (
	// maxProof bounds a proof. One with a key and a signature of RSA 4096 has
	// about 2 KiB.
	maxProof = 8 << 10

	// maxAge is how long a proof can be used, and so how long it must be
	// remembered.
	maxAge = time.Minute
)

// Error codes of a challenge (RFC 6750, section 3.1; RFC 9449, sections 7.1 and
// 9).
const (
	CodeInvalidToken = "invalid_token"
	CodeInvalidProof = "invalid_dpop_proof"
	CodeUseNonce     = "use_dpop_nonce"
)

// Algorithms returns the algorithms that proofs may be signed with, for the
// `algs` of a challenge (RFC 9449, section 7.1).
func Algorithms() string { return strings.Join(jose.Algorithms(), " ") }

// Refuse returns the error for a token that is bound to a key without proof of
// possession.
func Refuse(code, format string, args ...any) *token.Error {
	return &token.Error{Reason: token.Bound, Scheme: "DPoP", Code: code, Err: fmt.Errorf(format, args...)}
}

func invalid(format string, args ...any) *token.Error {
	return Refuse(CodeInvalidProof, "DPoP proof: "+format, args...)
}

// Checker checks proofs. It is safe for concurrent use.
type Checker struct {
	now          func() time.Time
	requireNonce bool
	*Memory
}

// New makes a Checker with this memory. Where it requires a nonce, only proofs with
// one of its own are accepted.
func New(memory *Memory, now func() time.Time, requireNonce bool) *Checker {
	return &Checker{now: now, requireNonce: requireNonce, Memory: memory}
}

// NextNonce returns the nonce that the next proof should contain, for the
// DPoP-Nonce field of any answer (RFC 9449, section 8.2); "" if none is required.
func (c *Checker) NextNonce() string {
	if !c.requireNonce {
		return ""
	}
	return c.nonces.next(c.now())
}

// Check checks that the request comes with a proof that was made for this request
// and this token, with the key of this thumbprint. It goes through the list of RFC
// 9449, section 4.3, but compares the key first: a proof with another one is not
// worth the price of checking its signature.
func (c *Checker) Check(r *http.Request, jkt, raw string) error {
	now := c.now()
	proof, claims, err := verify(r, jkt)
	if err != nil {
		return err
	}
	if err := checkRequest(claims, r, raw); err != nil {
		return err
	}
	issued, err := checkTime(claims, now)
	if err != nil {
		return err
	}
	if err := c.checkNonce(claims, issued, now); err != nil {
		return err
	}
	// This is the last check, so that only the owner of the key can have anything
	// remembered, and only for proofs that it could use.
	return c.checkReplay(r, proof, claims, jkt, issued, now)
}

// verify returns the only proof of the request and what its signature vouches
// for.
func verify(r *http.Request, jkt string) (proof string, claims jose.Object, err error) {
	proofs := r.Header["Dpop"]
	if len(proofs) != 1 {
		return "", claims, Refuse(CodeInvalidProof, "%d DPoP header fields, not one", len(proofs))
	}
	jws, err := jose.Parse(proofs[0], maxProof)
	if err != nil {
		return "", claims, invalid("%w", err)
	}
	if jwtcheck.MediaType(jws.Header.Type) != "dpop+jwt" {
		return "", claims, invalid("typ is not dpop+jwt")
	}
	if err := jwtcheck.HeaderWithKey(jws.Header); err != nil {
		return "", claims, invalid("header: %w", err)
	}

	// The public key, and nothing more, that the token is bound to; the signature
	// with it, under an asymmetric algorithm.
	jwk, _ := jws.Header.Get("jwk")
	key, err := jose.ParseKey([]byte(jwk.JSON()))
	if err != nil {
		return "", claims, invalid("jwk: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(key.Thumbprint()), []byte(jkt)) != 1 {
		return "", claims, Refuse(CodeInvalidToken, "the token is bound to another key than that of the DPoP proof")
	}
	if err := jws.Verify(key, jws.Header.Algorithm); err != nil {
		return "", claims, invalid("%w", err)
	}
	if claims, err = jose.ParseObject(jws.Payload); err != nil {
		return "", claims, invalid("%w", err)
	}
	return proofs[0], claims, nil
}

// checkRequest checks that the proof is for this method, address and token
// (section 4.2: "htm", "htu" and "ath").
func checkRequest(claims jose.Object, r *http.Request, raw string) error {
	method, address := asReceived(r)
	if htm, err := claims.Text("htm"); err != nil || htm != method {
		return invalid("htm is another method")
	}
	if htu, err := claims.Text("htu"); err != nil || !sameAddress(htu, address) {
		return invalid("htu is another address than %.200q", address)
	}
	sum := sha256.Sum256([]byte(raw))
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	if ath, err := claims.Text("ath"); err != nil || subtle.ConstantTimeCompare([]byte(ath), []byte(want)) != 1 {
		return invalid("ath is another token")
	}
	return nil
}

// checkTime checks that the proof was made just now, as far as the client can
// know (section 11.1).
func checkTime(claims jose.Object, now time.Time) (issued time.Time, err error) {
	issued, err = claims.Time("iat")
	if err != nil || issued.IsZero() {
		return issued, invalid("no iat")
	}
	if issued.Before(now.Add(-maxAge)) || issued.After(now.Add(jwtcheck.Leeway)) {
		return issued, invalid("iat is not now: %ds off", int64(issued.Sub(now).Seconds()))
	}
	return issued, nil
}

// checkNonce checks the nonce where one is required: always, or from a proof that
// may have been used before this gateway could remember it. A nonce is proof that it
// was made since.
func (c *Checker) checkNonce(claims jose.Object, issued, now time.Time) error {
	if !c.requireNonce && !c.predates(issued) {
		return nil
	}
	if nonce, err := claims.Text("nonce"); err == nil && c.nonces.valid(nonce, now) {
		return nil
	}
	e := Refuse(CodeUseNonce, "DPoP proof: no nonce, or an old one")
	e.Nonce = c.nonces.next(now)
	return e
}

// checkReplay checks that no other request has used the proof.
func (c *Checker) checkReplay(r *http.Request, proof string, claims jose.Object, jkt string, issued, now time.Time) error {
	jti, err := claims.Text("jti")
	if err != nil || jti == "" {
		return invalid("no jti")
	}
	if c.hasProven(r, proof) {
		return nil
	}
	switch c.replays.use(jkt, jti, issued, now) {
	case replayed:
		return invalid("used before")
	case full:
		return token.Unavailable(maxAge, "more DPoP proofs in a minute than can be remembered: %d", maxProofs)
	}
	c.setProven(r, proof)
	return nil
}

// provenVar is the request variable with what this request has proven already.
// A route may have several authentication handlers, and each checks the proof,
// but it is the request that uses it. A `vars` directive cannot fake this: it
// sets no value of this type.
const provenVar = "gluu.proven"

// proven is a proof that a request has used.
type proven struct {
	memory *Memory
	proof  string
}

func (c *Checker) hasProven(r *http.Request, proof string) bool {
	all, _ := caddyhttp.GetVar(r.Context(), provenVar).([]proven)
	return slices.Contains(all, proven{c.Memory, proof})
}

func (c *Checker) setProven(r *http.Request, proof string) {
	all, _ := caddyhttp.GetVar(r.Context(), provenVar).([]proven)
	caddyhttp.SetVar(r.Context(), provenVar, append(all, proven{c.Memory, proof}))
}
