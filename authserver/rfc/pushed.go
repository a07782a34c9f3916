// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

// pushedTTL is how long a pushed request can be used.
const pushedTTL = time.Minute

// credentialNames are the parameters by which a client authenticates. They are not part of
// the request that is stored.
var credentialNames = []string{"client_secret", "client_assertion", "client_assertion_type"}

// pushed takes an authorization request from an authenticated client (RFC 9126). What is
// wrong with it is said at once.
func (c *call) pushed() error {
	form, err := c.readForm()
	if err != nil {
		return err
	}
	client, err := c.authenticate(form)
	if err != nil {
		return err
	}
	if form.Has("request_uri") {
		return malformed("request_uri does not belong into a request that is pushed")
	}
	for _, name := range credentialNames {
		form.Del(name)
	}
	form.Set("client_id", client.ClientID)
	if _, err := c.checkRequest(client, form); err != nil {
		return refusalOf(err)
	}
	name, err := c.Store.Push(c.r.Context(), c.Issuer.Name, &authcore.Pushed{ClientID: client.ClientID, Form: form}, pushedTTL)
	if err != nil {
		return err
	}
	c.json(http.StatusCreated, map[string]any{"request_uri": name, "expires_in": int(pushedTTL.Seconds())})
	return nil
}

// takePushed returns the request that was pushed. What stands beside its name in the URL
// does not count (RFC 9126 section 4).
func (c *call) takePushed(client *authcore.Client, form url.Values) (url.Values, error) {
	p, err := c.Store.TakePushed(c.r.Context(), c.Issuer.Name, form.Get("request_uri"), client.ClientID)
	if err != nil {
		return nil, err
	}
	return p.Form, nil
}
