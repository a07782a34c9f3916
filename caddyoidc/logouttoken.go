// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/jose"
)

// logoutToken is what a verified logout token says: which sessions have to end.
type logoutToken struct {
	issuer  string
	subject string // "" if the token names a session only
	sid     string // "" if it names a person only: then all of their sessions end
	id      string // jti, which is good once
	expires time.Time
}

const (
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

	// maxLogoutTokenAge is how old a logout token may be. That it is good once
	// has to be remembered as long.
	maxLogoutTokenAge = 10 * time.Minute
)

// verifyLogout checks a logout token (OpenID Connect Back-Channel Logout 1.0,
// section 2.6). What tells it from an ID token is the event and the missing
// nonce: without both checks each would pass for the other.
func (v *idTokenVerifier) verifyLogout(ctx context.Context, raw string) (*logoutToken, error) {
	_, claims, err := v.verifySigned(ctx, raw, "", "jwt", "logout+jwt")
	if err != nil {
		return nil, err
	}
	audience, err := jwtcheck.AudienceOf(claims)
	if err != nil {
		return nil, err
	}
	if clientID := v.clientID(); clientID == "" || !slices.Contains(audience, clientID) {
		return nil, errors.New("aud does not name this client")
	}
	token := new(logoutToken)
	if token.issuer, err = v.issuerOf(claims); err != nil {
		return nil, err
	}
	if token.expires, err = v.checkLogoutTimes(claims); err != nil {
		return nil, err
	}
	if err := checkLogoutEvent(claims); err != nil {
		return nil, err
	}
	for name, field := range map[string]*string{"sub": &token.subject, "sid": &token.sid, "jti": &token.id} {
		if *field, err = claims.Text(name); err != nil {
			return nil, err
		}
	}
	switch {
	case token.id == "":
		return nil, errors.New("jti is missing")
	case token.subject == "" && token.sid == "":
		return nil, errors.New("there is neither sid nor sub")
	}
	return token, nil
}

// checkLogoutTimes returns until when the token could be used again.
func (v *idTokenVerifier) checkLogoutTimes(claims jose.Object) (time.Time, error) {
	now := v.now()
	issued, err := requiredTime(claims, "iat")
	if err != nil {
		return time.Time{}, err
	}
	expires, err := claims.Time("exp")
	switch {
	case err != nil:
		return time.Time{}, err
	case issued.After(now.Add(v.leeway)):
		return time.Time{}, fmt.Errorf("iat is %s in the future", issued.Sub(now).Round(time.Second))
	case now.Sub(issued) > maxLogoutTokenAge:
		return time.Time{}, fmt.Errorf("iat is %s ago", now.Sub(issued).Round(time.Second))
	case !expires.IsZero() && !now.Add(-v.leeway).Before(expires):
		return time.Time{}, fmt.Errorf("expired %s ago", now.Sub(expires).Round(time.Second))
	}
	return issued.Add(maxLogoutTokenAge + v.leeway), nil
}

func checkLogoutEvent(claims jose.Object) error {
	if claims.Has("nonce") {
		return errors.New("nonce, which a logout token must not have")
	}
	value, ok := claims.Get("events")
	if !ok {
		return errors.New("events is missing")
	}
	events, err := value.Object()
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	event, ok := events.Get(logoutEvent)
	if !ok {
		return errors.New("events has no logout event")
	}
	if _, err := event.Object(); err != nil {
		return fmt.Errorf("the logout event: %w", err)
	}
	return nil
}
