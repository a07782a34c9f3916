// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/clientauth"
)

// assertionType is that of a client assertion (RFC 7523 section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// authenticate finds out who the client is, by exactly one way of authentication, which
// has to be the registered one.
func (c *call) authenticate(form url.Values) (*authcore.Client, error) {
	client, err := c.limited(form, func() (*authcore.Client, error) { return c.identify(form) })
	if client != nil {
		c.clientID = client.ClientID
	}
	return client, err
}

func (c *call) identify(form url.Values) (*authcore.Client, error) {
	headers := slices.DeleteFunc(slices.Clone(c.r.Header["Authorization"]), func(value string) bool { return value == "" })
	hasAssertion := form.Has("client_assertion") || form.Has("client_assertion_type")
	ways := 0
	for _, used := range []bool{len(headers) > 0, form.Has("client_secret"), hasAssertion} {
		if used {
			ways++
		}
	}
	switch {
	case len(headers) > 1:
		return nil, malformed("there is more than one Authorization header")
	case ways > 1:
		return nil, malformed("the client authenticates in two ways; one is allowed")
	case len(headers) == 1:
		sent, err := readBasic(headers[0], form.Get("client_id"))
		if err != nil {
			return nil, err
		}
		return c.bySecret(authcore.AuthBasic, sent...)
	case hasAssertion:
		return c.byAssertion(form)
	case form.Has("client_id") && form.Has("client_secret"):
		return c.bySecret(authcore.AuthPost, clientauth.Credentials{ID: form.Get("client_id"), Secret: form.Get("client_secret")})
	case form.Has("client_id"):
		return c.byName(form.Get("client_id"))
	}
	return nil, unauthenticated("client authentication is missing")
}

func (c *call) bySecret(method string, sent ...clientauth.Credentials) (*authcore.Client, error) {
	client, err := c.Auth.Secret(c.r.Context(), method, c.r.RemoteAddr, sent...)
	if err != nil {
		c.noteClient(sent)
	}
	return client, err
}

// noteClient remembers for the log in whose name a request was made, if such a client
// exists.
func (c *call) noteClient(sent []clientauth.Credentials) {
	for _, credentials := range sent {
		if client, err := c.FindClient(c.r.Context(), credentials.ID); err == nil {
			c.clientID = client.ClientID
			return
		}
	}
}

func (c *call) byAssertion(form url.Values) (*authcore.Client, error) {
	if form.Get("client_assertion_type") != assertionType || !form.Has("client_assertion") {
		return nil, unauthenticated("client_assertion_type must be " + assertionType + ", with a client_assertion")
	}
	return c.Auth.Assertion(c.r.Context(), form.Get("client_assertion"), form.Get("client_id"))
}

// byName is for public clients, which have nothing to prove with.
func (c *call) byName(id string) (*authcore.Client, error) {
	client, err := c.FindClient(c.r.Context(), id)
	if isUnknown(err) || err == nil && !client.Public {
		return nil, unauthenticated("client authentication is missing")
	}
	return client, err
}

// readBasic reads an Authorization header. RFC 6749 wants id and secret
// form-encoded before they are put together; many clients, curl among them,
// do not do it. Both readings are tried where they differ: a secret made of
// base64 has plus signs.
func readBasic(header, formID string) ([]clientauth.Credentials, error) {
	id, secret, ok := (&http.Request{Header: http.Header{"Authorization": {header}}}).BasicAuth()
	if !ok || id == "" || secret == "" {
		return nil, unauthenticated("the Authorization header is not of the form 'Basic base64(client_id:client_secret)'")
	}
	readings := []clientauth.Credentials{{ID: id, Secret: secret}}
	if strings.ContainsAny(id+secret, "%+") {
		decodedID, err := url.QueryUnescape(id)
		decodedSecret, err2 := url.QueryUnescape(secret)
		if err == nil && err2 == nil {
			readings = []clientauth.Credentials{{ID: decodedID, Secret: decodedSecret}, {ID: id, Secret: secret}}
		}
	}
	if formID != "" && !slices.ContainsFunc(readings, func(r clientauth.Credentials) bool { return r.ID == formID }) {
		return nil, malformed("client_id in the body is not the one of the Authorization header")
	}
	return readings, nil
}

func unauthenticated(description string) *refusal {
	return refuse(http.StatusUnauthorized, authcore.InvalidClient, reasonUnauthenticated, description)
}
