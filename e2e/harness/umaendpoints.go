// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The endpoints of a UMAServer.

func (s *UMAServer) serve(w http.ResponseWriter, r *http.Request) {
	if s.isIntercepted(w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	below, ok := strings.CutPrefix(r.URL.Path, s.config.Path)
	id, isResource := strings.CutPrefix(below, "/resources/")
	if !isResource {
		id = ""
	}
	switch {
	case r.Method == http.MethodGet && r.URL.Path == s.config.Metadata:
		s.counts["metadata"]++
		s.metadata(w)
	case ok && r.Method == http.MethodGet && below == "/.well-known/openid-configuration":
		reply(w, http.StatusOK, map[string]any{
			"issuer": s.Issuer, "introspection_endpoint": s.Issuer + "/introspect", "jwks_uri": s.Issuer + "/jwks",
		})
	case ok && below == "/jwks":
		reply(w, http.StatusOK, map[string]any{"keys": []any{}})
	case ok && r.Method == http.MethodPost && below == "/token":
		s.token(w, r)
	case ok && r.Method == http.MethodGet && below == "/claims":
		s.counts["claims"]++
		s.gatherClaims(w, r)
	case ok && r.Method == http.MethodPost && below == "/introspect":
		s.introspect(w, r)
	case ok && r.Method == http.MethodPost && below == "/permissions":
		s.counts["permission"]++
		s.permission(w, r)
	case ok && (below == "/resources" || isResource):
		s.resource(w, r, id)
	default:
		fail(w, http.StatusNotFound, "not_found")
	}
}

func (s *UMAServer) isIntercepted(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	intercept := s.intercept
	s.mu.Unlock()
	if intercept == nil {
		return false
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answered := intercept(w, r)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return answered
}

func (s *UMAServer) metadata(w http.ResponseWriter) {
	reply(w, http.StatusOK, map[string]any{
		"issuer":                         s.Issuer,
		"token_endpoint":                 s.Issuer + "/token",
		"permission_endpoint":            s.Issuer + "/permissions",
		"resource_registration_endpoint": s.Issuer + "/resources",
		"claims_interaction_endpoint":    s.Issuer + "/claims",
	})
}

func (s *UMAServer) isGateway(r *http.Request) bool {
	id, secret, ok := r.BasicAuth()
	return ok && id == UMAClient && secret == UMASecret
}

func (s *UMAServer) token(w http.ResponseWriter, r *http.Request) {
	if r.PostFormValue("grant_type") == "urn:ietf:params:oauth:grant-type:uma-ticket" {
		s.counts["rpt"]++
		s.rpt(w, r)
		return
	}
	s.counts["token"]++
	scope := r.PostFormValue("scope")
	switch {
	case !s.isGateway(r):
		fail(w, http.StatusUnauthorized, "invalid_client")
		return
	case r.PostFormValue("grant_type") != "client_credentials":
		fail(w, http.StatusBadRequest, "unsupported_grant_type")
		return
	case s.config.NoScope && scope != "":
		fail(w, http.StatusBadRequest, "invalid_scope")
		return
	}
	token := rand.Text()
	if s.config.NoScope || scope == "uma_protection" {
		s.pats[token] = s.now().Add(s.config.PATLife)
	}
	reply(w, http.StatusOK, map[string]any{
		"access_token": token, "token_type": "Bearer", "expires_in": int(s.config.PATLife / time.Second),
	})
}

// rpt exchanges a ticket (UMA 2.0 Grant, section 3.3).
func (s *UMAServer) rpt(w http.ResponseWriter, r *http.Request) {
	asked, ok := s.tickets[r.PostFormValue("ticket")]
	user, known := s.partyOf(r)
	switch {
	case !known:
		fail(w, http.StatusUnauthorized, "invalid_grant")
		return
	case !ok:
		fail(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	delete(s.tickets, r.PostFormValue("ticket"))
	if s.asksBack(w, r, user, asked) {
		return
	}
	var granted []string
	for _, scope := range asked.Scopes {
		if slices.Contains(s.allowed[user], scope) {
			granted = append(granted, scope)
		}
	}
	if len(granted) == 0 {
		fail(w, http.StatusForbidden, "access_denied")
		return
	}
	s.grant(w, r, user, asked.ResourceID, granted)
}

// grant answers with an RPT, which has the permissions of an earlier one too.
func (s *UMAServer) grant(w http.ResponseWriter, r *http.Request, user, resource string, granted []string) {
	expires := s.now().Add(s.config.RPTLife).Unix()
	permission := map[string]any{"resource_id": resource, "resource_scopes": granted}
	if s.config.Legacy {
		permission = map[string]any{"rsid": resource, "scopes": granted}
	}
	permissions := []any{permission}
	if earlier, ok := s.rpts[r.PostFormValue("rpt")]; ok {
		if more, ok := permissionsIn(earlier); ok {
			permissions = append(permissions, more...)
		}
	}
	// Keycloak adds one for every granted scope that belongs to no resource.
	permissions = append(permissions, map[string]any{"scopes": []string{"profile"}})
	claims := map[string]any{"sub": user, "client_id": "todo-app", "aud": UMAClient, "exp": expires}
	if s.config.Legacy {
		claims["authorization"] = map[string]any{"permissions": permissions}
	} else {
		claims["permissions"] = permissions
	}
	token := rand.Text()
	s.rpts[token] = claims
	answer := map[string]any{"access_token": token, "token_type": "Bearer"}
	if pct := s.parties.issuePCT(r.PostFormValue("ticket"), user); pct != "" {
		answer["pct"] = pct
	}
	reply(w, http.StatusOK, answer)
}

func permissionsIn(claims map[string]any) ([]any, bool) {
	if within, ok := claims["authorization"].(map[string]any); ok {
		claims = within
	}
	list, ok := claims["permissions"].([]any)
	return list, ok
}

func (s *UMAServer) introspect(w http.ResponseWriter, r *http.Request) {
	s.counts["introspect"]++
	if !s.isGateway(r) {
		fail(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	answer := map[string]any{"active": false}
	if claims, ok := s.rpts[r.PostFormValue("token")]; ok {
		if expires, has := claims["exp"].(int64); !has || s.now().Unix() < expires {
			answer = maps.Clone(claims)
			answer["active"] = true
		}
	}
	reply(w, http.StatusOK, answer)
}

// protected checks the protection API token and reads the body.
func (s *UMAServer) protected(w http.ResponseWriter, r *http.Request, body any) bool {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if expires, ok := s.pats[token]; !ok || !s.now().Before(expires) {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		fail(w, http.StatusUnauthorized, "invalid_token")
		return false
	}
	if body == nil {
		return true
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		fail(w, http.StatusUnsupportedMediaType, "invalid_request")
		return false
	}
	if err := json.NewDecoder(r.Body).Decode(body); err != nil {
		fail(w, http.StatusBadRequest, "invalid_request")
		return false
	}
	return true
}

func (s *UMAServer) permission(w http.ResponseWriter, r *http.Request) {
	var asked []UMATicket
	if !s.protected(w, r, &asked) {
		return
	}
	if len(asked) != 1 {
		fail(w, http.StatusBadRequest, "invalid_request")
		return
	}
	known := s.resources[asked[0].ResourceID]
	if known == nil {
		fail(w, http.StatusBadRequest, "invalid_resource_id")
		return
	}
	for _, scope := range asked[0].Scopes {
		if !slices.Contains(known.Scopes, scope) {
			fail(w, http.StatusBadRequest, "invalid_scope")
			return
		}
	}
	ticket := rand.Text()
	s.tickets[ticket] = asked[0]
	reply(w, http.StatusCreated, map[string]string{"ticket": ticket})
}

func (s *UMAServer) resource(w http.ResponseWriter, r *http.Request, id string) {
	var described *UMAResource
	s.counts[map[string]string{"GET": "read", "POST": "create", "PUT": "update", "DELETE": "delete"}[r.Method]]++
	if r.Method == http.MethodGet && id == "" {
		s.counts["read"]--
		s.counts["list"]++
	}
	body := any(&described)
	if r.Method == http.MethodGet || r.Method == http.MethodDelete {
		body = nil
	}
	if !s.protected(w, r, body) {
		return
	}
	known := s.resources[id]
	switch {
	case id == "" && r.Method == http.MethodGet:
		s.list(w, r)
		return
	case id == "" && r.Method == http.MethodPost:
		s.create(w, described)
		return
	case known == nil:
		fail(w, http.StatusNotFound, "not_found")
		return
	}
	switch r.Method {
	case http.MethodGet:
		reply(w, http.StatusOK, known)
	case http.MethodPut:
		described.ID = id
		s.resources[id] = described
		reply(w, http.StatusOK, map[string]string{"_id": id})
	case http.MethodDelete:
		delete(s.resources, id)
		w.WriteHeader(http.StatusNoContent)
	default:
		fail(w, http.StatusMethodNotAllowed, "unsupported_method_type")
	}
}

func (s *UMAServer) list(w http.ResponseWriter, r *http.Request) {
	ids := []string{}
	for id, each := range s.resources {
		if name := r.URL.Query().Get("name"); s.config.CannotSearch || name == "" || name == each.Name {
			ids = append(ids, id)
		}
	}
	reply(w, http.StatusOK, ids)
}

func (s *UMAServer) create(w http.ResponseWriter, described *UMAResource) {
	if described == nil || described.Name == "" || len(described.Scopes) == 0 {
		fail(w, http.StatusBadRequest, "invalid_request")
		return
	}
	for _, each := range s.resources {
		if each.Name == described.Name {
			fail(w, http.StatusConflict, "invalid_request")
			return
		}
	}
	described.ID = rand.Text()
	s.resources[described.ID] = described
	w.Header().Set("Location", fmt.Sprintf("%s/resources/%s", s.Issuer, described.ID))
	reply(w, http.StatusCreated, map[string]string{"_id": described.ID})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func fail(w http.ResponseWriter, status int, code string) {
	reply(w, status, map[string]string{"error": code})
}
