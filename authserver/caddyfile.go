// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/authserver/rfc"
	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/clientauth"
	"github.com/caddy-gluu/gateway/internal/store"
)

func init() {
	directive.RegisterHandler("gluu_oauth_server", parseCaddyfile)
}

func parseCaddyfile(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	s := new(Server)
	if err := s.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	if store.LacksKey(s.StoreRaw) && !hasCacheKey(h) {
		return nil, s.storeAt.Errf("%s: %v", s.storeAt.Val(), store.ErrNoKey)
	}
	return s, nil
}

// hasCacheKey reports whether the global options have a key that a store may use.
func hasCacheKey(h httpcaddyfile.Helper) bool {
	app, ok := h.Option("gluu").(httpcaddyfile.App)
	var gluu struct {
		Cache struct {
			Key string `json:"redis_key"`
		} `json:"cache"`
	}
	return ok && json.Unmarshal(app.Value, &gluu) == nil && gluu.Cache.Key != ""
}

// UnmarshalCaddyfile reads
//
//	gluu_oauth_server [<matcher>] {
//		id           <name>
//		issuer       <url>
//		scopes       <scope>...
//		scope        <scope> "<text>"
//		resources    <uri>...
//		token_ttl    <duration> [<with a user>]
//		token_format opaque|jwt
//		code_ttl     <duration>
//		refresh_token {
//			idle     <duration>
//			absolute <duration>
//			rotate   on|off
//			grace    <duration>
//		}
//		pkce all|public
//		login <url> {
//			secret        <hash> [<hash>]
//			allow         <cidr>...
//			challenge_ttl <duration>
//		}
//		consent_page [<template file>]
//		pushed_authorization optional|required
//		registration {
//			token          <hash>...
//			open
//			redirect_hosts <host>...
//			scopes         <scope>...
//			unused         <duration>
//			max            <number>
//		}
//		client_metadata_documents <host>...
//		legacy <name>...
//		limit {
//			client  <number>/<s|m|h>
//			address <number>/<s|m|h>
//		}
//		service <name>
//		profile kong {
//			provision_key       <hash> [<hash>]
//			mandatory_scope     [true|false]
//			grants              authorization_code|implicit|client_credentials|password...
//			pkce                none|lax|strict
//			auth_header         <name>
//			realm               <text>
//			token_expiration    <duration>
//			refresh_token_ttl   <duration>
//			reuse_refresh_token [true|false]
//			accept_http_if_already_terminated [true|false]
//			responses           kong|rfc
//		}
//		client <client_id> {
//			name          <text>
//			consumer      <username|id>
//			type          confidential|public
//			secret        <hash> [<hash>]
//			auth          basic|post|private_key_jwt|none
//			jwks          <file|url>
//			grants        <grant>...
//			scopes        <scope>...
//			resources     <uri>...
//			token_format  opaque|jwt
//			redirect_uris <uri>...
//			post_logout_redirect_uris <uri>...
//			id_token_signed_response_alg RS256|ES256
//		}
//		store embedded|postgres|redis ...
//	}
func (s *Server) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if _, err := directive.BeginBlock(d, "write 'issuer %s' into the block"); err != nil {
		return err
	}
	var once directive.Once
	var later []func() error
	for d.NextBlock(0) {
		if d.Val() == "client" {
			check, err := s.unmarshalClient(d)
			if err != nil {
				return err
			}
			later = append(later, check)
			continue
		}
		if err := once.Check(d, "scopes", "scope", "resources", "legacy", "client_metadata_documents"); err != nil {
			return err
		}
		if err := s.unmarshalOption(d, &later); err != nil {
			return err
		}
	}
	if s.Issuer == "" {
		_, err := rfc.ParseIssuer("", false)
		return d.WrapErr(err)
	}
	// The scopes of the server, and who asks people, may stand below the clients.
	for _, check := range later {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// atOption has a check of the whole server name the line of the option that it is about.
func (s *Server) atOption(d *caddyfile.Dispenser, check func() error) func() error {
	at := directive.At(d.Token())
	return func() error { return directive.Located(at, check()) }
}

// unmarshalOption reads an option, and adds what can be checked only when the whole server
// is read.
func (s *Server) unmarshalOption(d *caddyfile.Dispenser, later *[]func() error) (err error) {
	at := directive.At(d.Token())
	switch d.Val() {
	case "id":
		err = directive.SetID(d, &s.ID)
	case "issuer":
		s.Issuer, err = directive.String(d)
		*later = append(*later, func() error { return s.checkIssuer(at) })
	case "scopes":
		err = addChecked(d, &s.Scopes, authcore.CheckScope)
	case "scope":
		err = s.unmarshalScope(d)
	case "resources":
		err = addChecked(d, &s.Resources, authcore.CheckResource)
	case "token_ttl":
		err = s.unmarshalTokenTTL(d)
	case "token_format":
		s.TokenFormat, err = format(d)
	case "code_ttl":
		s.CodeTTL, err = directive.Duration(d)
		if err == nil && (time.Duration(s.CodeTTL) < time.Second || time.Duration(s.CodeTTL) > maxCodeTTL) {
			err = d.Errf("code_ttl is %s; a code lasts 1s to %s", time.Duration(s.CodeTTL), maxCodeTTL)
		}
	case "refresh_token":
		*later = append(*later, s.atOption(d, s.checkPeople))
		err = s.unmarshalRefreshToken(d)
	case "pkce":
		*later = append(*later, s.atOption(d, s.checkPeople))
		err = oneOf(d, &s.PKCE, pkceAll, pkcePublic)
	case "login":
		*later = append(*later, s.atOption(d, s.checkPeople))
		err = s.unmarshalLogin(d)
	case "consent_page":
		err = s.unmarshalConsentPage(d)
	case "pushed_authorization":
		*later = append(*later, s.atOption(d, s.checkPeople))
		err = oneOf(d, &s.PushedAuthorization, pushedOptional, pushedRequired)
	case "registration":
		*later = append(*later, s.atOption(d, s.checkPeople), s.atOption(d, func() error { return s.Registration.check(s) }))
		err = s.unmarshalRegistration(d)
	case "client_metadata_documents":
		*later = append(*later, s.atOption(d, s.checkPeople))
		err = addChecked(d, &s.ClientMetadataDocuments, checkHostPattern)
	case "legacy":
		*later = append(*later, s.atOption(d, s.checkPeople), s.atOption(d, s.checkLegacy))
		err = addChecked(d, &s.Legacy, checkLegacy)
	case "limit":
		err = s.unmarshalLimit(d)
	case "profile":
		err = s.unmarshalProfile(d)
		*later = append(*later, func() error { return directive.Located(at, s.checkProfile()) })
	case "service":
		s.Service, err = directive.String(d)
	case "store", "storage":
		err = s.unmarshalStorage(d)
	default:
		err = directive.Unknown(d, "gluu_oauth_server", "issuer", "scopes", "scope", "resources", "token_ttl", "token_format", "code_ttl", "refresh_token",
			"pkce", "login", "consent_page", "pushed_authorization", "registration", "client_metadata_documents", "legacy", "limit", "service", "profile", "client", "store", "id")
	}
	return err
}

func (s *Server) checkIssuer(at *caddyfile.Dispenser) error {
	if directive.HasPlaceholder(s.Issuer) {
		return nil
	}
	if _, err := rfc.ParseIssuer(s.Issuer, s.hasLegacy(legacyPlainHTTP)); err != nil {
		return at.WrapErr(err)
	}
	return nil
}

func (s *Server) unmarshalScope(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Err("scope takes a scope and what it means to people: write 'scope todos:read \"Read your todos\"'")
	}
	if err := authcore.CheckScope(args[0]); err != nil {
		return d.WrapErr(err)
	}
	if s.ScopeTexts[args[0]] != "" {
		return d.Errf("scope %q has two texts: keep one of them", args[0])
	}
	if s.ScopeTexts == nil {
		s.ScopeTexts = make(map[string]string)
	}
	s.ScopeTexts[args[0]] = args[1]
	if !slices.Contains(s.Scopes, args[0]) {
		s.Scopes = append(s.Scopes, args[0])
	}
	return nil
}

func (s *Server) unmarshalTokenTTL(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Err("token_ttl takes one or two durations: for a client itself, and with a user")
	}
	for i, field := range []*caddy.Duration{&s.TokenTTL, &s.UserTokenTTL}[:len(args)] {
		ttl, err := caddy.ParseDuration(args[i])
		switch {
		case err != nil:
			return d.Errf("token_ttl is a duration such as 1h, not %q", args[i])
		case ttl < 0:
			return d.Errf("token_ttl is %s; it cannot be negative", ttl)
		case ttl < time.Second:
			return d.Errf("token_ttl is %s; a token has to last at least 1s", args[i])
		}
		*field = caddy.Duration(ttl)
	}
	return nil
}

// isStore reports whether a name is that of a store that gateways share.
func isStore(name string) bool {
	_, err := caddy.GetModule("gluu.store." + name)
	return err == nil
}

// unmarshalStorage reads where tokens are: a file or what else this server alone
// uses, or a store.
func (s *Server) unmarshalStorage(d *caddyfile.Dispenser) error {
	option := d.Val()
	s.storeAt = directive.At(d.Token())
	if s.StorageRaw != nil || s.StoreRaw != nil {
		return d.Errf("%s repeats 'store' or 'storage', which are two names of one option: keep one of them", option)
	}
	if !d.NextArg() {
		return d.Errf("%s names a module: write '%s embedded { path <file> }'", option, option)
	}
	name := d.Val()
	// `embedded` is this server's own file, whatever else is called so.
	if _, err := caddy.GetModule("gluu.oauth_server.storage." + name); err != nil && isStore(name) {
		module, err := caddyfile.UnmarshalModule(d, "gluu.store."+name)
		if err != nil {
			return err
		}
		s.StoreRaw = caddyconfig.JSONModuleObject(module, "engine", name, nil)
		return nil
	}
	if _, err := caddy.GetModule("gluu.oauth_server.storage." + name); err != nil {
		return d.WrapErr(store.UnknownEngine(option, name))
	}
	module, err := caddyfile.UnmarshalModule(d, "gluu.oauth_server.storage."+name)
	if err != nil {
		return err
	}
	s.StorageRaw = caddyconfig.JSONModuleObject(module, "module", name, nil)
	return nil
}

// secretsOf reads one or two hashes. No error shows what was written, which may be the
// secret itself.
func secretsOf(d *caddyfile.Dispenser) (first, second string, err error) {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return "", "", d.Err("secret takes one value, the hash that caddy gluu hash-secret prints, or two while it is replaced")
	}
	for _, value := range args {
		if directive.HasPlaceholder(value) {
			continue
		}
		if _, err := clientauth.Parse(value); err != nil {
			return "", "", d.WrapErr(err)
		}
	}
	return args[0], append(args, "")[1], nil
}

func oneOf(d *caddyfile.Dispenser, field *string, words ...string) error {
	option := d.Val()
	value, err := directive.String(d)
	if err != nil {
		return err
	}
	if !slices.Contains(words, value) {
		return d.Errf("%s is %s, not %q", option, directive.Either(words), value)
	}
	*field = value
	return nil
}

// addChecked adds one or more values, each of which has to pass.
func addChecked(d *caddyfile.Dispenser, field *[]string, check func(string) error) error {
	values, err := checked(d, check)
	for _, value := range values {
		if slices.Contains(*field, value) {
			return d.Errf("%q is given twice: keep one of them", value)
		}
		*field = append(*field, value)
	}
	return err
}

func format(d *caddyfile.Dispenser) (string, error) {
	value, err := directive.String(d)
	if err != nil {
		return "", err
	}
	if err := checkFormat(value); err != nil {
		return "", d.WrapErr(err)
	}
	return value, nil
}

// checked reads one or more values, each of which has to pass.
func checked(d *caddyfile.Dispenser, check func(string) error) ([]string, error) {
	values, err := directive.Strings(d)
	if err != nil {
		return nil, err
	}
	for _, value := range values {
		if err := check(value); err != nil {
			return nil, d.WrapErr(err)
		}
	}
	return values, nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Server)(nil)
