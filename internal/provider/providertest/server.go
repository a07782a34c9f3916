// SPDX-License-Identifier: Apache-2.0

// Package providertest has an authorization server that answers as a test wants
// it to, and what tests of its clients share.
package providertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
)

// Server is an authorization server. It has metadata, and an introspection
// endpoint to which every token is inactive; handlers change that, by path.
type Server struct {
	*httptest.Server

	mu       sync.Mutex
	handlers map[string]http.HandlerFunc // by path
	requests map[string]int
	last     *http.Request // the last introspection, with its form parsed
}

// NewServer starts a server, which ends with the test.
func NewServer(t testing.TB) *Server {
	s := &Server{handlers: map[string]http.HandlerFunc{}, requests: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	s.On("/introspect", Respond(`{"active":false}`))
	s.On("/.well-known/openid-configuration", s.Metadata(nil))
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		_ = r.ParseForm()
	}
	s.mu.Lock()
	s.requests[r.URL.Path]++
	handler := s.handlers[r.URL.Path]
	if r.URL.Path == "/introspect" {
		s.last = r
	}
	s.mu.Unlock()
	if handler == nil {
		http.NotFound(w, r)
		return
	}
	handler(w, r)
}

// On sets what answers a path.
func (s *Server) On(path string, handler http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers[path] = handler
}

// Count returns how many requests for a path have come.
func (s *Server) Count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[path]
}

// LastForm returns the form of the last introspection.
func (s *Server) LastForm() url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.PostForm
}

// LastHeader returns the header of the last introspection.
func (s *Server) LastHeader() http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.Header
}

// Metadata answers with the server's metadata, with some members changed.
func (s *Server) Metadata(changes map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		base := "http://" + r.Host
		document := map[string]any{
			"issuer":                 base,
			"introspection_endpoint": base + "/introspect",
			"jwks_uri":               base + "/jwks",
			"token_endpoint":         base + "/token",
			"registration_endpoint":  base + "/register",
		}
		maps.Copy(document, changes)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(document)
	}
}

// Respond answers with JSON.
func Respond(body string) http.HandlerFunc {
	return RespondWith(http.StatusOK, "application/json", body)
}

// RespondWith answers with anything.
func RespondWith(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// Active is the answer about an active token, with more members.
func Active(extra string) string {
	if extra != "" {
		extra = "," + extra
	}
	return `{"active":true,"client_id":"app","sub":"alice","scope":"read write"` + extra + `}`
}
