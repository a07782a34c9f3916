// SPDX-License-Identifier: Apache-2.0

package jwtcheck

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/jose"
)

// Leeway is how far the issuer's clock may be ahead of ours where a token says
// from when it is valid. There is none for its end: a token that is accepted
// after its end outlives its revocation.
const Leeway = 5 * time.Second

// Issuer compares "iss". The two must be equal as strings (RFC 9068, section
// 4): no prefix, no trailing slash, since two tenants of one server may differ
// by no more.
func Issuer(claims jose.Object, want string) error {
	issuer, err := claims.Text("iss")
	if err != nil {
		return err
	}
	return SameIssuer(issuer, want)
}

// SameIssuer compares an "iss" that was read with the one that is expected. The
// error names both.
func SameIssuer(issuer, want string) error {
	switch issuer {
	case "":
		return fmt.Errorf("no iss, expected %.200q", want)
	case want:
		return nil
	}
	return fmt.Errorf("iss is %.200q, expected %.200q", issuer, want)
}

// NotYetError is the error of claims that are not valid yet.
type NotYetError struct {
	Claim string        // nbf or iat
	Ahead time.Duration // of our clock
	Until time.Time     // when the claim stops being a reason to refuse
}

func (e *NotYetError) Error() string {
	ahead := int64((e.Ahead + time.Second - 1) / time.Second)
	return fmt.Sprintf("%s is %d s in the future, and at most %d s are tolerated: compare the clocks of the authorization server and the gateway", e.Claim, ahead, int64(Leeway/time.Second))
}

// NotBefore checks "nbf" and "iat" where present (RFC 7519, sections 4.1.5 and
// 4.1.6), with [Leeway] for an issuer whose clock is ahead of ours: its new
// tokens would come from the future. The error is a *NotYetError if the time is
// still to come; otherwise a claim cannot be read.
func NotBefore(claims jose.Object, now time.Time) error {
	for _, name := range []string{"nbf", "iat"} {
		from, err := claims.Time(name)
		if err != nil {
			return err
		}
		if from.After(now.Add(Leeway)) {
			return &NotYetError{name, from.Sub(now), from.Add(-Leeway)}
		}
	}
	return nil
}

// AudienceOf returns the "aud" claim, a string or a list of strings; nil if it is
// missing or null.
func AudienceOf(claims jose.Object) ([]string, error) {
	value, ok := claims.Get("aud")
	if !ok || value.IsNull() {
		return nil, nil
	}
	if value.IsText() {
		text, err := value.Text()
		return []string{text}, err
	}
	audience, err := value.Texts()
	if err != nil {
		return nil, errors.New("aud is neither a string nor a list of strings")
	}
	return audience, nil
}

// AudienceIn is AudienceOf for claims as text, nil if they cannot be read.
func AudienceIn(claims string) []string {
	object, err := jose.ParseObject([]byte(claims))
	if err != nil {
		return nil
	}
	audience, _ := AudienceOf(object)
	return audience
}

// Audience refuses a token that names none of the wanted audiences (RFC 7519,
// section 4.1.3). All comparisons are exact: an audience is a name, not an
// address. With no audience wanted every token passes.
func Audience(claims jose.Object, wanted []string) error {
	if len(wanted) == 0 {
		return nil
	}
	audience, err := AudienceOf(claims)
	if err != nil {
		return err
	}
	for _, aud := range audience {
		if slices.Contains(wanted, aud) {
			return nil
		}
	}
	if len(audience) == 0 {
		return fmt.Errorf("no aud, expected %s", quoted(wanted))
	}
	return fmt.Errorf("aud is %s, expected %s", quoted(audience), quoted(wanted))
}

// quoted lists values for a message, which stays readable whatever they are.
func quoted(values []string) string {
	const most = 5
	var text strings.Builder
	for i, value := range values {
		if i == most {
			fmt.Fprintf(&text, " and %d more", len(values)-most)
			break
		}
		if i > 0 {
			text.WriteString(", ")
		}
		fmt.Fprintf(&text, "%.100q", value)
	}
	return text.String()
}
