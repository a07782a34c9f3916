// SPDX-License-Identifier: Apache-2.0

package kong

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

// Name is the name of the profile.
const Name = "kong"

// Profile is the configuration of `profile kong`: the settings of Kong's OAuth2 plugin.
type Profile struct {
	// The name of the profile: `kong`. Required.
	Name string `json:"name,omitempty"`

	// The hash of the key by which a login application proves that it may speak for
	// users, made by `caddy gluu hash-secret`. Two while one is replaced. Without one, no
	// key is right.
	ProvisionKey []string `json:"provision_key,omitempty"`

	// Whether a request has to name a scope. Default: false
	MandatoryScope bool `json:"mandatory_scope,omitempty"`

	// What clients can get tokens by: `authorization_code`, `implicit`,
	// `client_credentials`, `password`. Refresh tokens come with the first and the last.
	// Default: `authorization_code`
	Grants []string `json:"grants,omitempty"`

	// Which clients must use PKCE: `none`, `lax` (public ones) or `strict` (all). A
	// challenge that a client has sent is checked in any case. Default: `lax`
	PKCE string `json:"pkce,omitempty"`

	// The header with the credentials of a client at the token endpoint. Default:
	// `authorization`
	AuthHeader string `json:"auth_header,omitempty"`

	// The protection space that challenges for other methods than POST name. Default:
	// `service`
	Realm string `json:"realm,omitempty"`

	// How long an access token is good; 0: it never expires, and there is no refresh token.
	// In JSON, a duration. Default: 2h
	TokenExpiration *caddy.Duration `json:"token_expiration,omitempty"`

	// How long a refresh token is good; 0: it never expires. Default: 14d
	RefreshTokenTTL *caddy.Duration `json:"refresh_token_ttl,omitempty"`

	// Whether a refresh token stays the same when it is used. Default: false
	ReuseRefreshToken bool `json:"reuse_refresh_token,omitempty"`

	// Whether a request over http counts as one over https if a trusted proxy
	// (`trusted_proxies`) says so in X-Forwarded-Proto. Default: false
	AcceptHTTP bool `json:"accept_http_if_already_terminated,omitempty"`

	// Whose texts and status codes clients get: `kong`, or `rfc` for those of the
	// standards at Kong's paths. Default: `kong`
	Responses string `json:"responses,omitempty"`
}

// Defaults of Kong.
const (
	codeTTL             = 300 * time.Second
	defaultTokenTTL     = 7200 * time.Second
	defaultRefreshTTL   = 1209600 * time.Second
	defaultAuthHeader   = "authorization"
	defaultRealm        = "service"
	pkceNone, pkceLax   = "none", "lax"
	pkceStrict          = "strict"
	kongResponses       = "kong"
	rfcResponses        = "rfc"
	maxProvisionKeys    = 2
	tokenLength         = 32
	longestTokenLengths = 100 * 365 * 24 * time.Hour
)

// Legacy is which words of `legacy` the server's configuration has.
type Legacy struct {
	Implicit, Password bool

	// QueryCredentials also reads secrets of clients from the URL.
	QueryCredentials bool
}

var grantNames = []string{authcore.GrantAuthorizationCode, authcore.GrantImplicit, authcore.GrantClientCredentials, authcore.GrantPassword}

// Check refuses what cannot be right.
func (p *Profile) Check(legacy Legacy) error {
	for _, check := range []func() error{p.checkWords, p.checkTimes, func() error { return p.checkGrants(legacy) }} {
		if err := check(); err != nil {
			return err
		}
	}
	if len(p.ProvisionKey) > maxProvisionKeys {
		return fmt.Errorf("provision_key has %d hashes: two are allowed, the new one and the one that it replaces", len(p.ProvisionKey))
	}
	return nil
}

func (p *Profile) checkWords() error {
	if p.Name != Name {
		return fmt.Errorf("there is no profile %q: the only one is %s", p.Name, Name)
	}
	switch p.PKCE {
	case "", pkceLax, pkceStrict:
	case pkceNone:
		if p.isRFC() {
			return errors.New("pkce none and responses rfc exclude each other: a public client without PKCE can be robbed of its code; write 'pkce lax'")
		}
	default:
		return fmt.Errorf("pkce is none, lax or strict, not %q", p.PKCE)
	}
	switch p.Responses {
	case "", kongResponses, rfcResponses:
	default:
		return fmt.Errorf("responses is kong or rfc, not %q", p.Responses)
	}
	if strings.ContainsFunc(p.AuthHeader, func(c rune) bool { return !isHeaderRune(c) }) {
		return fmt.Errorf("auth_header %q is not a valid name of a header: use letters, digits, - and _", p.AuthHeader)
	}
	if strings.ContainsFunc(p.Realm, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }) {
		return fmt.Errorf("realm %q contains characters that a challenge cannot: use printable ASCII without quotes", p.Realm)
	}
	return nil
}

func isHeaderRune(c rune) bool {
	return c == '-' || c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func (p *Profile) checkTimes() error {
	for _, setting := range []struct {
		name string
		d    *caddy.Duration
	}{{"token_expiration", p.TokenExpiration}, {"refresh_token_ttl", p.RefreshTokenTTL}} {
		if setting.d == nil {
			continue
		}
		switch d := time.Duration(*setting.d); {
		case d == 0 && p.isRFC():
			return fmt.Errorf("%s 0 and responses rfc exclude each other: a token that never ends outlives its theft; write a duration", setting.name)
		case d < 0 || d > 0 && d < time.Second || d > longestTokenLengths:
			return fmt.Errorf("%s is a duration of 1s or more, or 0 for no end, not %s; in JSON write a text with a unit, such as \"2h\"", setting.name, d)
		}
	}
	return nil
}

func (p *Profile) checkGrants(legacy Legacy) error {
	for i, grant := range p.Grants {
		switch {
		case !slices.Contains(grantNames, grant):
			return fmt.Errorf("grants names %q: write some of %s", grant, strings.Join(grantNames, ", "))
		case slices.Contains(p.Grants[:i], grant):
			return fmt.Errorf("grants names %q twice: keep one of them", grant)
		case grant == authcore.GrantImplicit && !legacy.Implicit, grant == authcore.GrantPassword && !legacy.Password:
			return fmt.Errorf("grants %s is not safe (RFC 9700): write 'legacy %[1]s' into the server if a client needs it, or remove it", grant)
		}
	}
	return nil
}

// Warnings are what loads and an operator should know.
func (p *Profile) Warnings() []string {
	var warnings []string
	if len(p.ProvisionKey) == 0 {
		warnings = append(warnings, "profile kong has no provision_key, so no login application can ask for codes: write 'provision_key <hash>'")
	}
	for _, grant := range []string{authcore.GrantImplicit, authcore.GrantPassword} {
		if p.isRFC() && slices.Contains(p.Grants, grant) {
			warnings = append(warnings, fmt.Sprintf("grants %s counts as off with responses rfc", grant))
		}
	}
	return warnings
}

func (p *Profile) isRFC() bool { return p.Responses == rfcResponses }

// enables reports whether clients can get tokens by a grant.
func (p *Profile) enables(grant string) bool {
	if p.isRFC() && (grant == authcore.GrantImplicit || grant == authcore.GrantPassword) {
		return false
	}
	if len(p.Grants) == 0 {
		return grant == authcore.GrantAuthorizationCode
	}
	return slices.Contains(p.Grants, grant)
}

// Served are the grants that clients can have.
func (p *Profile) Served() []string {
	var served []string
	for _, grant := range grantNames {
		if p.enables(grant) {
			served = append(served, grant)
		}
	}
	return append(served, authcore.GrantRefreshToken)
}

// requiresPKCE reports whether a client has to use PKCE.
func (p *Profile) requiresPKCE(client *authcore.Client) bool {
	switch p.PKCE {
	case pkceNone:
		return false
	case pkceStrict:
		return true
	}
	return client.Public
}

func (p *Profile) tokenTTL() time.Duration { return orDefault(p.TokenExpiration, defaultTokenTTL) }

func (p *Profile) refreshTTL() time.Duration { return orDefault(p.RefreshTokenTTL, defaultRefreshTTL) }

func orDefault(d *caddy.Duration, otherwise time.Duration) time.Duration {
	if d == nil {
		return otherwise
	}
	return time.Duration(*d)
}
