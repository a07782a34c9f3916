// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/jose"
)

// logout ends what this browser has granted (OpenID Connect RP-Initiated Logout). A client
// proves by an ID token that it may ask for it; without one the browser is only forgotten, and sent nowhere.
func (c *call) logout() error {
	form, err := c.readParameters()
	if err != nil {
		return err
	}
	hint, client, err := c.readHint(form)
	if err != nil {
		return err
	}
	target := form.Get("post_logout_redirect_uri")
	if target != "" && (client == nil || !slices.Contains(client.PostLogoutRedirectURIs, target)) {
		return refuse(http.StatusBadRequest, authcore.InvalidRequest, reasonRedirectURI,
			"post_logout_redirect_uri is not one that this client has registered, or the id_token_hint is missing")
	}
	if hint != nil {
		if err := c.endSession(hint); err != nil {
			return err
		}
	}
	c.forgetBrowser()
	if target == "" {
		return c.writePage(http.StatusOK, DefaultTemplate, pageData{Title: "You are logged out", Text: []string{"The application that sent you here has ended your session. You can close this page."}})
	}
	parameters := url.Values{}
	if state := form.Get("state"); state != "" {
		parameters.Set("state", state)
		target = withParameters(target, "", parameters)
	}
	c.w.Header().Set("Location", target)
	c.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// readHint returns the ID token that a client shows, which may have expired, and whose it
// is.
func (c *call) readHint(form url.Values) (*idToken, *authcore.Client, error) {
	text := form.Get("id_token_hint")
	if text == "" {
		return nil, nil, nil
	}
	hint := c.parseIDToken(text)
	if hint == nil || form.Has("client_id") && form.Get("client_id") != hint.Audience {
		return nil, nil, malformed("id_token_hint is not an ID token of this server for this client")
	}
	client, err := c.FindClient(c.r.Context(), hint.Audience)
	if isUnknown(err) {
		return nil, nil, malformed("the client of the id_token_hint no longer exists")
	}
	if client != nil {
		c.clientID = client.ClientID
	}
	return hint, client, err
}

func (c *call) parseIDToken(text string) *idToken {
	signed, err := jose.Parse(text, authcore.MaxToken)
	if err != nil || signed.Header.Type != "JWT" || signed.Verify(c.public, SigningAlgorithm) != nil {
		return nil
	}
	hint := new(idToken)
	if json.Unmarshal(signed.Payload, hint) != nil || hint.Issuer != c.Issuer.Name || hint.TokenHash == "" {
		return nil
	}
	return hint
}

// endSession ends the grants that came from the browser session of an ID token.
func (c *call) endSession(hint *idToken) error {
	if hint.SessionID == "" {
		return nil
	}
	_, err := c.Store.EndGrants(c.r.Context(), authcore.Filter{Subject: hint.Subject, SessionID: hint.SessionID})
	return err
}
