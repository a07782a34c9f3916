// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

const (
	pkceAll        = "all"
	pkcePublic     = "public"
	pushedOptional = "optional"
	pushedRequired = "required"
)

// checkServer checks the server's own settings.
func (s *Server) checkServer() error {
	for i, scope := range s.Scopes {
		if err := authcore.CheckScope(scope); err != nil {
			return err
		}
		if slices.Contains(s.Scopes[:i], scope) {
			return fmt.Errorf("scope %q is given twice: keep one of them", scope)
		}
	}
	for scope := range s.ScopeTexts {
		if !slices.Contains(s.Scopes, scope) {
			return fmt.Errorf("scope_texts has %q, which is not among the scopes of the server: add it there, or remove it here", scope)
		}
	}
	for i, resource := range s.Resources {
		if err := authcore.CheckResource(resource); err != nil {
			return err
		}
		if slices.Contains(s.Resources[:i], resource) {
			return fmt.Errorf("resource %q is given twice: keep one of them", resource)
		}
	}
	for _, name := range s.Legacy {
		if err := checkLegacy(name); err != nil {
			return err
		}
	}
	if err := s.checkProfile(); err != nil {
		return err
	}
	if err := checkFormat(s.TokenFormat); err != nil {
		return err
	}
	if err := s.checkTimes(); err != nil {
		return err
	}
	if err := s.checkPeople(); err != nil {
		return err
	}
	if err := s.checkHostPatterns(); err != nil {
		return err
	}
	if s.needsClients() { // other servers are not known yet
		return nil
	}
	return s.checkHasClients()
}

// checkHostPattern refuses what no host of an address can match.
func checkHostPattern(pattern string) error {
	host := strings.TrimPrefix(pattern, "*.")
	if pattern == "*" || host != "" && !strings.ContainsAny(host, "*/:@?# ") || net.ParseIP(pattern) != nil {
		return nil
	}
	return fmt.Errorf("%q is not a host: write 'client.example.com', '*.example.com' for all below it, or '*' for any", pattern)
}

// checkHostPatterns checks those of a configuration in JSON.
func (s *Server) checkHostPatterns() error {
	patterns := s.ClientMetadataDocuments
	if s.Registration != nil {
		patterns = append(slices.Clip(patterns), s.Registration.RedirectHosts...)
	}
	for _, pattern := range patterns {
		if err := checkHostPattern(pattern); err != nil {
			return err
		}
	}
	return nil
}

// checkHasClients refuses a server that no one could have a token of.
func (s *Server) checkHasClients() error {
	if len(s.Clients) > 0 || s.borrows || s.Profile != nil || s.Registration != nil || len(s.ClientMetadataDocuments) > 0 {
		return nil
	}
	return errors.New("no client is configured, so no token could be issued: add 'client <client_id> { secret <hash> ... }', or 'registration { ... }'")
}

func (s *Server) checkTimes() error {
	switch {
	case time.Duration(s.TokenTTL) < time.Second:
		return fmt.Errorf("token_ttl is %s; a token has to last at least 1s", time.Duration(s.TokenTTL))
	case time.Duration(s.UserTokenTTL) < time.Second:
		return fmt.Errorf("user_token_ttl is %s; a token has to last at least 1s", time.Duration(s.UserTokenTTL))
	case time.Duration(s.CodeTTL) < time.Second || time.Duration(s.CodeTTL) > maxCodeTTL:
		return fmt.Errorf("code_ttl is %s; a code lasts 1s to %s", time.Duration(s.CodeTTL), maxCodeTTL)
	case s.RefreshToken != nil:
		return s.RefreshToken.check()
	}
	return nil
}

// checkPeople checks how people are asked.
func (s *Server) checkPeople() error {
	asks := s.Login != nil || s.ConsentPage != nil
	switch {
	case s.Login != nil && s.ConsentPage != nil:
		return errors.New("login and consent_page are two ways to ask people: keep one of them")
	case s.PKCE != "" && s.PKCE != pkceAll && s.PKCE != pkcePublic:
		return fmt.Errorf("pkce is %s or %s, not %q", pkceAll, pkcePublic, s.PKCE)
	case s.PushedAuthorization != "" && s.PushedAuthorization != pushedOptional && s.PushedAuthorization != pushedRequired:
		return fmt.Errorf("pushed_authorization is %s or %s, not %q", pushedOptional, pushedRequired, s.PushedAuthorization)
	case asks || s.Profile != nil: // see checkProfile
		return nil
	}
	return s.checkWithoutPeople()
}

// checkWithoutPeople refuses options that need a person, where no one is asked.
func (s *Server) checkWithoutPeople() error {
	for _, option := range []struct {
		name  string
		given bool
		kong  string // what to do with profile kong; empty: the profile serves it
	}{
		{"pkce", s.PKCE != "", "write it into the block of the profile: 'pkce none|lax|strict'"},
		{"pushed_authorization", s.PushedAuthorization != "", "remove it"},
		{"refresh_token", s.RefreshToken != nil, "write refresh_token_ttl and reuse_refresh_token into the block of the profile"},
		{"registration", s.Registration != nil, "remove it; clients come from the configuration or the admin API"},
		{"client_metadata_documents", len(s.ClientMetadataDocuments) > 0, "remove it; clients come from the configuration or the admin API"},
		{"legacy implicit", s.hasLegacy(legacyImplicit), ""},
	} {
		switch {
		case !option.given || s.Profile != nil && option.kong == "":
		case s.Profile != nil:
			return fmt.Errorf("profile kong does not know %s: %s", option.name, option.kong)
		default:
			return fmt.Errorf("%s is about consent, and there is no way to ask a user for it: add 'login <url> { ... }' or 'consent_page'", option.name)
		}
	}
	return nil
}
