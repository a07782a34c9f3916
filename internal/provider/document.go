// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-gluu/gateway/jose"
)

// WellKnown returns the addresses of an issuer's metadata: OpenID Connect
// Discovery 1.0, section 4, appends to the issuer; RFC 8414, section 3, inserts
// before its path, and section 5 says that some append there too.
func WellKnown(issuer string) []string {
	const oauth = "/.well-known/oauth-authorization-server"
	base, origin, path := splitIssuer(issuer)
	addresses := []string{base + wellKnownOpenID}
	if path != "" {
		addresses = append(addresses, origin+oauth+path)
	}
	return append(addresses, base+oauth)
}

const wellKnownOpenID = "/.well-known/openid-configuration"

// WellKnownUMA returns the addresses of an issuer's UMA metadata: Keycloak and
// Gluu append to the issuer, RFC 8615 as UMA applies it inserts before its path.
func WellKnownUMA(issuer string) []string {
	const uma = "/.well-known/uma2-configuration"
	base, origin, path := splitIssuer(issuer)
	addresses := []string{base + uma}
	if path != "" {
		addresses = append(addresses, origin+uma+path, origin+uma)
	}
	return addresses
}

// splitIssuer returns an issuer without the slash at its end, and that as origin
// and path, which is encoded as it was.
func splitIssuer(issuer string) (base, origin, path string) {
	base = strings.TrimSuffix(issuer, "/")
	if u, err := url.Parse(base); err == nil {
		path = u.EscapedPath()
	}
	return base, strings.TrimSuffix(base, path), path
}

// Document reads metadata of another kind than the server's own, such as that of
// UMA: from the first of the addresses that has it. Requests go under the circuit
// breaker of this endpoint. The endpoints in it must be checked before they are
// used: see [Server.CheckEndpoint].
func (s *Server) Document(ctx context.Context, endpoint string, addresses []string) (jose.Object, error) {
	return firstOf(addresses, func(address string) (jose.Object, error) {
		req, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			return jose.Object{}, err
		}
		req.Header.Set("Accept", "application/json")
		body, status, err := s.Call(ctx, endpoint, req)
		if err != nil {
			return jose.Object{}, err
		}
		if status != http.StatusOK {
			return jose.Object{}, fmt.Errorf("status %d", status)
		}
		return s.parseDocument(body)
	})
}

// parseDocument reads metadata that names this server's issuer (RFC 8414, section
// 3.3); otherwise it belongs to another server.
func (s *Server) parseDocument(body []byte) (jose.Object, error) {
	document, err := jose.ParseObject(body)
	if err != nil {
		return jose.Object{}, err
	}
	issuer, err := document.Text("issuer")
	if err != nil {
		return jose.Object{}, err
	}
	if !s.isOwnDocument(issuer) {
		return jose.Object{}, fmt.Errorf("it is the metadata of issuer %.200q, not of %q; the two must be equal to the letter", issuer, s.config.Issuer)
	}
	return document, nil
}

// firstOf returns what is found at the first address that has it.
func firstOf[T any](addresses []string, read func(address string) (T, error)) (found T, err error) {
	var problems []error
	for _, address := range addresses {
		if found, err = read(address); err == nil {
			return found, nil
		}
		problems = append(problems, fmt.Errorf("%s: %w", address, err))
	}
	return found, errors.Join(problems...)
}
