// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/jose"
)

// idTokenVerifier verifies what an OpenID Provider signs for this client: ID
// tokens, and with verifySigned logout tokens and signed userinfo.
type idTokenVerifier struct {
	issuers    provider.Issuers
	clientID   func() string // known later where the client registers itself
	audiences  []string      // further values of aud that an ID token may have
	algorithms []string
	keys       jwtcheck.KeySet
	leeway     time.Duration // for the provider's clock
	maxAge     time.Duration // how old an ID token may be at the most
	maxLength  int
	now        func() time.Time
}

// expectation is what an ID token must match beyond being the provider's.
type expectation struct {
	nonce       string // "" where the token answers no authorization request
	accessToken string // what at_hash is compared with
	authAge     time.Duration
	authTime    bool // auth_time must be there
}

// idToken is what a verified ID token says.
type idToken struct {
	session.Authentication
	raw     string
	issuer  string
	subject string
	sid     string
	claims  jose.Object
}

// maxSubject is the length of the longest subject (OpenID Connect Core, 2).
const maxSubject = 255

// verify checks an ID token from top to bottom, as OpenID Connect Core, section
// 3.1.3.7, says. A renewal checks everything again (section 12.2); that the
// person is still the same one, the caller compares.
func (v *idTokenVerifier) verify(ctx context.Context, raw string, want expectation) (*idToken, error) {
	// typ: explicit typing keeps tokens of other kinds out. A token of no kind
	// is an ID token, since those have never had one.
	jwt, claims, err := v.verifySigned(ctx, raw, "", "jwt")
	if err != nil {
		return nil, err
	}
	// iss: of a server with tenants the claims must name the same one.
	issuer, err := v.issuers.Check(claims)
	if err != nil {
		return nil, err
	}
	token := &idToken{raw: raw, issuer: issuer, claims: claims}
	token.Claims = jwt.Payload
	if token.subject, err = subjectOf(claims); err != nil {
		return nil, err
	}
	if err := v.checkAudience(claims); err != nil {
		return nil, err
	}
	if err := v.checkTimes(claims, &token.Authentication); err != nil {
		return nil, err
	}
	if err := checkNonce(claims, want.nonce); err != nil {
		return nil, err
	}
	if err := checkAccessTokenHash(claims, jwt.Header.Algorithm, want.accessToken); err != nil {
		return nil, err
	}
	if err := v.checkAuthentication(claims, want, &token.Authentication); err != nil {
		return nil, err
	}
	if token.sid, err = claims.Text("sid"); err != nil {
		return nil, err
	}
	return token, nil
}

// verifySigned verifies the header, the issuer and the signature, which all
// that a provider signs have in common, and returns the claims.
func (v *idTokenVerifier) verifySigned(ctx context.Context, raw string, types ...string) (*jwtcheck.JWT, jose.Object, error) {
	jwt, err := jwtcheck.Parse(raw, v.maxLength)
	if err != nil {
		return nil, jose.Object{}, err
	}
	claims, err := v.verifyJWT(ctx, jwt, types)
	return jwt, claims, err
}

func (v *idTokenVerifier) verifyJWT(ctx context.Context, jwt *jwtcheck.JWT, types []string) (claims jose.Object, err error) {
	if err := jwtcheck.Header(jwt.Header, v.algorithms); err != nil {
		return claims, err
	}
	if typ := jwtcheck.MediaType(jwt.Header.Type); !slices.Contains(types, typ) {
		return claims, fmt.Errorf("typ is %.40q", typ)
	}
	if claims, err = jwt.Claims(); err != nil {
		return claims, err
	}
	if _, err := v.issuerOf(claims); err != nil {
		return claims, err
	}
	key, err := v.keys.Key(ctx, jwt.Header.KeyName, jwt.Header.Algorithm)
	if err != nil {
		return claims, err
	}
	return claims, jwt.Verify(key, jwt.Header.Algorithm)
}

// issuerOf returns the issuer of what the provider has signed.
func (v *idTokenVerifier) issuerOf(claims jose.Object) (string, error) {
	issuer, err := claims.Text("iss")
	if err == nil && !v.issuers.Spoke(issuer) {
		_, err = v.issuers.Check(claims) // says what is wrong
	}
	return issuer, err
}

func subjectOf(claims jose.Object) (string, error) {
	subject, err := claims.Text("sub")
	switch {
	case err != nil:
		return "", err
	case subject == "" || len(subject) > maxSubject:
		return "", fmt.Errorf("sub has %d characters, not 1 to %d", len(subject), maxSubject)
	}
	if strings.Trim(subject, " ") != subject {
		return "", errors.New("sub begins or ends with a space, which no header can have")
	}
	for i := range len(subject) {
		if subject[i] >= 0x7f || subject[i] < ' ' {
			// A control character would keep the name from the upstream (headers
			// cannot have one), which would leave the person without a name.
			return "", errors.New("sub is not printable ASCII")
		}
	}
	return subject, nil
}

// checkAudience wants the token to be for this client and for no other party
// that the configuration does not know: another one could have been given the
// token, and bring it here.
func (v *idTokenVerifier) checkAudience(claims jose.Object) error {
	clientID := v.clientID()
	audience, err := jwtcheck.AudienceOf(claims)
	if err != nil {
		return err
	}
	if clientID == "" || !slices.Contains(audience, clientID) {
		return errors.New("aud does not name this client")
	}
	for _, other := range audience {
		if other != clientID && !slices.Contains(v.audiences, other) {
			return fmt.Errorf("aud names %.80q too; if that is right, add it to the provider's audience", other)
		}
	}
	azp, err := claims.Text("azp")
	if err != nil {
		return err
	}
	if isThere(claims, "azp") && azp != clientID {
		return errors.New("azp is another client")
	}
	return nil
}

// isThere reports whether a claim has a value, be it an empty text: null is what
// servers write for claims that they do not have.
func isThere(claims jose.Object, name string) bool {
	value, ok := claims.Get(name)
	return ok && !value.IsNull()
}

func (v *idTokenVerifier) checkTimes(claims jose.Object, a *session.Authentication) (err error) {
	now := v.now()
	if a.ExpiresAt, err = requiredTime(claims, "exp"); err != nil {
		return err
	}
	if a.IssuedAt, err = requiredTime(claims, "iat"); err != nil {
		return err
	}
	notBefore, err := claims.Time("nbf")
	switch {
	case err != nil:
		return err
	case !now.Add(-v.leeway).Before(a.ExpiresAt):
		return fmt.Errorf("expired %s ago", now.Sub(a.ExpiresAt).Round(time.Second))
	case a.IssuedAt.After(now.Add(v.leeway)):
		return fmt.Errorf("iat is %s in the future", a.IssuedAt.Sub(now).Round(time.Second))
	case notBefore.After(now.Add(v.leeway)):
		return fmt.Errorf("nbf is %s in the future", notBefore.Sub(now).Round(time.Second))
	case v.maxAge > 0 && now.Sub(a.IssuedAt) > v.maxAge:
		return fmt.Errorf("iat is %s ago, more than max_id_token_age", now.Sub(a.IssuedAt).Round(time.Second))
	}
	return nil
}

func requiredTime(claims jose.Object, name string) (time.Time, error) {
	t, err := claims.Time(name)
	if err == nil && t.IsZero() {
		err = fmt.Errorf("%s is missing", name)
	}
	return t, err
}

// checkNonce compares the nonce, which ties the token to one login in one
// browser. Without a login there is none to compare, and a refreshed token may
// repeat that of the first or leave it out (Core, section 12.2).
func checkNonce(claims jose.Object, want string) error {
	if want == "" {
		return nil
	}
	nonce, err := claims.Text("nonce")
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(nonce), []byte(want)) != 1 {
		return errors.New("nonce is that of another login")
	}
	return nil
}

// checkAccessTokenHash compares at_hash where present (Core, section 3.1.3.8).
func checkAccessTokenHash(claims jose.Object, algorithm, accessToken string) error {
	hash, err := claims.Text("at_hash")
	if err != nil || !isThere(claims, "at_hash") {
		return err
	}
	sum := hashOf(algorithm, accessToken)
	half := base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
	if accessToken == "" || subtle.ConstantTimeCompare([]byte(half), []byte(hash)) != 1 {
		return errors.New("at_hash is that of another access token")
	}
	return nil
}

// hashOf hashes a text with the hash of a signature algorithm. That of Ed25519
// is SHA-512.
func hashOf(algorithm, text string) []byte {
	switch {
	case strings.HasSuffix(algorithm, "256"):
		sum := sha256.Sum256([]byte(text))
		return sum[:]
	case strings.HasSuffix(algorithm, "384"):
		sum := sha512.Sum384([]byte(text))
		return sum[:]
	}
	sum := sha512.Sum512([]byte(text))
	return sum[:]
}

// checkAuthentication reads how and when the person authenticated, and refuses
// what is longer ago than was asked for (Core, section 3.1.3.7, 13).
func (v *idTokenVerifier) checkAuthentication(claims jose.Object, want expectation, a *session.Authentication) (err error) {
	if a.ACR, err = claims.Text("acr"); err != nil {
		return err
	}
	if amr, ok := claims.Get("amr"); ok {
		if a.AMR, err = amr.Texts(); err != nil {
			return fmt.Errorf("amr: %w", err)
		}
	}
	if a.AuthTime, err = claims.Time("auth_time"); err != nil {
		return err
	}
	now := v.now()
	switch {
	case a.AuthTime.IsZero() && want.authTime:
		return errors.New("auth_time is missing although max_age was sent; write 'max_id_token_auth_age <duration> optional' for a provider that has none")
	case a.AuthTime.After(now.Add(v.leeway)):
		return fmt.Errorf("auth_time is %s in the future", a.AuthTime.Sub(now).Round(time.Second))
	case want.authAge > 0 && !a.AuthTime.IsZero() && now.Sub(a.AuthTime) > want.authAge:
		return fmt.Errorf("auth_time is %s ago, longer than was asked for", now.Sub(a.AuthTime).Round(time.Second))
	}
	return nil
}
