// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/authcore"
)

// unmarshalClient reads one client, and returns what can be checked only when
// the whole server is read.
func (s *Server) unmarshalClient(d *caddyfile.Dispenser) (check func() error, err error) {
	id, err := directive.String(d)
	if err != nil {
		return nil, d.Err("client takes exactly one client_id: write 'client <client_id> { secret <hash> ... }'")
	}
	if err := checkClientID(id); err != nil {
		return nil, d.WrapErr(err)
	}
	if s.Clients[id] != nil {
		return nil, d.Errf("client %q is given twice: keep one of them", id)
	}
	c := new(Client)
	lines := make(map[string]*caddyfile.Dispenser)
	var once directive.Once
	for d.NextBlock(1) {
		if err := once.Check(d); err != nil {
			return nil, err
		}
		lines[d.Val()] = directive.At(d.Token())
		if err := c.unmarshalOption(d); err != nil {
			return nil, err
		}
	}
	end := directive.At(d.Token())
	if s.Clients == nil {
		s.Clients = make(map[string]*Client)
	}
	s.Clients[id] = c
	return func() error { return c.checkLines(id, s, lines, end) }, nil
}

func (c *Client) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "name":
		c.Name, err = directive.String(d)
	case "consumer":
		c.Consumer, err = directive.String(d)
	case "type":
		err = oneOf(d, &c.Type, confidentialType, publicType)
	case "secret":
		c.Secret, c.SecondSecret, err = secretsOf(d)
	case "auth":
		err = oneOf(d, &c.Auth, "basic", "post", authcore.AuthPrivateKeyJWT, "none")
	case "jwks":
		c.JWKS, err = directive.String(d)
	case "grants":
		c.Grants, err = directive.Strings(d)
	case "scopes":
		c.Scopes, err = checked(d, authcore.CheckScope)
	case "resources":
		c.Resources, err = checked(d, authcore.CheckResource)
	case "token_format":
		c.TokenFormat, err = format(d)
	case "id_token_signed_response_alg":
		err = oneOf(d, &c.IDTokenAlg, authcore.IDTokenAlgs()...)
	case "redirect_uris":
		c.RedirectURIs, err = directive.Strings(d)
	case "post_logout_redirect_uris":
		c.PostLogoutRedirectURIs, err = directive.Strings(d)
	default:
		err = directive.Unknown(d, "client", "name", "consumer", "type", "secret", "auth", "jwks", "grants", "scopes", "resources", "token_format", "id_token_signed_response_alg", "redirect_uris", "post_logout_redirect_uris")
	}
	return err
}

// checkLines checks a client against its server, and names the line of what is wrong.
func (c *Client) checkLines(id string, s *Server, lines map[string]*caddyfile.Dispenser, end *caddyfile.Dispenser) error {
	for _, step := range []struct {
		options []string
		check   func(*Server) error
	}{
		{[]string{"grants", "redirect_uris", "type"}, c.checkGrants},
		{[]string{"scopes"}, c.checkScopes},
		{[]string{"resources"}, c.checkResources},
		{[]string{"redirect_uris", "post_logout_redirect_uris"}, c.checkRedirects},
		{[]string{"auth", "secret", "jwks", "type"}, func(*Server) error { return c.checkAuthentication() }},
	} {
		err := step.check(s)
		if err == nil {
			continue
		}
		at := end
		for _, option := range step.options {
			if lines[option] != nil {
				at = lines[option]
				break
			}
		}
		return at.WrapErr(fmt.Errorf("client %q: %w", id, err))
	}
	return nil
}

// checkAuthentication is compileAuthentication without placeholders and files, which are
// read when the configuration loads.
func (c *Client) checkAuthentication() error {
	trial := *c
	for _, secret := range []*string{&trial.Secret, &trial.SecondSecret} {
		if directive.HasPlaceholder(*secret) {
			*secret = trialHash
		}
	}
	if trial.JWKS != "" {
		trial.JWKS = "https://jwks.invalid/"
	}
	return trial.compileAuthentication(new(authcore.Client))
}

// trialHash stands for a hash that is not known yet.
const trialHash = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg"
