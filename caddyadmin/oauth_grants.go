// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

func init() {
	caddy.RegisterModule(oauthGrants{})
}

// oauthGrants shows what people have granted to clients, and ends it:
//
//	GET          /gluu/oauth2_grants?subject=&client_id=   a list
//	DELETE       /gluu/oauth2_grants?subject=&client_id=   ends all that match; one of the two is required
//	GET, DELETE  /gluu/oauth2_grants/{id}                  one
//
// From the first write on no token of a grant that has ended is valid.
type oauthGrants struct{}

// CaddyModule implements caddy.Module.
func (oauthGrants) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_oauth2_grants",
		New: func() caddy.Module { return new(oauthGrants) },
	}
}

// Routes implements caddy.AdminRouter.
func (oauthGrants) Routes() (routes []caddy.AdminRoute) {
	for pattern, h := range grantRoutes {
		routes = append(routes, h.route(pattern))
	}
	return audited(routes)
}

var grantRoutes = map[string]oauthHandler{
	"/gluu/oauth2_grants":      oauthMethods(map[string]oauthHandler{"GET": listGrants, "DELETE": endGrants}),
	"/gluu/oauth2_grants/{id}": oauthMethods(map[string]oauthHandler{"GET": getGrant, "DELETE": endGrant}),
}

// storedGrant is what a person has granted a client.
type storedGrant struct {
	ID        string         `json:"id"`
	Issuer    string         `json:"issuer"`
	ClientID  string         `json:"client_id"`
	UserID    string         `json:"authenticated_userid"`
	Type      string         `json:"type"`
	Service   *credentialRef `json:"service,omitempty"`
	Scope     string         `json:"scope,omitempty"`
	Resources []string       `json:"resources,omitempty"`
	CreatedAt int64          `json:"created_at"`
	ExpiresAt int64          `json:"expires_at,omitempty"`
}

func grantOf(g *authcore.Grant) storedGrant {
	out := storedGrant{
		ID: g.ID, Issuer: g.Issuer, ClientID: g.ClientID, UserID: g.Subject, Type: g.Type,
		Scope: strings.Join(g.Scopes, " "), Resources: g.Resources, CreatedAt: g.Created.Unix(),
	}
	if service := strings.TrimSuffix(g.Service, "*"); service != "" {
		out.Service = &credentialRef{service}
	}
	if !g.Expires.IsZero() {
		out.ExpiresAt = g.Expires.Unix()
	}
	return out
}

func listGrants(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	s, err := a.server(r)
	if err != nil {
		return err
	}
	size, offset, by, err := oauthListing(r, "subject", "client_id", "service")
	if err != nil {
		return err
	}
	page, next, err := s.Store.ListGrants(r.Context(), authcore.Filter{Subject: by["subject"], ClientID: by["client_id"], Service: by["service"]}, offset, size)
	if err != nil {
		return err
	}
	var data []any
	for _, g := range page {
		data = append(data, grantOf(g))
	}
	return writePage(w, r, data, next)
}

// endGrants ends the grants of a person, a client, or both. What a person has consented to
// for good is forgotten with them.
func endGrants(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	s, err := a.server(r)
	if err != nil {
		return err
	}
	_, _, by, err := oauthListing(r, "subject", "client_id")
	if err != nil {
		return err
	}
	subject, clientID := by["subject"], by["client_id"]
	if subject == "" && clientID == "" {
		return simpleFault(http.StatusBadRequest, "name a person with ?subject=, or a client with ?client_id=, or both")
	}
	if subject != "" && clientID == "" {
		if err := s.Store.Forget(r.Context(), subject); err != nil {
			return err
		}
	}
	ended, err := s.Store.EndGrants(r.Context(), authcore.Filter{Subject: subject, ClientID: clientID})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]int{"ended": ended})
}

func getGrant(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	s, err := a.server(r)
	if err != nil {
		return err
	}
	g, err := s.Store.Grant(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, grantOf(g))
}

func endGrant(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	s, err := a.server(r)
	if err != nil {
		return err
	}
	g, err := s.Store.Grant(r.Context(), r.PathValue("id"))
	if err == nil {
		err = s.Store.EndGrant(r.Context(), g.ID)
	}
	if err != nil && !errors.Is(err, authcore.ErrNotFound) {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// forgetConsumer deletes the clients of a consumer that is no longer there, with their grants
// and tokens, and reports whether there were any.
func (a *oauthAdmin) forgetConsumer(ctx context.Context, id string) (found bool, err error) {
	for _, s := range a.uniqueServers() {
		for after := []byte(nil); ; {
			clients, next, err := s.Store.ListClients(ctx, authcore.Filter{Consumer: id}, after, defaultPage)
			if err != nil {
				return found, err
			}
			for _, c := range clients {
				if err := s.Store.DeleteClient(ctx, c); err != nil {
					return found, err
				}
				found = true
			}
			if len(clients) == 0 && next == nil {
				break
			}
			if after = next; len(clients) > 0 {
				after = nil // from the start: the page is no longer there
			}
		}
	}
	return found, nil
}

// Interface guards
var _ caddy.AdminRouter = (*oauthGrants)(nil)
