// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"bytes"
	"encoding/json"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/authserver/rfc"
)

// addClients compiles the clients of the server. A server for one service that has
// none of its own has those of the first server with its issuer: they are the same
// parties, and in a gateway with thousands of services they are there once.
func (s *Server) addClients(ctx caddy.Context, compiled *rfc.Server) (err error) {
	if first, err := s.firstOfIssuer(ctx); err != nil {
		return err
	} else if first != nil {
		if first.settings == nil {
			first.settings = first.exceptClients()
		}
		if first.settings != nil && bytes.Equal(first.settings, s.exceptClients()) {
			compiled.Clients, compiled.Auth.Decoys = first.rfc.Clients, first.rfc.Auth.Decoys
			return nil
		}
		s.Clients = first.Clients // which may mean something else with these settings
	}
	if compiled.Clients, err = s.compileClients(); err != nil {
		return err
	}
	compiled.Auth.Decoys, err = decoys(compiled.Clients)
	return err
}

// firstOfIssuer returns the server whose clients this one has, nil if it has its own.
func (s *Server) firstOfIssuer(ctx caddy.Context) (*Server, error) {
	if len(s.Clients) > 0 || s.Service == "" {
		return nil, nil
	}
	module, err := ctx.App(appName)
	if err != nil {
		return nil, err
	}
	for _, other := range module.(*App).servers {
		if other.issuer.Name == s.issuer.Name && other.Service != "" && len(other.Clients) > 0 {
			return other, nil
		}
	}
	return nil, nil
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
