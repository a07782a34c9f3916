// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/sync/errgroup"
)

// oauth2Credential is a client of the plugin oauth2.
type oauth2Credential struct {
	entity
	clientID    string
	secret      string // a hash; "" of a public client
	unhashed    string // until hashSecrets
	public      bool
	redirects   []string
	consumer    *consumer
	consumerRef string
}

func (f *file) readOAuth2Credential(o *object, parent any, _ int) {
	c := &oauth2Credential{entity: entity{o: o, id: o.str("id"), name: o.str("name")}, clientID: o.str("client_id"), redirects: o.strs("redirect_uris")}
	c.consumer, _ = parent.(*consumer)
	c.consumerRef = reference(o, "consumer")
	o.check("client_id", checkClientID(c.clientID))
	o.checkEach("redirect_uris", c.redirects, checkRedirectURI)
	c.public = o.oneOf("client_type", "confidential", "public") == "public"
	secret, hashed := o.secret("client_secret"), o.boolean("hash_secret", false)
	switch {
	case c.clientID == "":
		o.errorf("client_id", "is required here, where none is generated: write it")
	case c.public:
		// What it has for a secret, it could not keep.
	case secret == "":
		o.errorf("client_secret", "is required for a confidential client: write it, or client_type: public")
	default:
		c.secret, c.unhashed = f.readSecret(o, secret, hashed)
	}
	f.register(o, "oauth2_credentials", c, c.id)
	f.clients = append(f.clients, c)
	f.nested(o, c, "oauth2_tokens")
}

// A secret of longSecret bytes counts as generated: guessing it is hopeless in any
// case, so that a quick hash does. A shorter one may be a person's choice. All the
// secrets of a file share an amount of work, since thousands of them have to load in
// seconds.
const (
	longSecret  = 24
	leastMemory = 128     // KiB that argon2id fills, in 0.1 ms
	mostMemory  = 4096    // in 4 ms
	fileMemory  = 1 << 20 // for all short secrets together
)

// memoryOf returns how much memory, in KiB, the hash of a secret fills that is one of
// many.
func memoryOf(secret string, many int) uint32 {
	if len(secret) >= longSecret {
		return leastMemory
	}
	return uint32(max(leastMemory, min(mostMemory, fileMemory/many)))
}

// hashSecret returns the hash of a secret, which is the same for the same file.
func (f *file) hashSecret(o *object, owner, secret string, hashed bool) string {
	hash, secret := f.readSecret(o, secret, hashed)
	if secret == "" {
		return hash
	}
	return hashOf(owner, secret, memoryOf(secret, 1))
}

// readSecret returns the hash that an option has, or the secret that is to be hashed.
func (f *file) readSecret(o *object, text string, hashed bool) (hash, secret string) {
	switch {
	case isHash(text):
		o.check("client_secret", checkHash(text))
		return text, ""
	case hashed && f.hashed:
		o.errorf("client_secret", "_transform is false, so that it is a hash, but of no known form: write the hash as Kong has made it, or the secret with _transform: true")
		return "", ""
	case strings.HasPrefix(text, "{env."):
		o.errorf("client_secret", "%q refers to the environment, where Caddy expects the hash of a secret: write the secret, or the hash that caddy gluu hash-secret prints", text)
		return "", ""
	}
	return "", strings.ReplaceAll(text, `\{`, "{")
}

// isHash reports whether a secret begins like a hash, and is never meant as a secret itself.
func isHash(text string) bool {
	return slices.ContainsFunc([]string{"$pbkdf2-sha512$", "$argon2id$", "$2a$", "$2b$", "$2y$"}, func(form string) bool { return strings.HasPrefix(text, form) })
}

// hashOf returns an argon2id hash. The salt is derived from the owner of the secret, so
// that the same file gives the same configuration, and no two clients have one in common.
// It must not depend on the secret: it is part of the hash, and to try a guess by the
// salt would take one SHA-256.
func hashOf(owner, secret string, memory uint32) string {
	seed := sha256.Sum256([]byte("kong oauth2 salt\x00" + owner))
	salt := seed[:16]
	key := argon2.IDKey([]byte(secret), salt, 1, memory, 1, 32)
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=1,p=1$%s$%s", argon2.Version, memory, encode(salt), encode(key))
}

// hashSecrets hashes the secrets of all clients on all processors: they are what a
// file with thousands of clients takes longest for.
func (f *file) hashSecrets() {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, c := range f.clients {
		if c.unhashed != "" {
			group.Go(func() error {
				c.secret = hashOf(c.clientID, c.unhashed, memoryOf(c.unhashed, len(f.clients)))
				return nil
			})
		}
	}
	_ = group.Wait() // none of them fails
}

// connectClients finds the consumers of clients, and refuses two clients of one
// id.
func (f *file) connectClients() {
	f.hashSecrets()
	seen := make(map[string]*oauth2Credential)
	for _, c := range f.clients {
		if c.consumer == nil {
			if c.consumer = lookup[*consumer](f, c.o, "consumer", "consumers", c.consumerRef); c.consumer == nil && c.consumerRef == "" {
				c.o.errorf("consumer", "is required: name the consumer that the client is")
			}
		}
		if other := seen[c.clientID]; other != nil {
			c.o.errorf("client_id", "%q is that of another credential too, in line %d: a client can be one consumer only", c.clientID, other.o.line)
		}
		seen[c.clientID] = c
	}
}

// kongIssuer names the authorization servers of a file. It is a name and not an
// address: tokens of Kong's plugin are opaque.
const kongIssuer = "https://oauth2.kong.internal"

// oauth2Settings is an instance of the plugin.
type oauth2Settings struct {
	server, auth map[string]any
	global       bool
}

// readOAuth2 reads Kong's authorization server: its endpoints answer on every
// route that it runs on, and its tokens are asked for there.
func readOAuth2(f *file, p *plugin) builder {
	c := p.config
	s := oauth2Settings{global: c.boolean("global_credentials", false)}
	scopes := scopesOf(c, "scopes")
	legacy := map[string]bool{}
	if !f.settings.rfc {
		legacy["query_credentials"] = true
	}
	s.server = map[string]any{"handler": "gluu_oauth_server", "issuer": kongIssuer, "profile": f.readProfile(p, legacy)}
	if len(scopes) > 0 {
		s.server["scopes"] = scopes
	}
	f.oauth2Clients = f.clientsJSON(legacy)
	if words := slices.Sorted(maps.Keys(legacy)); len(words) > 0 {
		s.server["legacy"] = words
		c.warnf(aboutProtection, "", "what only Kong's clients need is on: %s; see legacy in docs/gluu_oauth_server.md", strings.Join(words, ", "))
	}
	s.auth = map[string]any{"handler": "gluu_oauth_auth", "token_from": f.tokenPlaces(c)}
	if !f.settings.rfc {
		s.auth["several_tokens"] = "first"
	}
	if c.boolean("hide_credentials", false) {
		s.auth["pass_credentials"] = "hide"
	}
	f.addAnonymous(c, s.auth, true)
	c.ignore("persistent_refresh_token")
	if engine, address, found := strings.Cut(f.settings.store, " "); found {
		s.server["store"] = storeModule(engine, strings.TrimSpace(address), f.settings.storeKey)
	} else {
		c.warnf(aboutTheRest, "", "tokens are kept by this gateway alone: with several, set GLUU_KONG_STORE")
	}
	return func(r *route) steps { return f.oauth2Steps(c, s, r) }
}

// warnEndpoints warns of a plugin for all routes whose endpoints are not where people look for
// them first: as in Kong, a path that no route has is not found, whatever plugins there are.
func (f *file) warnEndpoints() {
	const endpoint = "/oauth2/token"
	if slices.ContainsFunc(f.routes, func(r *route) bool { return r.takes("POST", endpoint) }) {
		return
	}
	for _, p := range f.plugins {
		if p.name == "oauth2" && p.enabled && p.route == nil && p.service == nil && p.consumer == nil {
			p.o.warnf(aboutRouting, "", "no route takes POST %s, so that it is answered 404, as in Kong: ask for codes and tokens below the path of a route, or add a route with paths: [/oauth2]", endpoint)
		}
	}
}

func storeModule(engine, address, key string) map[string]any {
	module := map[string]any{"engine": engine, "keys": []string{key}}
	if engine == "redis" {
		module["url"] = address
	} else {
		module["dsn"] = address
	}
	return module
}

// oauth2Steps are the server and the authentication of one route: tokens are
// good for its service, or for all.
func (f *file) oauth2Steps(c *object, s oauth2Settings, r *route) steps {
	service := "*"
	if !s.global {
		if r.service == nil {
			if r.serviceRef != "" {
				return steps{} // the reference is an error already
			}
			c.errorf("global_credentials", "%s has no service that tokens could be for: write true, or give it one", r.o.entity)
			return steps{}
		}
		service = r.service.id
	}
	server, auth := maps.Clone(s.server), maps.Clone(s.auth)
	server["service"] = service
	name := "oauth2"
	if service != "*" {
		name = "oauth2-" + r.service.label()
	}
	auth["provider"] = f.addProvider(c, name, map[string]any{"embedded": true, "issuer": kongIssuer, "service": service})
	return steps{before: []any{server, auth}}
}

// tokenPlaces are where the plugin looks for tokens: in a header, then in the body,
// then in the query, where no later specification wants them.
func (f *file) tokenPlaces(c *object) []map[string]any {
	place := map[string]any{"in": "authorization"}
	if header := c.str("auth_header_name"); header != "" && !strings.EqualFold(header, "authorization") {
		if !httpguts.ValidHeaderFieldName(header) {
			c.errorf("auth_header_name", "%q is not the name of a header: write for example x-access-token", header)
		} else {
			c.check("auth_header_name", checkTokenHeader(header))
		}
		place = map[string]any{"in": "header", "name": header}
	}
	places := []map[string]any{place, {"in": "form"}}
	if !f.settings.rfc {
		places = append(places, map[string]any{"in": "query", "name": "access_token"})
		c.warnf(aboutProtection, "", "access tokens are also read from the query, from where they reach access logs and histories: have clients send the Authorization header, then remove the place from token_from")
	}
	if !c.boolean("hide_credentials", false) {
		c.warnf(aboutTheRest, "hide_credentials", "tokens in the query or in a form do not reach the upstream, also where Kong passed them on")
	}
	return places
}

// readProfile reads the settings of the server.
func (f *file) readProfile(p *plugin, legacy map[string]bool) map[string]any {
	c := p.config
	profile := map[string]any{"name": "kong"}
	var grants []string
	for _, grant := range []struct{ field, name, legacy string }{
		{"enable_authorization_code", "authorization_code", ""}, {"enable_implicit_grant", "implicit", "implicit"},
		{"enable_client_credentials", "client_credentials", ""}, {"enable_password_grant", "password", "password"},
	} {
		if !c.boolean(grant.field, false) {
			continue
		}
		grants = append(grants, grant.name)
		if grant.legacy != "" {
			legacy[grant.legacy] = true
		}
	}
	if len(grants) == 0 {
		c.errorf("enable_authorization_code", "no grant is enabled: write true for one of enable_authorization_code, enable_client_credentials, enable_implicit_grant and enable_password_grant")
	}
	profile["grants"] = grants
	if key := c.secret("provision_key"); key != "" {
		profile["provision_key"] = []string{f.hashSecret(c, "provision_key\x00"+p.id, key, false)}
	}
	if c.boolean("mandatory_scope", false) && len(c.strs("scopes")) == 0 {
		c.errorf("mandatory_scope", "no scope exists that could be asked for: write scopes, or false")
	}
	for _, field := range []string{"mandatory_scope", "reuse_refresh_token", "accept_http_if_already_terminated"} {
		if c.boolean(field, false) {
			profile[field] = true
		}
	}
	for field, setting := range map[string]string{"token_expiration": "token_expiration", "refresh_token_ttl": "refresh_token_ttl"} {
		if c.has(field) {
			profile[setting] = fmt.Sprintf("%ds", c.seconds(field))
		}
	}
	if pkce := c.oneOf("pkce", "lax", "none", "strict"); pkce != "lax" {
		profile["pkce"] = pkce
	}
	if realm := c.str("realm"); realm != "" {
		c.check("realm", checkRealm(realm))
		profile["realm"] = realm
	}
	if f.settings.rfc {
		profile["responses"] = "rfc"
	}
	return profile
}

// addClients gives the clients of the file to the first of its servers. The others
// have the same issuer, and with it the same clients: there can be a server for each
// of thousands of services.
func (f *file) addClients(chain []any) (added bool) {
	for i, handler := range chain {
		h, _ := handler.(map[string]any)
		if h["handler"] != "gluu_oauth_server" {
			continue
		}
		h = maps.Clone(h)
		h["clients"] = f.oauth2Clients
		chain[i] = h
		return true
	}
	return false
}

// clientsJSON returns the clients of the file.
func (f *file) clientsJSON(legacy map[string]bool) map[string]any {
	clients := make(map[string]any, len(f.clients))
	for _, client := range f.clients {
		m := map[string]any{}
		if client.name != "" {
			m["name"] = client.name
		}
		if client.consumer != nil {
			m["consumer"] = client.consumer.id
		}
		if client.public {
			m["type"] = "public"
		} else {
			m["secret"] = client.secret
		}
		if len(client.redirects) > 0 {
			m["redirect_uris"] = client.redirects
		}
		if slices.ContainsFunc(client.redirects, func(uri string) bool { return strings.HasPrefix(strings.ToLower(uri), "http://") }) {
			legacy["http_redirects"] = true
		}
		clients[client.clientID] = m
	}
	return clients
}
