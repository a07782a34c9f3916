// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/authserver/rfc"
)

// addClients compiles the clients of the server. A server for one service that has
// none of its own has those of the first server with its issuer: they are the same
// parties, and in a gateway with thousands of services they are there once.
// The first one may be provisioned later: see [Server.lendClients].
func (s *Server) addClients(ctx caddy.Context, compiled *rfc.Server) error {
	first, err := s.firstOfIssuer(ctx)
	if err != nil {
		return err
	}
	if first != nil {
		return s.takeClients(first, compiled)
	}
	return s.addOwnClients(compiled)
}

// takeClients gives the server the clients of another one.
func (s *Server) takeClients(first *Server, compiled *rfc.Server) error {
	s.borrows = true
	if first.settings == nil {
		first.settings = first.exceptClients()
	}
	if first.settings != nil && bytes.Equal(first.settings, s.exceptClients()) {
		compiled.Clients, compiled.Auth.Decoys = first.rfc.Clients, first.rfc.Auth.Decoys
		return nil
	}
	s.Clients = first.Clients // which may mean something else with these settings
	return s.addOwnClients(compiled)
}

func (s *Server) addOwnClients(compiled *rfc.Server) (err error) {
	if compiled.Clients, err = s.compileClients(); err != nil {
		return err
	}
	compiled.Auth.Decoys, err = decoys(compiled.Clients)
	return err
}

// firstOfIssuer returns the server whose clients this one has, nil if it has its own.
func (s *Server) firstOfIssuer(ctx caddy.Context) (*Server, error) {
	if !s.needsClients() {
		return nil, nil
	}
	module, err := ctx.App(appName)
	if err != nil {
		return nil, err
	}
	for _, other := range module.(*App).servers {
		if other.lendsTo(s) {
			return other, nil
		}
	}
	return nil, nil
}

// needsClients reports whether the server has the clients of another one, if there is one.
func (s *Server) needsClients() bool { return s.Service != "" && len(s.Clients) == 0 && !s.borrows }

// lendsTo reports whether another server has the clients of this one.
func (s *Server) lendsTo(other *Server) bool {
	return s.Service != "" && len(s.Clients) > 0 && !s.borrows && s.issuer.Name == other.issuer.Name
}

// lendClients gives the server's clients to those that were provisioned before it: in which
// order that happens is up to Caddy, which sorts routes.
func (s *Server) lendClients(others []*Server) error {
	for _, other := range others {
		if !other.needsClients() || !s.lendsTo(other) {
			continue
		}
		if err := other.takeClients(s, other.rfc); err != nil {
			return fmt.Errorf("service %q, which has the clients of service %q: %w", other.Service, s.Service, err)
		}
	}
	return nil
}

// exceptClients are the settings of a server that its clients may depend on.
func (s *Server) exceptClients() []byte {
	settings := *s
	settings.Clients, settings.Service = nil, ""
	text, err := json.Marshal(settings)
	if err != nil {
		return nil // like no other
	}
	return text
}
