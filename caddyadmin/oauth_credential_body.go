// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/jose"
)

var credentialMembers = []string{
	"id", "consumer", "name", "client_id", "client_secret", "hash_secret", "redirect_uris", "client_type", "tags", "created_at",
	"grants", "scopes", "resources", "auth", "jwks", "id_token_signed_response_alg",
}

// readCredential reads the members of a body into a client, and checks what results from
// it. It returns the secret if there is a new one.
func (a *oauthAdmin) readCredential(w http.ResponseWriter, r *http.Request, s *oauthServer, c *authcore.Client) (secret string, err error) {
	m, err := readMembers(w, r, a.takesForms(s))
	if err != nil {
		return "", err
	}
	in := newReader(m)
	in.allow(credentialMembers...)
	in.readID(c)
	in.text("name", &c.Name)
	in.text("client_id", &c.ClientID)
	in.texts("redirect_uris", &c.RedirectURIs)
	in.texts("tags", &c.Tags)
	in.texts("grants", &c.Grants)
	in.texts("scopes", &c.Scopes)
	in.texts("resources", &c.Resources)
	in.readType(c)
	in.readAuth(c)
	in.flag("hash_secret", new(bool)) // secrets are hashed in any case
	var given string
	in.text("client_secret", &given)
	if err := a.readConsumer(r, in, c); err != nil {
		return "", err
	}
	a.checkCredential(in, s, c)
	if in.has("client_secret") && !in.isNull("client_secret") && given == "" {
		in.refuse("client_secret", "length must be at least 1")
	}
	if c.Public && given != "" {
		in.refuse("client_secret", "a public client has no secret")
	}
	if err := in.err(); err != nil {
		return "", err
	}
	return a.secretOf(c, given)
}

func (r *reader) readID(c *authcore.Client) {
	id := c.ID
	if r.text("id", &id); c.ID != "" && id != c.ID {
		r.wrong["id"] = "cannot be changed"
		return
	}
	if canonical, ok := parseUUID(id); id != "" && !ok {
		r.wrong["id"] = "expected a valid UUID"
	} else {
		c.ID = canonical
	}
	r.number("created_at", new(int64))
}

func (r *reader) readType(c *authcore.Client) {
	kind := ""
	r.text("client_type", &kind)
	switch {
	case !r.has("client_type") || r.isNull("client_type"):
	case kind == typeConfidential, kind == typePublic:
		c.Public = kind == typePublic
	default:
		r.wrong["client_type"] = "expected one of: confidential, public"
	}
}

func (r *reader) readAuth(c *authcore.Client) {
	if r.has("auth") {
		var name string
		r.text("auth", &name)
		auth, known := authNames[name]
		if !known {
			r.wrong["auth"] = "expected one of: basic, post, private_key_jwt, none"
		}
		c.Auth = auth
	}
	r.text("id_token_signed_response_alg", &c.IDTokenAlg)
	if authcore.CheckIDTokenAlg(c.IDTokenAlg) != nil {
		r.wrong["id_token_signed_response_alg"] = "expected one of: " + strings.Join(authcore.IDTokenAlgs(), ", ")
	}
	if r.isNull("jwks") {
		c.JWKS = nil
	} else if r.has("jwks") {
		if _, err := jose.ParseKeySet(r.members["jwks"]); err != nil {
			r.wrong["jwks"] = "expected a JWK Set: " + err.Error()
		}
		c.JWKS = r.members["jwks"]
	}
}

// readConsumer reads whose credential it is. In the addresses below a consumer that is the
// consumer there.
func (a *oauthAdmin) readConsumer(r *http.Request, in *reader, c *authcore.Client) error {
	of, err := a.consumerOf(r)
	if err != nil {
		return err
	}
	key, value := in.reference("consumer", "id", "username")
	if value == "" {
		if of != nil {
			c.Consumer = of.ID
		} else if in.isNull("consumer") {
			c.Consumer = ""
		}
		return nil
	}
	named, err := a.directory.Lookup(value)
	switch {
	case errors.Is(err, consumer.ErrNotFound):
		return noSuch("consumers", "consumer", map[string]string{key: value})
	case err != nil:
		return err
	case of != nil && named.ID != of.ID:
		in.refuse("consumer", "is not the consumer of the address")
	}
	c.Consumer = named.ID
	return nil
}

// checkCredential checks a client as it would be.
func (a *oauthAdmin) checkCredential(in *reader, s *oauthServer, c *authcore.Client) {
	if strings.TrimSpace(c.Name) == "" {
		in.refuse("name", "required field missing")
	}
	if c.Consumer == "" {
		in.refuse("consumer", "required field missing")
	}
	if strings.ContainsAny(c.ClientID, " ") || strings.HasPrefix(c.ClientID, "https://") {
		in.refuse("client_id", "contains a space, or is the address of a metadata document")
	}
	peers := a.peers(s)
	http := slices.ContainsFunc(peers, func(p oauthServer) bool { return p.HTTPRedirects })
	if wrong := wrongRedirectURIs(c.RedirectURIs, http); wrong != nil {
		in.refuse("redirect_uris", wrong)
	}
	a.checkLists(in, peers, c)
	switch {
	case c.Public && c.Auth != "" && c.Auth != authcore.AuthNone:
		in.refuse("auth", "a public client has auth none")
	case !c.Public && c.Auth == authcore.AuthNone:
		in.refuse("auth", "auth none is for public clients")
	case c.Auth == authcore.AuthPrivateKeyJWT && c.JWKS == nil:
		in.refuse("jwks", "required with auth private_key_jwt")
	}
}

// wrongRedirectURIs says what is wrong with each of the URIs, nil with a right one, in Kong's
// words where it has some. Without a mistake there is no list.
func wrongRedirectURIs(uris []string, anyHTTP bool) []any {
	var wrong []any
	for i, uri := range uris {
		err := authcore.CheckRedirectURI(uri, anyHTTP)
		if err == nil {
			continue
		}
		wrong = append(wrong, make([]any, i-len(wrong))...)
		u, parseErr := url.Parse(uri)
		switch {
		case parseErr != nil || u.Scheme == "" || u.Host == "" && u.Path == "":
			wrong = append(wrong, fmt.Sprintf("cannot parse '%s'", uri))
		case strings.Contains(uri, "#"):
			wrong = append(wrong, fmt.Sprintf("fragment not allowed in '%s'", uri))
		default:
			wrong = append(wrong, err.Error())
		}
	}
	return wrong
}

// checkLists refuses what no server with the store can grant.
func (a *oauthAdmin) checkLists(in *reader, servers []oauthServer, c *authcore.Client) {
	for _, list := range []struct {
		name  string
		given []string
		of    func(oauthServer) []string
	}{
		{"grants", c.Grants, func(s oauthServer) []string { return s.Grants }},
		{"scopes", c.Scopes, func(s oauthServer) []string { return s.Scopes }},
		{"resources", c.Resources, func(s oauthServer) []string { return s.Resources }},
	} {
		if !in.has(list.name) {
			continue // the configuration may have changed since
		}
		for _, value := range list.given {
			if !slices.ContainsFunc(servers, func(s oauthServer) bool { return slices.Contains(list.of(s), value) }) {
				in.refuse(list.name, "no server of the configuration has "+value)
			}
		}
	}
}

// secretOf gives a client its secret: the given one, or a new one if it has none. The
// secret is returned if it is new.
func (a *oauthAdmin) secretOf(c *authcore.Client, given string) (string, error) {
	switch {
	case c.Public, c.Auth == authcore.AuthPrivateKeyJWT && given == "":
		c.Secrets = nil
		return "", nil
	case given == "" && len(c.Secrets) > 0:
		return "", nil
	}
	return a.setSecret(c, given)
}

// setSecret makes a secret, or the given one, the only one of a client.
func (a *oauthAdmin) setSecret(c *authcore.Client, given string) (string, error) {
	if given == "" {
		given = authcore.RandomText(authcore.TokenBytes)
	}
	hash, err := a.hash([]byte(given))
	if err != nil {
		return "", invalidMember("client_secret", "%v", err)
	}
	c.Secrets = []authcore.Secret{{Hash: hash}}
	return given, nil
}
