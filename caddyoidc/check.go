// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/pathmatch"
)

// expressionVars are the variables of custom headers.
var expressionVars = []string{"id_token", "userinfo", "access_token", "consumer"}

// Defaults, and the bounds of what can be configured.
const (
	defaultRedirectPath  = "/callback"
	defaultPostLogout    = "/"
	defaultLanding       = "/"
	defaultIDTokenAge    = time.Hour
	defaultAuthAge       = 24 * time.Hour
	defaultIdleTimeout   = time.Hour
	defaultSessionMaxAge = 12 * time.Hour
	defaultLeeway        = 30 * time.Second
	defaultRestoreBody   = 64 << 10
	maxRestoreBody       = 1 << 20
	maxLeeway            = 5 * time.Minute
)

// protocolPath is one of the paths that the handler answers itself.
type protocolPath struct {
	option string
	path   string // "" if there is none
}

// protocolPaths returns the paths of this site that the handler answers.
func (c *Config) protocolPaths() []protocolPath {
	paths := []protocolPath{
		{"authorization_redirect_path", c.AuthorizationRedirectPath},
		{"logout_path", c.LogoutPath},
		{"backchannel_logout_path", c.BackchannelLogoutPath},
		{"frontchannel_logout_path", c.FrontchannelLogoutPath},
		{"initiate_login_path", c.InitiateLoginPath},
	}
	if paths[0].path == "" {
		paths[0].path = defaultRedirectPath
	}
	if path := c.PostLogoutRedirectPathOrURL; strings.HasPrefix(path, "/") {
		paths = append(paths, protocolPath{"post_logout_redirect_path_or_url", path})
	}
	return paths
}

// check refuses what cannot be right whatever else is configured. The
// Caddyfile parser calls it to name the line, and Provision for JSON.
func (c *Config) check() error {
	if c.Provider != "" && c.hasOwnProvider() {
		return fmt.Errorf("provider %q is named and another one described; leave out the name, or everything about the other (issuer, client_id, ...)", c.Provider)
	}
	if c.hasOwnProvider() {
		if err := c.Config.Check(); err != nil {
			return err
		}
	}
	if err := c.checkValues(); err != nil {
		return err
	}
	compiled, err := c.compileRules()
	if err != nil {
		return err
	}
	if err := c.checkPaths(compiled); err != nil {
		return err
	}
	return c.checkCombinations()
}

// hasOwnProvider reports whether the handler describes a provider itself.
func (c *Config) hasOwnProvider() bool { return !reflect.ValueOf(c.Config).IsZero() }

// checkValues refuses options that are wrong by themselves.
func (c *Config) checkValues() error {
	for _, check := range []func() error{c.checkWords, c.checkAddresses, c.checkScopes, c.checkDurations, c.checkCookies} {
		if err := check(); err != nil {
			return err
		}
	}
	set, err := headers.CompileSet(c.CustomHeaders, expressionVars...)
	if err != nil {
		return err
	}
	if c.PhantomTokenAlg != "" && !set.NeedsSigning() {
		return errors.New("phantom_token_alg has no effect; only headers with the format jwt are signed here")
	}
	return nil
}

func (c *Config) checkWords() error {
	for _, word := range []struct {
		option, value string
		known         []string
	}{
		{"par", c.PAR, []string{"auto", "on", "off"}},
		{"acr", c.ACR, []string{"essential", "voluntary"}},
		{"unauthenticated", c.Unauthenticated, []string{"auto", "login", "deny", "pass"}},
		{"cookie_same_site", c.CookieSameSite, []string{"lax", "strict", "none"}},
		{"phantom_token_alg", c.PhantomTokenAlg, []string{headers.AlgorithmES256, headers.AlgorithmRS256, headers.AlgorithmEdDSA, headers.AlgorithmNone}},
	} {
		if word.value != "" && !slices.Contains(word.known, word.value) {
			return fmt.Errorf("%s is %s, not %q", word.option, directive.Either(word.known), word.value)
		}
	}
	if strings.ContainsFunc(c.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '{' }) {
		return fmt.Errorf("realm %q is not a fixed text of printable ASCII; placeholders are not replaced in it", c.Realm)
	}
	return nil
}

func (c *Config) checkAddresses() error {
	for _, p := range append(c.protocolPaths(), protocolPath{"landing_path", c.LandingPath}) {
		if err := checkPath(p); err != nil {
			return err
		}
		if p.path == "/" && p.option != "landing_path" && p.option != "post_logout_redirect_path_or_url" {
			return fmt.Errorf("%s %q is the front page, which no one could open any more; choose a path of its own, as in %s", p.option, p.path, defaultRedirectPath)
		}
	}
	if c.BaseURL != "" {
		if err := checkOrigin(c.BaseURL); err != nil {
			return err
		}
	}
	if after := c.PostLogoutRedirectPathOrURL; after != "" && !strings.HasPrefix(after, "/") {
		if _, err := directive.URL("post_logout_redirect_path_or_url", after); err != nil {
			return err
		}
	}
	for _, resource := range c.Resources {
		if u, err := url.Parse(resource); err != nil || !u.IsAbs() || u.Fragment != "" || strings.Contains(resource, "#") {
			return fmt.Errorf("resource %q is not an absolute URI without a fragment (RFC 8707)", resource)
		}
	}
	return nil
}

// checkPath refuses a path that no request can have in exactly this spelling.
func checkPath(p protocolPath) error {
	if p.path == "" {
		return nil
	}
	if err := pathmatch.CheckFixed(p.path); err != nil {
		return fmt.Errorf("%s %q %w", p.option, p.path, err)
	}
	return nil
}

func checkOrigin(base string) error {
	u, err := directive.URL("base_url", base)
	if err != nil {
		return err
	}
	if port := u.Port(); port != "" {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return fmt.Errorf("base_url %q has no valid port; write one from 1 to 65535, or none", base)
		}
	}
	if strings.Contains(u.Host, "*") {
		return fmt.Errorf("base_url %q is not one address; browsers cannot be sent to a wildcard, so write the host that they come to", base)
	}
	if u.Path != "" || u.RawQuery != "" || u.ForceQuery {
		return fmt.Errorf("base_url %q is not an origin; write scheme, host and port only, as in https://app.example.com", base)
	}
	return nil
}

func (c *Config) checkScopes() error {
	for i, scope := range c.RequestedScopes {
		if slices.Contains(c.RequestedScopes[:i], scope) {
			return fmt.Errorf("requested_scopes: %q is there twice; keep one", scope)
		}
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return fmt.Errorf("requested_scopes: %q is not a scope; write scopes separated by spaces", scope)
		}
	}
	if len(c.RequestedScopes) > 0 && !slices.Contains(c.RequestedScopes, "openid") {
		return errors.New("requested_scopes lacks openid, without which there is no ID token; add it")
	}
	seen := make(map[string]bool)
	for _, p := range c.AuthorizationParams {
		switch {
		case p.Name == "" || p.Value == "":
			return fmt.Errorf("authorization_param %q has no name or no value", p.Name)
		case ownParams[p.Name]:
			return fmt.Errorf("authorization_param %q is set by the gateway itself; use the option for it", p.Name)
		case seen[p.Name]:
			return fmt.Errorf("authorization_param %q is given twice; keep one", p.Name)
		case strings.Contains(p.Value, "{http.") || strings.Contains(p.Value, "{gluu."):
			return fmt.Errorf("authorization_param %q has a fixed value; placeholders of a request are not replaced in it", p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}

func (c *Config) checkDurations() error {
	for _, d := range []struct {
		option string
		value  caddy.Duration
	}{
		{"max_id_token_age", c.MaxIDTokenAge}, {"max_id_token_auth_age", c.MaxIDTokenAuthAge},
		{"session_max_age", c.SessionMaxAge}, {"userinfo_interval", c.UserinfoInterval},
	} {
		if d.value != 0 && time.Duration(d.value) < time.Second {
			return fmt.Errorf("%s is %s; it takes a second at least, as in 30m", d.option, time.Duration(d.value))
		}
	}
	if c.IdleTimeout != nil && *c.IdleTimeout != 0 && time.Duration(*c.IdleTimeout) < time.Second {
		return fmt.Errorf("idle_timeout is %s; it takes a second at least, or 0 for none", time.Duration(*c.IdleTimeout))
	}
	if c.ClockLeeway != nil && (*c.ClockLeeway < 0 || time.Duration(*c.ClockLeeway) > maxLeeway) {
		return fmt.Errorf("clock_leeway is %s; it takes 0s to %s", time.Duration(*c.ClockLeeway), maxLeeway)
	}
	if c.RestoreMaxBody < 0 || c.RestoreMaxBody > maxRestoreBody {
		return fmt.Errorf("restore_original_auth_params: a body can have at most %d bytes, not %d", maxRestoreBody, c.RestoreMaxBody)
	}
	return nil
}

func (c *Config) checkCookies() error {
	name := c.CookieName
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r) }) {
		return fmt.Errorf("cookie_name %q is not a cookie name; use letters, digits, '-' and '_'", name)
	}
	if strings.HasPrefix(name, securePrefix) && c.CookieDomain != "" {
		return fmt.Errorf("cookie_name %q and cookie_domain exclude each other: browsers keep __Host- cookies without a domain only; use __Secure- or leave the domain out", name)
	}
	for _, reserved := range []string{loginCookie, restoreCookie} {
		if strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(name, securePrefix), domainPrefix), reserved) {
			return fmt.Errorf("cookie_name %q is taken by the gateway's own cookies; choose another one", name)
		}
	}
	if domain := c.CookieDomain; domain != "" && (strings.ContainsAny(domain, "/:*{} ,;") || !strings.Contains(strings.Trim(domain, "."), ".")) {
		return fmt.Errorf("cookie_domain %q is not a domain, as in example.com", domain)
	}
	return nil
}

// checkPaths refuses paths that mean two things.
func (c *Config) checkPaths(compiled *rules) error {
	used := make(map[string]string)
	for _, p := range c.protocolPaths() {
		if p.path == "" {
			continue
		}
		if other, taken := used[p.path]; taken {
			return fmt.Errorf("%s and %s are both %q; give each a path of its own", other, p.option, p.path)
		}
		used[p.path] = p.option
		if compiled == nil {
			continue
		}
		if pattern, literal := compiled.literal(p.path); literal {
			return fmt.Errorf("path %q with no_auth is %s, which needs no rule; remove it", pattern, p.option)
		}
	}
	return nil
}

func (c *Config) checkCombinations() error {
	switch {
	case c.RestoreOriginalAuthParams && c.Unauthenticated == string(unauthenticatedDeny):
		return errors.New("restore_original_auth_params has no effect with 'unauthenticated deny'; remove one of the two")
	case c.Anonymous != "" && c.Unauthenticated != string(unauthenticatedPass):
		return errors.New("anonymous has no effect without 'unauthenticated pass'; add it")
	case c.RestoreMaxBody != 0 && !c.RestoreOriginalAuthParams:
		return errors.New("restore_original_auth_params is false, so it has no size; remove one of the two")
	case c.UserinfoInterval != 0 && c.Userinfo != nil && !*c.Userinfo:
		return errors.New("userinfo is off, so it has no interval; remove one of the two")
	case c.ConsumerMapping && c.ConsumerClaim == "":
		return errors.New("consumer_mapping needs consumer_claim, which says by what a consumer is found; add it")
	case len(c.RequiredACRsExpression) > 0 && c.RequiredACRsExpressionFile != "":
		return errors.New("required_acrs_expression and required_acrs_expression_file exclude each other; keep one")
	}
	return nil
}
