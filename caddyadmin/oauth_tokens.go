// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/uuid"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

func init() {
	caddy.RegisterModule(oauthTokens{})
}

// oauthTokens manages opaque access tokens, with the addresses and objects of Kong's admin
// API:
//
//	GET, POST           /gluu/oauth2_tokens          all tokens; import one of another server
//	GET, PATCH, DELETE  /gluu/oauth2_tokens/{id}     one
//	POST                /gluu/oauth2_tokens/lookup   the one in the body, {"token": "..."}
//	POST                /gluu/oauth2_tokens/revoke   revoke it
//
// What a token is is never shown, but in the answer to its import. Lists can be filtered by
// client_id, subject, service and grant.
type oauthTokens struct{}

// CaddyModule implements caddy.Module.
func (oauthTokens) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_oauth2_tokens",
		New: func() caddy.Module { return new(oauthTokens) },
	}
}

// Routes implements caddy.AdminRouter.
func (oauthTokens) Routes() (routes []caddy.AdminRoute) {
	for pattern, h := range tokenRoutes {
		routes = append(routes, h.route(pattern))
	}
	return audited(routes)
}

var tokenRoutes = map[string]oauthHandler{
	"/gluu/oauth2_tokens":        oauthMethods(map[string]oauthHandler{"GET": listTokens, "POST": importToken}),
	"/gluu/oauth2_tokens/{id}":   oauthMethods(map[string]oauthHandler{"GET": getToken, "PATCH": patchToken, "DELETE": deleteToken}),
	"/gluu/oauth2_tokens/lookup": oauthMethods(map[string]oauthHandler{"POST": lookupToken}),
	"/gluu/oauth2_tokens/revoke": oauthMethods(map[string]oauthHandler{"POST": revokeToken}),
}

// storedToken is an access token in Kong's shape.
type storedToken struct {
	ID         string         `json:"id"`
	ClientID   string         `json:"client_id"`
	Credential *credentialRef `json:"credential,omitempty"`
	Service    *credentialRef `json:"service,omitempty"` // none: everywhere
	Grant      *credentialRef `json:"grant,omitempty"`

	// Only in the answer to the request that makes it.
	AccessToken  string `json:"access_token,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`

	TokenType string `json:"token_type"`
	ExpiresIn int64  `json:"expires_in"` // from created_at on; 0: never
	CreatedAt int64  `json:"created_at"`
	Scope     string `json:"scope,omitempty"`
	UserID    string `json:"authenticated_userid,omitempty"`
	Issuer    string `json:"issuer"`
}

func tokenOf(t *authcore.AccessToken, credentialID string) storedToken {
	out := storedToken{
		ID: t.ID.String(), ClientID: t.ClientID, TokenType: "bearer", CreatedAt: t.IssuedAt.Unix(),
		Scope: strings.Join(t.Scopes, " "), UserID: t.Subject, Issuer: t.Issuer,
	}
	if !t.ExpiresAt.IsZero() {
		out.ExpiresIn = int64(t.ExpiresAt.Sub(t.IssuedAt) / time.Second)
	}
	for field, id := range map[**credentialRef]string{&out.Credential: credentialID, &out.Service: strings.TrimSuffix(t.Service, "*"), &out.Grant: t.GrantID} {
		if id != "" {
			*field = &credentialRef{id}
		}
	}
	return out
}

// credentialIDs remembers the ids of clients while a page is made.
type credentialIDs struct {
	admin  *oauthAdmin
	server *oauthServer
	known  map[string]string
}

func (a *oauthAdmin) credentialIDs(s *oauthServer) *credentialIDs {
	return &credentialIDs{a, s, make(map[string]string)}
}

// of returns the id of a client, "" if there is no such client any more.
func (c *credentialIDs) of(ctx context.Context, clientID string) (string, error) {
	if id, ok := c.known[clientID]; ok {
		return id, nil
	}
	client, err := c.admin.lookup(ctx, c.server, clientID)
	if err != nil && !errors.Is(err, authcore.ErrNotFound) {
		return "", err
	}
	if client != nil {
		c.known[clientID] = client.ID
	} else {
		c.known[clientID] = ""
	}
	return c.known[clientID], nil
}

func listTokens(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	s, err := a.server(r)
	if err != nil {
		return err
	}
	size, offset, by, err := oauthListing(r, "client_id", "subject", "service", "grant")
	if err != nil {
		return err
	}
	page, next, err := s.Store.ListTokens(r.Context(), authcore.Filter{ClientID: by["client_id"], Subject: by["subject"], Service: by["service"], GrantID: by["grant"]}, offset, size)
	if err != nil {
		return err
	}
	ids := a.credentialIDs(s)
	var data []any
	for _, t := range page {
		id, err := ids.of(r.Context(), t.ClientID)
		if err != nil {
			return err
		}
		data = append(data, tokenOf(t, id))
	}
	return writePage(w, r, data, next)
}

// findToken returns the stored token with the id in the address.
func (a *oauthAdmin) findToken(r *http.Request) (*oauthServer, *authcore.AccessToken, error) {
	s, err := a.server(r)
	if err != nil {
		return nil, nil, err
	}
	id, ok := authcore.ParseTokenID(r.PathValue("id"))
	if !ok {
		return s, nil, authcore.ErrNotFound
	}
	t, err := s.Store.Token(r.Context(), id)
	if err == nil && t.Revoked {
		err = authcore.ErrNotFound
	}
	return s, t, err
}

func (a *oauthAdmin) answerToken(w http.ResponseWriter, r *http.Request, s *oauthServer, status int, t *authcore.AccessToken, access, refresh string) error {
	id, err := a.credentialIDs(s).of(r.Context(), t.ClientID)
	if err != nil {
		return err
	}
	out := tokenOf(t, id)
	out.AccessToken, out.RefreshToken = access, refresh
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, status, out)
}

func getToken(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	s, t, err := a.findToken(r)
	if err != nil {
		return err
	}
	return a.answerToken(w, r, s, http.StatusOK, t, "", "")
}

func deleteToken(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	s, t, err := a.findToken(r)
	if err == nil {
		err = s.Store.RevokeToken(r.Context(), t)
	}
	if err != nil && !errors.Is(err, authcore.ErrNotFound) {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// importToken stores a token of another server, for a client that has it already.
func importToken(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	s, err := a.server(r)
	if err != nil {
		return err
	}
	m, err := readMembers(w, r, a.takesForms(s))
	if err != nil {
		return err
	}
	in := newReader(m)
	in.allow("credential", "service", "access_token", "refresh_token", "token_type", "expires_in", "scope", "authenticated_userid", "created_at", "refresh_expires_in")
	client, err := a.readTokenClient(r, in, s)
	if err != nil {
		return err
	}
	t := &authcore.AccessToken{Issuer: s.Issuer, Service: s.Service, IssuedAt: time.Now().Truncate(time.Second)}
	access, refresh, refreshIn := in.readToken(t)
	if !in.has("expires_in") || in.isNull("expires_in") { // a token must not live for ever by mistake
		in.wrong["expires_in"] = "required field missing"
	}
	if err := in.err(); err != nil {
		return err
	}
	t.ClientID = client.ClientID
	if access == "" {
		access = authcore.RandomText(authcore.TokenBytes)
	}
	var refreshExpires time.Time
	if refreshIn > 0 {
		refreshExpires = t.IssuedAt.Add(time.Duration(refreshIn) * time.Second)
	}
	var g *authcore.Grant
	if refresh != "" {
		g = &authcore.Grant{
			Issuer: t.Issuer, Service: t.Service, Type: authcore.GrantAuthorizationCode, ClientID: t.ClientID, Subject: t.Subject,
			Scopes: t.Scopes, Created: t.IssuedAt, Expires: refreshExpires,
		}
	}
	if err := s.Store.ImportToken(r.Context(), g, t, access, refresh, refreshExpires); errors.Is(err, authcore.ErrExists) {
		return &oauthFault{http.StatusConflict, "UNIQUE violation detected: there is a token with this access_token or refresh_token", "unique constraint violation", 5, nil}
	} else if err != nil {
		return err
	}
	noteSubject(w, t.ID.String())
	return a.answerToken(w, r, s, http.StatusCreated, t, access, refresh)
}

// readTokenClient reads whose token it is.
func (a *oauthAdmin) readTokenClient(r *http.Request, in *reader, s *oauthServer) (*authcore.Client, error) {
	key, value := in.reference("credential", "id", "client_id")
	if value == "" {
		if in.wrong["credential"] == nil {
			in.wrong["credential"] = "required field missing"
		}
		return nil, nil
	}
	client, err := a.lookup(r.Context(), s, value)
	if errors.Is(err, authcore.ErrNotFound) {
		return nil, noSuch("oauth2_credentials", "credential", map[string]string{key: value})
	}
	return client, err
}

// readToken reads the members of a token that can be set.
func (r *reader) readToken(t *authcore.AccessToken) (access, refresh string, refreshIn int64) {
	scope, created, kind := strings.Join(t.Scopes, " "), t.IssuedAt.Unix(), ""
	expiresIn := int64(0)
	if !t.ExpiresAt.IsZero() {
		expiresIn = int64(t.ExpiresAt.Sub(t.IssuedAt) / time.Second)
	}
	r.tokenText("access_token", &access)
	r.tokenText("refresh_token", &refresh)
	r.text("scope", &scope)
	r.text("authenticated_userid", &t.Subject)
	if r.text("token_type", &kind); kind != "" && !strings.EqualFold(kind, "bearer") {
		r.wrong["token_type"] = "expected one of: bearer"
	}
	r.number("expires_in", &expiresIn)
	r.number("created_at", &created)
	r.number("refresh_expires_in", &refreshIn)
	if r.has("service") {
		if _, t.Service = r.reference("service", "id", "name"); t.Service == "" {
			t.Service = "*"
		}
	}
	t.Scopes = strings.Fields(scope)
	for _, one := range t.Scopes {
		if authcore.CheckScope(one) != nil {
			r.wrong["scope"] = "has a character that no scope can have"
		}
	}
	t.IssuedAt = time.Unix(created, 0)
	if t.ExpiresAt = (time.Time{}); expiresIn > 0 {
		t.ExpiresAt = t.IssuedAt.Add(time.Duration(expiresIn) * time.Second)
	}
	return access, refresh, refreshIn
}

// tokenText reads a token, which may be longer than other texts.
func (r *reader) tokenText(name string, field *string) {
	if !r.has(name) || r.isNull(name) {
		return
	}
	if r.decode(name, field, "expected a string") && (*field == "" || len(*field) > authcore.MaxToken) {
		r.wrong[name] = "length must be between 1 and 16384"
	}
}

// patchToken changes a token. With `access_token` it gets another text.
func patchToken(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	s, t, err := a.findToken(r)
	if err != nil {
		return err
	}
	m, err := readMembers(w, r, a.takesForms(s))
	if err != nil {
		return err
	}
	in := newReader(m)
	in.allow("access_token", "token_type", "expires_in", "scope", "authenticated_userid", "service")
	before := *t
	access, _, _ := in.readToken(t)
	if t.GrantID != "" && t.Subject != before.Subject {
		in.wrong["authenticated_userid"] = "is that of the grant and cannot be changed"
	}
	if err := in.err(); err != nil {
		return err
	}
	if access == "" {
		err = s.Store.ReplaceToken(r.Context(), t)
	} else {
		err = s.Store.RenameToken(r.Context(), t, access)
	}
	if err != nil {
		return err
	}
	return a.answerToken(w, r, s, http.StatusOK, t, access, "")
}

// readSentToken reads {"token": "..."}.
func readSentToken(w http.ResponseWriter, r *http.Request) (string, error) {
	m, err := readMembers(w, r, false)
	if err != nil {
		return "", err
	}
	var text string
	in := newReader(m)
	in.allow("token")
	if in.tokenText("token", &text); text == "" && in.wrong["token"] == nil {
		in.wrong["token"] = "required field missing"
	}
	return text, in.err()
}

// search finds a token at all servers that are asked: those of the issuer, or all.
func (a *oauthAdmin) search(r *http.Request, text string) (*oauthServer, *authcore.AccessToken, error) {
	issuer := r.URL.Query().Get("issuer")
	for i := range a.servers {
		s := &a.servers[i]
		if issuer != "" && s.Issuer != issuer {
			continue
		}
		t, err := s.Find(r.Context(), text)
		if !errors.Is(err, authcore.ErrNotFound) {
			return s, t, err
		}
	}
	return nil, nil, authcore.ErrNotFound
}

// lookupToken says what an active access token is.
func lookupToken(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	text, err := readSentToken(w, r)
	if err != nil {
		return err
	}
	s, t, err := a.search(r, text)
	if err != nil {
		return err
	}
	return a.answerToken(w, r, s, http.StatusOK, t, "", "")
}

// revokeToken revokes an access token, or ends the grant of a refresh token. A text that is
// neither is not an error: it is good for nothing already.
func revokeToken(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
	text, err := readSentToken(w, r)
	if err != nil {
		return err
	}
	s, t, err := a.search(r, text)
	switch {
	case err == nil:
		err = s.Store.RevokeToken(r.Context(), t)
	case errors.Is(err, authcore.ErrNotFound):
		err = a.endGrantOf(r, text)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *oauthAdmin) endGrantOf(r *http.Request, refresh string) error {
	for _, s := range a.servers {
		_, g, err := s.Store.FindRefresh(r.Context(), s.Issuer, refresh)
		if errors.Is(err, authcore.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		return s.Store.EndGrant(r.Context(), g.ID)
	}
	return nil
}

func parseUUID(text string) (string, bool) {
	if len(text) != 36 {
		return text, text == ""
	}
	id, err := uuid.Parse(text)
	return id.String(), err == nil
}

// uniqueServers returns one server of each store.
func (a *oauthAdmin) uniqueServers() []oauthServer {
	var unique []oauthServer
	for _, s := range a.servers {
		if !slices.ContainsFunc(unique, func(known oauthServer) bool { return known.Store.IsSame(s.Store) }) {
			unique = append(unique, s)
		}
	}
	return unique
}

// Interface guards
var _ caddy.AdminRouter = (*oauthTokens)(nil)
