// SPDX-License-Identifier: Apache-2.0

package provider

import "encoding/json"

// A provider whose settings change is a new server here, which has everything to
// learn. Its metadata and keys need not be learned again if the change has nothing
// to do with where they come from: a rotated secret costs no request.

// Source returns what identifies where a server's metadata and keys come from, and
// how that is known: everything that was configured, without what only concerns
// the client or the tokens. Settings that are added later count as part of it
// until they are named here.
func (c Config) Source() ([]byte, error) {
	c.SetDefaults()
	c.ClientID, c.ClientSecret, c.ClientAuth, c.ClientKey, c.ClientKeyID, c.Register = "", "", "", "", "", nil
	c.Verify, c.Algorithms, c.Audience, c.ClientIDClaims, c.Grants = "", nil, nil, nil, nil
	c.IntrospectionSigned, c.DPoPNonce, c.Timeout, c.StaleIfError = nil, false, 0, 0
	c.IntrospectionEndpoint, c.TokenEndpoint, c.RevocationEndpoint, c.RegistrationEndpoint = "", "", "", ""
	return json.Marshal(c)
}

// TakeOver starts with the metadata and keys of another server with the same
// source. The metadata is read anew, under the settings of this one. It is called
// before Start.
func (s *Server) TakeOver(from *Server) {
	from.discovery.mu.Lock()
	known, next := from.discovery.found, from.discovery.next
	from.discovery.mu.Unlock()
	if known != nil {
		found, err := s.parseMetadata(known.document)
		if err != nil {
			return
		}
		s.discovery.mu.Lock()
		s.discovery.found, s.discovery.next = found, next
		s.discovery.mu.Unlock()
	}
	address := s.knownEndpoints()["jwks_uri"]
	if address != "" && address == from.knownEndpoints()["jwks_uri"] {
		s.keys.takeOver(from.keys)
	}
}

// KnowsMetadata reports whether the server's metadata is known.
func (s *Server) KnowsMetadata() bool {
	s.discovery.mu.Lock()
	defer s.discovery.mu.Unlock()
	return s.discovery.found != nil
}
