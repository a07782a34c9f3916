// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"bytes"
	"testing"
)

// Compiled clients are shared by servers that differ in nothing but their service:
// what a client may do depends on everything else.
func TestSettingsThatClientsDependOn(t *testing.T) {
	server := func(change func(*Server)) []byte {
		s := &Server{Issuer: "https://as.example.com", Service: "a", Scopes: []string{"read"}, Clients: map[string]*Client{"app": {}}}
		change(s)
		return s.exceptClients()
	}
	first := server(func(*Server) {})
	for _, test := range []struct {
		name   string
		change func(*Server)
		same   bool
	}{
		{"another service", func(s *Server) { s.Service = "b" }, true},
		{"no clients", func(s *Server) { s.Clients = nil }, true},
		{"other scopes", func(s *Server) { s.Scopes = nil }, false},
		{"another lifetime", func(s *Server) { s.TokenTTL = 1 }, false},
		{"a legacy word", func(s *Server) { s.Legacy = []string{legacyHTTPRedirects} }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if same := bytes.Equal(first, server(test.change)); same != test.same {
				t.Errorf("got the same clients: %v, want %v", same, test.same)
			}
		})
	}
}
