// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/authserver/kong"
	"github.com/caddy-gluu/gateway/authserver/rfc"
	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/clientauth"
)

// A profile answers at the authorization and token endpoints in the place of package rfc, on
// the same clients, store and records.

// checkProfile refuses a profile that cannot be right.
func (s *Server) checkProfile() error {
	if s.Profile == nil {
		return s.checkLegacy()
	}
	if err := s.Profile.Check(s.kongLegacy()); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if s.Login != nil || s.ConsentPage != nil {
		return errors.New("profile kong asks no people itself: its login application posts to the authorization endpoint with the provision_key; remove 'login' and 'consent_page'")
	}
	if s.TokenFormat == jwtFormat {
		return errors.New("profile kong issues opaque tokens of 32 characters: remove 'token_format jwt'")
	}
	return s.checkWithoutPeople()
}

// checkLegacy refuses words of legacy that are for a profile, without one.
func (s *Server) checkLegacy() error {
	if s.Profile == nil && s.hasLegacy(legacyPassword) {
		return errors.New("legacy password is served with 'profile kong' only: this server has no passwords to check. Let the client use authorization_code, where the login application checks them")
	}
	return nil
}

func (s *Server) kongLegacy() kong.Legacy {
	return kong.Legacy{Implicit: s.hasLegacy(legacyImplicit), Password: s.hasLegacy(legacyPassword), QueryCredentials: s.hasLegacy(legacyQueryCredentials)}
}

// compileProfile makes the codec of the profile, nil without one. What only the start
// provides is missing.
func (s *Server) compileProfile() (*kong.Server, error) {
	if s.Profile == nil {
		return nil, nil
	}
	keys, err := secrets("profile: provision_key", s.Profile.ProvisionKey)
	if err != nil {
		return nil, err
	}
	for _, warning := range s.Profile.Warnings() {
		s.logger.Warn(warning, zap.String("issuer", s.issuer.Name))
	}
	// A credential of Kong names neither grants nor scopes: it can have all.
	s.rfc.Served = s.Profile.Served()
	s.rfc.ClientDefaults = rfc.ClientDefaults{Grants: s.rfc.Served, Scopes: s.Scopes}
	return &kong.Server{
		Profile: *s.Profile, Legacy: s.kongLegacy(),
		Issuer: s.issuer.Name, Service: s.Service, Scopes: s.Scopes, MaxTokens: s.rfc.MaxTokens,
		FindClient:  s.rfc.FindClient,
		CheckSecret: s.checkClientSecret,
		CheckProvisionKey: func(r *http.Request, key string) (bool, error) {
			return s.checkKey(r, keys, key)
		},
		Issued: s.rfc.CountIssued,
		Refused: func(r *http.Request, refused kong.Refusal) {
			s.rfc.Report(r, rfc.Refused(refused))
		},
	}, nil
}

// checkClientSecret reports whether one of the readings of a secret is that of the client
// with an id. All of them are one attempt.
func (s *Server) checkClientSecret(r *http.Request, method, id string, readings ...string) (right bool, err error) {
	remembered := func(secret string) bool {
		return s.rfc.Auth.Remembers(r.Context(), clientauth.Credentials{ID: id, Secret: secret})
	}
	known := func() bool { return slices.ContainsFunc(readings, remembered) }
	limited, err := s.rfc.WithLimit(r, id, known, func() (bool, error) {
		if i := slices.IndexFunc(readings, remembered); i >= 0 {
			readings = readings[i : i+1] // a hash of another reading would be for nothing
		}
		for _, secret := range readings {
			_, err := s.rfc.Auth.Secret(r.Context(), method, r.RemoteAddr, clientauth.Credentials{ID: id, Secret: secret})
			if _, refused := errors.AsType[*authcore.Fault](err); refused {
				continue
			}
			right = err == nil
			return right, err
		}
		return false, nil
	})
	if limited {
		return false, kong.ErrLimited
	}
	return right, err
}

// checkKey reports whether a key is that of the login application.
func (s *Server) checkKey(r *http.Request, keys []*clientauth.Secret, key string) (right bool, err error) {
	limited, err := s.rfc.WithLimit(r, "", func() bool { return false }, func() (bool, error) {
		right, err = s.rfc.Auth.Verifier.Bearer(r.Context(), "provision key", r.RemoteAddr, keys, key)
		return right, err
	})
	if limited {
		return false, kong.ErrLimited
	}
	return right, err
}

// endpoints answers the requests that are for a server: first those of its profile.
func (s *Server) endpoints(r *http.Request) endpoints {
	if s.kong != nil && s.kong.Answers(r) {
		return s.kong
	}
	if s.rfc.Answers(r) {
		return s.rfc
	}
	return nil
}

type endpoints interface {
	http.Handler
	ServeStarting(w http.ResponseWriter, r *http.Request, err error)
}

// View is a running server as the admin API sees it.
type View struct {
	Issuer, Service           string
	Scopes, Resources, Grants []string
	HTTPRedirects             bool // whether redirect URIs may be http
	Forms                     bool // whether the admin API takes forms, as Kong's does

	Store   *authcore.Store
	Clients map[string]*authcore.Client // of the configuration, by client_id

	// Find returns the active token that a text is, or authcore.ErrNotFound.
	Find func(ctx context.Context, text string) (*authcore.AccessToken, error)
}

// Running returns the servers of the running configuration.
func Running() []View {
	app := started.Current()
	if app == nil {
		return nil
	}
	var views []View
	for _, s := range app.servers {
		views = append(views, View{
			Issuer: s.issuer.Name, Service: s.Service, Scopes: s.Scopes, Resources: s.Resources, Grants: s.servedGrants(),
			HTTPRedirects: s.hasLegacy(legacyHTTPRedirects), Forms: s.Profile != nil,
			Store: s.rfc.Store, Clients: s.rfc.Clients, Find: s.rfc.FindToken,
		})
	}
	return views
}

// Interface guards
var (
	_ endpoints = (*kong.Server)(nil)
	_ endpoints = (*rfc.Server)(nil)
)
