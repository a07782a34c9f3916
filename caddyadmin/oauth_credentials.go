// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/uuid"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/internal/authcore"
)

func init() {
	caddy.RegisterModule(oauthCredentials{})
}

// oauthCredentials manages the clients of the authorization server without a reload, with
// the addresses and objects of Kong's admin API:
//
//	GET, POST                /gluu/oauth2                        all credentials
//	GET, PUT, PATCH, DELETE  /gluu/oauth2/{x}                    one, by its id or client_id
//	POST                     /gluu/oauth2/{x}/secret             a new secret; the old one is good for `overlap`
//	GET, POST                /gluu/consumers/{c}/oauth2          those of a consumer
//	GET, PUT, PATCH, DELETE  /gluu/consumers/{c}/oauth2/{x}
//
// A secret is shown once, in the answer to the request that makes it, and stored as a hash.
// Clients of the configuration are listed too, but can only be changed there.
type oauthCredentials struct{}

// CaddyModule implements caddy.Module.
func (oauthCredentials) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_oauth2",
		New: func() caddy.Module { return new(oauthCredentials) },
	}
}

// Routes implements caddy.AdminRouter.
func (oauthCredentials) Routes() (routes []caddy.AdminRoute) {
	for pattern, h := range credentialRoutes {
		routes = append(routes, h.route(pattern))
	}
	return audited(routes)
}

var credentialRoutes = map[string]oauthHandler{
	"/gluu/oauth2":               oauthMethods(map[string]oauthHandler{"GET": listCredentials, "POST": createCredential}),
	"/gluu/oauth2/{x}":           oauthMethods(oneCredential),
	"/gluu/oauth2/{x}/secret":    oauthMethods(map[string]oauthHandler{"POST": renewSecret}),
	"/gluu/consumers/{c}/oauth2": oauthMethods(map[string]oauthHandler{"GET": listCredentials, "POST": createCredential}),

	"/gluu/consumers/{c}/oauth2/{x}": oauthMethods(oneCredential),
}

var oneCredential = map[string]oauthHandler{"GET": getCredential, "PUT": putCredential, "PATCH": patchCredential, "DELETE": deleteCredential}

// credential is a client in Kong's shape. Unset members are left out.
type credential struct {
	ID       string         `json:"id"`
	Consumer *credentialRef `json:"consumer,omitempty"`
	Name     string         `json:"name"`
	ClientID string         `json:"client_id"`

	// Only in the answer to the request that makes it.
	ClientSecret string `json:"client_secret,omitempty"`

	HashSecret   bool     `json:"hash_secret"`
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	ClientType   string   `json:"client_type"`
	Tags         []string `json:"tags,omitempty"`
	CreatedAt    int64    `json:"created_at,omitempty"`

	Grants    []string        `json:"grants,omitempty"`
	Scopes    []string        `json:"scopes,omitempty"`
	Resources []string        `json:"resources,omitempty"`
	Auth      string          `json:"auth,omitempty"`
	JWKS      json.RawMessage `json:"jwks,omitempty"`

	IDTokenAlg string `json:"id_token_signed_response_alg,omitempty"`
}

type credentialRef struct {
	ID string `json:"id"`
}

const (
	typeConfidential = "confidential"
	typePublic       = "public"
)

var authNames = map[string]string{
	"": "", "basic": authcore.AuthBasic, "post": authcore.AuthPost, "private_key_jwt": authcore.AuthPrivateKeyJWT, "none": authcore.AuthNone,
}

func credentialOf(c *authcore.Client) credential {
	out := credential{
		ID: c.ID, Name: c.Name, ClientID: c.ClientID, HashSecret: true, RedirectURIs: c.RedirectURIs, ClientType: typeConfidential,
		Tags: c.Tags, Grants: c.Grants, Scopes: c.Scopes, Resources: c.Resources, JWKS: c.JWKS, IDTokenAlg: c.IDTokenAlg,
	}
	for name, auth := range authNames {
		if auth != "" && auth == c.Auth {
			out.Auth = name
		}
	}
	if c.Public {
		out.ClientType = typePublic
	}
	if c.Consumer != "" {
		out.Consumer = &credentialRef{c.Consumer}
	}
	if !c.Created.IsZero() {
		out.CreatedAt = c.Created.Unix()
	}
	return out
}

// consumerOf returns the consumer of the address, nil if that names none.
func (a *oauthAdmin) consumerOf(r *http.Request) (*consumer.Consumer, error) {
	name := r.PathValue("c")
	if name == "" {
		return nil, nil
	}
	found, err := a.directory.Lookup(name)
	if errors.Is(err, consumer.ErrNotFound) {
		return nil, entityNotFound()
	}
	return found, err
}

// configured returns the clients of the configuration that a listing has, in the order of
// their client_ids.
func (a *oauthAdmin) configured(s *oauthServer, of *consumer.Consumer) []*authcore.Client {
	byID := make(map[string]*authcore.Client)
	for _, peer := range a.peers(s) {
		for id, c := range peer.Clients {
			if of == nil || a.isOf(c, of) {
				byID[id] = withID(c)
			}
		}
	}
	clients := slices.Collect(maps.Values(byID))
	slices.SortFunc(clients, func(x, y *authcore.Client) int {
		if x.ClientID < y.ClientID {
			return -1
		}
		return 1
	})
	return clients
}

// isOf reports whether a client is a consumer's: it names it, or is its custom_id.
func (a *oauthAdmin) isOf(c *authcore.Client, of *consumer.Consumer) bool {
	if c.Consumer == "" {
		return of.CustomID != "" && c.ClientID == of.CustomID
	}
	return c.Consumer == of.ID || c.Consumer == of.Username
}

// withID gives a client of the configuration an id, the same one always.
func withID(c *authcore.Client) *authcore.Client {
	known := *c
	known.Configured = true
	if known.ID == "" {
		known.ID = uuid.NewSHA1(configuredClients, []byte(c.ClientID)).String()
	}
	return &known
}

var configuredClients = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/caddy-gluu/gateway/oauth2"))

// Offsets of a listing begin with the part that they are in.
const (
	configuredPart = 'c'
	livePart       = 'l'
)

func listCredentials(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	s, err := a.server(r)
	if err != nil {
		return err
	}
	of, err := a.consumerOf(r)
	if err != nil {
		return err
	}
	size, offset, _, err := oauthListing(r)
	if err != nil {
		return err
	}
	var data []any
	if len(offset) == 0 || offset[0] == configuredPart {
		var after string
		if len(offset) > 0 {
			after = string(offset[1:])
		}
		for _, c := range a.configured(s, of) {
			if offset != nil && c.ClientID <= after {
				continue
			}
			if len(data) == size {
				return writePage(w, r, data, append([]byte{configuredPart}, data[size-1].(credential).ClientID...))
			}
			data = append(data, credentialOf(c))
		}
		offset = []byte{livePart}
	}
	if offset[0] != livePart {
		return &oauthFault{http.StatusBadRequest, "offset is not one that a listing returned", "invalid offset", 7, nil}
	}
	by := authcore.Filter{}
	if of != nil {
		by.Consumer = of.ID
	}
	live, next, err := s.Store.ListClients(r.Context(), by, offset[1:], max(size-len(data), 1))
	if err != nil {
		return err
	}
	for _, c := range live {
		data = append(data, credentialOf(c))
	}
	if next != nil {
		next = append([]byte{livePart}, next...)
	}
	return writePage(w, r, data, next)
}

// find returns the client with an id or client_id, of the consumer in the address if that
// names one.
func (a *oauthAdmin) find(r *http.Request) (*oauthServer, *authcore.Client, error) {
	s, err := a.server(r)
	if err != nil {
		return nil, nil, err
	}
	of, err := a.consumerOf(r)
	if err != nil {
		return nil, nil, err
	}
	c, err := a.lookup(r.Context(), s, r.PathValue("x"))
	if err == nil && of != nil && !a.isOf(c, of) {
		err = authcore.ErrNotFound
	}
	return s, c, err
}

func (a *oauthAdmin) lookup(ctx context.Context, s *oauthServer, x string) (*authcore.Client, error) {
	for _, c := range a.configured(s, nil) {
		if c.ClientID == x || c.ID == x {
			return c, nil
		}
	}
	if _, err := uuid.Parse(x); err == nil {
		if c, err := s.Store.ClientByID(ctx, x); !errors.Is(err, authcore.ErrNotFound) {
			return c, err
		}
	}
	return s.Store.Client(ctx, x)
}

func getCredential(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	_, c, err := a.find(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, credentialOf(c))
}

func createCredential(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	s, err := a.server(r)
	if err != nil {
		return err
	}
	c := new(authcore.Client)
	secret, err := a.readCredential(w, r, s, c)
	if err != nil {
		return err
	}
	return a.create(w, r, s, c, secret, http.StatusCreated)
}

func (a *oauthAdmin) create(w http.ResponseWriter, r *http.Request, s *oauthServer, c *authcore.Client, secret string, status int) error {
	if a.isConfigured(s, c.ClientID) {
		return notUnique("client_id", c.ClientID)
	}
	if err := s.Store.CreateClient(r.Context(), c); errors.Is(err, authcore.ErrExists) {
		return notUnique("client_id", c.ClientID)
	} else if err != nil {
		return err
	}
	return answerCredential(w, status, c, secret)
}

func (a *oauthAdmin) isConfigured(s *oauthServer, clientID string) bool {
	return clientID != "" && slices.ContainsFunc(a.configured(s, nil), func(c *authcore.Client) bool { return c.ClientID == clientID })
}

func answerCredential(w http.ResponseWriter, status int, c *authcore.Client, secret string) error {
	noteSubject(w, c.ID)
	w.Header().Set("Cache-Control", "no-store")
	out := credentialOf(c)
	out.ClientSecret = secret
	return writeJSON(w, status, out)
}

// putCredential replaces a client, or creates it under the id or client_id in the address.
func putCredential(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	s, before, err := a.find(r)
	if err != nil && !errors.Is(err, authcore.ErrNotFound) {
		return err
	}
	x, isNew := r.PathValue("x"), before == nil
	c := new(authcore.Client)
	if !isNew {
		c.ID, c.ClientID, c.Created, c.Secrets = before.ID, before.ClientID, before.Created, before.Secrets
	} else if id, err := uuid.Parse(x); err == nil {
		c.ID = id.String()
	} else {
		c.ClientID = x
	}
	if before != nil && before.Configured {
		return configuredClient()
	}
	secret, err := a.readCredential(w, r, s, c)
	if err != nil {
		return err
	}
	if isNew {
		return a.create(w, r, s, c, secret, http.StatusCreated)
	}
	return a.replace(w, r, s, before, c, secret)
}

func patchCredential(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	s, before, err := a.find(r)
	if err != nil {
		return err
	}
	if before.Configured {
		return configuredClient()
	}
	c := *before
	secret, err := a.readCredential(w, r, s, &c)
	if err != nil {
		return err
	}
	return a.replace(w, r, s, before, &c, secret)
}

func (a *oauthAdmin) replace(w http.ResponseWriter, r *http.Request, s *oauthServer, before, after *authcore.Client, secret string) error {
	if after.ClientID != before.ClientID && a.isConfigured(s, after.ClientID) {
		return notUnique("client_id", after.ClientID)
	}
	if err := s.Store.ReplaceClient(r.Context(), before, after); errors.Is(err, authcore.ErrExists) {
		return notUnique("client_id", after.ClientID)
	} else if err != nil {
		return err
	}
	return answerCredential(w, http.StatusOK, after, secret)
}

// deleteCredential deletes a client with its grants and tokens. One that is not there is not
// an error, as in Kong.
func deleteCredential(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	s, c, err := a.find(r)
	switch {
	case errors.Is(err, authcore.ErrNotFound) && r.PathValue("c") == "": // there is none, as was asked for
	case err != nil:
		return err
	case c.Configured:
		return configuredClient()
	default:
		if err := s.Store.DeleteClient(r.Context(), c); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// longestOverlap is how long an old secret can go on being good.
const longestOverlap = 90 * 24 * time.Hour

// renewSecret gives a client a new secret. The one before is good for `overlap` more, so that
// the client can change it without an interruption.
func renewSecret(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	s, before, err := a.find(r)
	if err != nil {
		return err
	}
	if before.Configured {
		return configuredClient()
	}
	if before.Public {
		return invalidMember("client_type", "a public client has no secret")
	}
	var m members
	if r.ContentLength != 0 {
		if m, err = readMembers(w, r, a.takesForms(s)); err != nil {
			return err
		}
	}
	in := newReader(m)
	in.allow("overlap", "client_secret")
	var overlap, given string
	in.text("overlap", &overlap)
	in.text("client_secret", &given)
	until, err := a.overlapEnd(overlap)
	if err != nil {
		in.wrong["overlap"] = err.Error()
	}
	if err := in.err(); err != nil {
		return err
	}
	after := *before
	secret, err := a.setSecret(&after, given)
	if err != nil {
		return err
	}
	if old := before.Secrets; overlap != "" && len(old) > 0 {
		last := old[0]
		last.Expires = until
		after.Secrets = append(after.Secrets, last)
	}
	return a.replace(w, r, s, before, &after, secret)
}

func (a *oauthAdmin) overlapEnd(overlap string) (time.Time, error) {
	if overlap == "" {
		return time.Time{}, nil
	}
	d, err := caddy.ParseDuration(overlap)
	if err != nil || d <= 0 || d > longestOverlap {
		return time.Time{}, errors.New("expected a duration above 0 and up to 90d, such as 24h")
	}
	return time.Now().Add(d), nil
}

func (a *oauthAdmin) takesForms(s *oauthServer) bool {
	return slices.ContainsFunc(a.peers(s), func(peer oauthServer) bool { return peer.Forms })
}

// Interface guards
var _ caddy.AdminRouter = (*oauthCredentials)(nil)
