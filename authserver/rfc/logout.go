// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"crypto/hmac"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/jose"
)

// logoutRequest is what a client asks for.
type logoutRequest struct {
	form   url.Values
	hint   *idToken         // nil: none, or one that is not valid
	client *authcore.Client // nil: unknown
	target string           // where the browser goes afterwards, "" for nowhere
}

// logout ends what this browser has granted (OpenID Connect RP-Initiated Logout). A client
// that shows an ID token of this very session need not be confirmed. For any other request
// section 2 wants the person to be asked: any site can send a browser here.
func (c *call) logout() error {
	form, err := c.readBrowserForm()
	if err != nil {
		return err
	}
	confirmed := c.r.Method == http.MethodPost && form.Has("decision")
	if confirmed && !c.isConfirmed(form) {
		return refuse(http.StatusForbidden, authcore.AccessDenied, reasonOrigin, "this form was sent by another site, or opened in another browser")
	}
	request, err := c.readLogout(form)
	switch {
	case err != nil:
		return err
	case confirmed && form.Get("decision") != "logout":
		return c.writePage(http.StatusOK, DefaultTemplate, pageData{Title: "You are still logged in", Text: []string{"Nothing has changed. You can close this page."}})
	case confirmed || c.isOfThisSession(request.hint):
		return c.endSession(request)
	case c.r.Method == http.MethodPost && c.browser() == "":
		// Another site's form comes without the cookie, which is SameSite=Lax. A navigation by
		// GET brings it along.
		c.redirectTo(c.Issuer.URL(LogoutEndpoint) + "?" + form.Encode())
		return nil
	}
	return c.confirmLogout(request)
}

// isConfirmed reports whether a decision comes from the page that confirmLogout has shown
// to this browser.
func (c *call) isConfirmed(form url.Values) bool {
	cookie := c.browser()
	return c.isOwnPage() && cookie != "" && hmac.Equal([]byte(form.Get("token")), []byte(logoutToken(cookie)))
}

// logoutToken is in the form beside the cookie, as formToken is.
func logoutToken(cookie string) string {
	id := authcore.NewTokenID("logout form", cookie, "")
	return id.String()
}

// readLogout checks who asks, and where the browser may go afterwards. A hint that is not
// valid counts as none, and then the browser goes nowhere: what came with it is not to be
// trusted either.
func (c *call) readLogout(form url.Values) (*logoutRequest, error) {
	request := &logoutRequest{form: form, target: form.Get("post_logout_redirect_uri")}
	id := form.Get("client_id")
	if text := form.Get("id_token_hint"); text != "" {
		request.hint = c.parseIDToken(text)
		if request.hint == nil || id != "" && id != request.hint.Audience {
			request.hint, request.target = nil, ""
			return request, nil
		}
		id = request.hint.Audience
	}
	if err := c.findLogoutClient(request, id); err != nil {
		return nil, err
	}
	if request.target != "" && !request.mayRedirect() {
		return nil, refuse(http.StatusBadRequest, authcore.InvalidRequest, reasonRedirectURI,
			"post_logout_redirect_uri is not one that this client has registered, or id_token_hint and client_id are missing")
	}
	return request, nil
}

func (c *call) findLogoutClient(request *logoutRequest, id string) error {
	if id == "" {
		return nil
	}
	client, err := c.FindClient(c.r.Context(), id)
	if isUnknown(err) {
		return nil
	}
	if err == nil {
		request.client, c.clientID = client, client.ClientID
	}
	return err
}

// mayRedirect reports whether the address is one of the client's. Anyone can register a
// client: without an ID token its address is that of anyone.
func (r *logoutRequest) mayRedirect() bool {
	return r.client != nil && slices.Contains(r.client.PostLogoutRedirectURIs, r.target) && (r.hint != nil || !r.client.IsSelfMade())
}

// isOfThisSession reports whether an ID token belongs to the session of this browser, and
// to the person who is logged in, if a handler in front says so.
func (c *call) isOfThisSession(hint *idToken) bool {
	if hint == nil || hint.SessionID == "" || hint.SessionID != sessionID(c.browser()) {
		return false
	}
	who := c.personOf().id
	return who == "" || who == hint.Subject
}

// confirmLogout asks the person. The form repeats the request, which is checked again.
func (c *call) confirmLogout(request *logoutRequest) error {
	asks := "An application asks to log you out."
	if request.client != nil {
		asks = nameOf(request.client) + " asks to log you out."
	}
	text := []string{asks, "If you log out, applications that you have allowed access from this browser lose it."}
	if request.target != "" {
		text = append(text, "You will be sent on to "+hostOf(request.target)+".")
	}
	fields := map[string]string{"token": logoutToken(c.knowBrowser())}
	for _, name := range []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state"} {
		if value := request.form.Get(name); value != "" {
			fields[name] = value
		}
	}
	return c.writePage(http.StatusOK, DefaultTemplate, pageData{Title: "Log out?", Text: text, Logout: c.Issuer.URL(LogoutEndpoint), Fields: fields})
}

// endSession ends what was granted from this browser, and from the session of the ID token,
// and sends the browser on.
func (c *call) endSession(request *logoutRequest) error {
	var ended []authcore.Filter
	if sid := sessionID(c.browser()); sid != "" {
		ended = append(ended, authcore.Filter{SessionID: sid})
	}
	if hint := request.hint; hint != nil && hint.SessionID != "" {
		ended = append(ended, authcore.Filter{Subject: hint.Subject, SessionID: hint.SessionID})
	}
	for _, by := range ended {
		if _, err := c.Store.EndGrants(c.r.Context(), by); err != nil {
			return err
		}
	}
	c.forgetBrowser()
	if request.target == "" {
		return c.writePage(http.StatusOK, DefaultTemplate, pageData{Title: "You are logged out", Text: []string{"Applications no longer have the access that you allowed from this browser. You can close this page."}})
	}
	target := request.target
	if state := request.form.Get("state"); state != "" {
		target = withParameters(target, "", url.Values{"state": {state}})
	}
	c.w.Header().Set("Location", target)
	c.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// hasSigned reports whether a token was signed with a key for ID tokens of this server.
func (c *call) hasSigned(token *jose.Signed) bool {
	return token.Verify(c.public, SigningAlgorithm) == nil || c.HasIDKey && token.Verify(c.publicID, IDTokenAlgorithm) == nil
}

// parseIDToken returns what an ID token of this server says, which may have expired, and nil
// if the text is none.
func (c *call) parseIDToken(text string) *idToken {
	signed, err := jose.Parse(text, authcore.MaxToken)
	if err != nil || signed.Header.Type != "JWT" || !c.hasSigned(signed) {
		return nil
	}
	hint := new(idToken)
	if json.Unmarshal(signed.Payload, hint) != nil || hint.Issuer != c.Issuer.Name || hint.TokenHash == "" {
		return nil
	}
	return hint
}
