// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"errors"
	"fmt"
	"html/template"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/authserver/rfc"
	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/clientauth"
)

// RefreshToken says what refresh tokens are like.
type RefreshToken struct {
	// How long a refresh token is good if it is not used. Default: 14d.
	Idle caddy.Duration `json:"idle,omitempty"`

	// How long what a person has granted is good at the most. Default: 90d.
	Absolute caddy.Duration `json:"absolute,omitempty"`

	// Whether each use replaces the refresh token. If not, that holds for
	// confidential clients only. Default: true.
	Rotate *bool `json:"rotate,omitempty"`

	// For how long after its use the old refresh token gets the same new one again,
	// because the answer may have been lost: 0s to 60s. After that a second use ends
	// all that was granted with it. Default: 10s.
	Grace *caddy.Duration `json:"grace,omitempty"`
}

// Login is an application of yours that logs people in and asks them what a client may do.
// The browser is sent there with `?challenge=<id>`; the application reads the challenge at
// `/oauth2/authorize/<id>` with its key, answers it there once, and sends the browser to
// the address that it gets.
type Login struct {
	// The address of the application. Required.
	URL string `json:"url,omitempty"`

	// The hash of the application's key, as `caddy gluu hash-secret` prints it. Two
	// are valid while one is replaced. Required.
	Secrets []string `json:"secrets,omitempty"`

	// From which addresses the application asks. Default: any.
	Allow []string `json:"allow,omitempty"`

	// How long a person has to log in. Default: 10m.
	ChallengeTTL caddy.Duration `json:"challenge_ttl,omitempty"`
}

// ConsentPage asks people itself. Who they are, says a handler in front that
// authenticates them, basic_auth for example: it is {http.auth.user.id}.
type ConsentPage struct {
	// An HTML template instead of the page that is built in. Default: that one.
	Template string `json:"template,omitempty"`
}

// Registration lets clients register themselves (RFC 7591, RFC 7592).
type Registration struct {
	// Hashes of initial access tokens, of which a client needs one, as `caddy gluu
	// hash-secret` prints them.
	Tokens []string `json:"tokens,omitempty"`

	// Anyone can register a client. Default: false.
	Open bool `json:"open,omitempty"`

	// The hosts that redirect URIs may have; `*.example.com` stands for all below
	// it. Default: any.
	RedirectHosts []string `json:"redirect_hosts,omitempty"`

	// The scopes that such clients can have. Default: all of the server.
	Scopes []string `json:"scopes,omitempty"`

	// How long a client is kept that is not used. Default: 14d.
	Unused caddy.Duration `json:"unused,omitempty"`

	// How many such clients there can be. Default: 10000.
	Max int `json:"max,omitempty"`
}

// Limit turns away those who fail to authenticate too often. A client whose secret was
// right before is still served. Without it no client is turned away: those that try secrets wait longest.
type Limit struct {
	// Failures in the name of one client, from one network: `60/m` is 60 in a
	// minute; `off` disables it. Default: 60/m.
	Client string `json:"client,omitempty"`

	// Failures from one network. Default: 300/m.
	Address string `json:"address,omitempty"`
}

// Defaults of the options.
const (
	defaultTokenTTL     = time.Hour
	defaultUserTokenTTL = 10 * time.Minute
	defaultCodeTTL      = time.Minute
	maxCodeTTL          = 10 * time.Minute
	defaultIdle         = 14 * 24 * time.Hour
	defaultAbsolute     = 90 * 24 * time.Hour
	defaultGrace        = 10 * time.Second
	maxGrace            = time.Minute
	defaultChallengeTTL = 10 * time.Minute
	defaultUnused       = 14 * 24 * time.Hour
	defaultMaxClients   = 10_000
	defaultClientLimit  = "60/m"
	defaultAddressLimit = "300/m"
)

// Names of the option legacy.
const (
	legacyImplicit         = "implicit"
	legacyPassword         = "password"
	legacyQueryCredentials = "query_credentials"
	legacyQueryToken       = "query_token"
	legacyHTTPRedirects    = "http_redirects"
	legacyPlainHTTP        = "plain_http"
)

var legacyNames = []string{legacyImplicit, legacyPassword, legacyQueryCredentials, legacyQueryToken, legacyHTTPRedirects, legacyPlainHTTP}

func checkLegacy(name string) error {
	if !slices.Contains(legacyNames, name) {
		return fmt.Errorf("legacy has no %q: it knows %s", name, strings.Join(legacyNames, ", "))
	}
	return nil
}

func (s *Server) hasLegacy(name string) bool { return slices.Contains(s.Legacy, name) }

func (s *Server) legacy() rfc.Legacy {
	return rfc.Legacy{
		Implicit: s.hasLegacy(legacyImplicit), QueryCredentials: s.hasLegacy(legacyQueryCredentials), QueryToken: s.hasLegacy(legacyQueryToken),
		HTTPRedirects: s.hasLegacy(legacyHTTPRedirects), PlainHTTP: s.hasLegacy(legacyPlainHTTP),
	}
}

func (r *RefreshToken) check() error {
	switch {
	case r.Idle < 0 || r.Absolute < 0:
		return errors.New("refresh_token: idle and absolute cannot be negative")
	case r.Idle != 0 && time.Duration(r.Idle) < time.Second || r.Absolute != 0 && time.Duration(r.Absolute) < time.Second:
		return errors.New("refresh_token: idle and absolute last at least 1s")
	case r.Grace != nil && (*r.Grace < 0 || time.Duration(*r.Grace) > maxGrace):
		return fmt.Errorf("refresh_token: grace is %s; it is 0s to %s", time.Duration(*r.Grace), maxGrace)
	}
	return nil
}

func (r *RefreshToken) compile() rfc.Refresh {
	compiled := rfc.Refresh{Idle: defaultIdle, Absolute: defaultAbsolute, Grace: defaultGrace}
	if r == nil {
		return compiled
	}
	if r.Idle != 0 {
		compiled.Idle = time.Duration(r.Idle)
	}
	if r.Absolute != 0 {
		compiled.Absolute = time.Duration(r.Absolute)
	}
	if r.Grace != nil {
		compiled.Grace = time.Duration(*r.Grace)
	}
	compiled.Keep = r.Rotate != nil && !*r.Rotate
	return compiled
}

// secrets parses the hashes of keys that are not a client's.
func secrets(option string, texts []string) ([]*clientauth.Secret, error) {
	var parsed []*clientauth.Secret
	for _, text := range texts {
		resolved, err := directive.Resolve(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", option, err)
		}
		hash, err := clientauth.Parse(resolved)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", option, err)
		}
		parsed = append(parsed, hash)
	}
	return parsed, nil
}

func (l *Login) check() error {
	switch {
	case l.URL == "":
		return errors.New("login has no address: write 'login https://<your application> { secret <hash> }'")
	case len(l.Secrets) == 0:
		return errors.New("login has no key: run caddy gluu hash-secret, and write 'secret <hash>' into its block; the application sends the key itself")
	case len(l.Secrets) > 2:
		return errors.New("login has more than two keys: one, and a second one while it is replaced")
	case l.ChallengeTTL < 0 || l.ChallengeTTL != 0 && time.Duration(l.ChallengeTTL) < time.Second || time.Duration(l.ChallengeTTL) > 24*time.Hour:
		return fmt.Errorf("challenge_ttl is %s; it is 1s to 24h", time.Duration(l.ChallengeTTL))
	}
	for _, text := range l.Allow {
		if _, err := parsePrefix(text); err != nil {
			return err
		}
	}
	if directive.HasPlaceholder(l.URL) {
		return nil
	}
	return checkLoginURL(l.URL)
}

func checkLoginURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || strings.Contains(text, "#") || u.Scheme != "https" && !(u.Scheme == "http" && directive.IsLoopback(u.Hostname())) {
		return fmt.Errorf("login %q is not an https address (http is for loopback addresses only) without user name and fragment", text)
	}
	return nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, fmt.Errorf("allow %q is not an address or a range: write 10.0.0.0/8, for example", text)
	}
	return prefix.Masked(), nil
}

func (l *Login) compile() (*rfc.Login, error) {
	if l == nil {
		return nil, nil
	}
	if err := l.check(); err != nil {
		return nil, err
	}
	compiled := &rfc.Login{ChallengeTTL: time.Duration(l.ChallengeTTL)}
	if compiled.ChallengeTTL == 0 {
		compiled.ChallengeTTL = defaultChallengeTTL
	}
	for _, text := range l.Allow {
		prefix, err := parsePrefix(text)
		if err != nil {
			return nil, err
		}
		compiled.Allow = append(compiled.Allow, prefix)
	}
	var err error
	if compiled.URL, err = directive.Resolve(l.URL); err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	if err := checkLoginURL(compiled.URL); err != nil {
		return nil, err
	}
	compiled.Secrets, err = secrets("login: secret", l.Secrets)
	return compiled, err
}

func (p *ConsentPage) compile() (*rfc.ConsentPage, error) {
	if p == nil {
		return nil, nil
	}
	compiled := &rfc.ConsentPage{Template: rfc.DefaultTemplate, TTL: defaultChallengeTTL}
	if p.Template == "" {
		return compiled, nil
	}
	name, err := directive.Resolve(p.Template)
	if err != nil {
		return nil, fmt.Errorf("consent_page: %w", err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("consent_page: %w", err)
	}
	var t *template.Template
	if t, err = rfc.ParseTemplate(string(text)); err != nil {
		return nil, fmt.Errorf("consent_page %s: %w", name, err)
	}
	compiled.Template = t
	return compiled, nil
}

func (r *Registration) check(s *Server) error {
	switch {
	case r.Open && len(r.Tokens) > 0:
		return errors.New("registration is open and has tokens: remove one of them")
	case !r.Open && len(r.Tokens) == 0:
		return errors.New("registration needs to know who may register: write 'token <hash>' for those who have the token, or 'open' for anyone")
	case r.Unused < 0 || r.Unused != 0 && time.Duration(r.Unused) < time.Minute:
		return fmt.Errorf("registration: unused is %s; it is at least 1m", time.Duration(r.Unused))
	case r.Max < 0:
		return fmt.Errorf("registration: max is %d; it is at least 1", r.Max)
	}
	return checkSubset("registration", r.Scopes, s.Scopes)
}

func checkSubset(option string, scopes, all []string) error {
	for _, scope := range scopes {
		if !slices.Contains(all, scope) {
			return fmt.Errorf("%s: scope %q is not among the scopes of the server: add it there, or remove it here", option, scope)
		}
	}
	return nil
}

func (r *Registration) compile(s *Server) (*rfc.Registration, error) {
	if r == nil {
		return nil, nil
	}
	if err := r.check(s); err != nil {
		return nil, err
	}
	compiled := &rfc.Registration{Open: r.Open, RedirectHosts: r.RedirectHosts, Scopes: r.Scopes, Unused: time.Duration(r.Unused), Max: r.Max}
	if compiled.Unused == 0 {
		compiled.Unused = defaultUnused
	}
	if compiled.Max == 0 {
		compiled.Max = defaultMaxClients
	}
	if len(compiled.Scopes) == 0 {
		compiled.Scopes = s.Scopes
	}
	var err error
	compiled.Tokens, err = secrets("registration: token", r.Tokens)
	return compiled, err
}

// parseRate reads a rate such as 60/m.
func parseRate(text string) (rfc.Rate, error) {
	if text == "off" {
		return rfc.Rate{}, nil
	}
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(number)
	period := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	if err != nil || n < 1 || period == 0 {
		return rfc.Rate{}, fmt.Errorf("a limit is a number and a time, as in 60/m (s, m or h), or off; not %q", text)
	}
	return rfc.Rate{N: n, Period: period}, nil
}

func (l *Limit) compile() (*rfc.Limits, error) {
	if l == nil {
		return nil, nil
	}
	configured := *l
	if configured.Client == "" {
		configured.Client = defaultClientLimit
	}
	if configured.Address == "" {
		configured.Address = defaultAddressLimit
	}
	limits := &rfc.Limits{Now: time.Now}
	var err error
	if limits.Client, err = parseRate(configured.Client); err != nil {
		return nil, fmt.Errorf("limit client: %w", err)
	}
	if limits.Address, err = parseRate(configured.Address); err != nil {
		return nil, fmt.Errorf("limit address: %w", err)
	}
	return limits, nil
}

// servedGrants are those that the configuration serves.
func (s *Server) servedGrants() []string {
	if s.Profile != nil {
		return s.Profile.Served()
	}
	grants := []string{authcore.GrantClientCredentials}
	if s.Login != nil || s.ConsentPage != nil {
		grants = append(grants, authcore.GrantAuthorizationCode, authcore.GrantRefreshToken)
		if s.hasLegacy(legacyImplicit) {
			grants = append(grants, authcore.GrantImplicit)
		}
	}
	return grants
}

func (s *Server) checkGrant(grant string) error {
	switch served := s.servedGrants(); {
	case slices.Contains(served, grant):
		return nil
	case grant == authcore.GrantAuthorizationCode, grant == authcore.GrantRefreshToken:
		return fmt.Errorf("grant %q needs a user who consents: add 'login <url> { ... }' for an application of yours, or 'consent_page' with a handler in front that authenticates people", grant)
	case grant == authcore.GrantImplicit:
		return errors.New("grant \"implicit\" puts tokens into addresses, and has been replaced by authorization_code with PKCE; if a client knows nothing else, add 'legacy implicit', and 'login' or 'consent_page'")
	default:
		return fmt.Errorf("grant %q is not served: this server serves %s", grant, strings.Join(served, ", "))
	}
}
