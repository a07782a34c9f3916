// SPDX-License-Identifier: Apache-2.0

package kong

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

// authorize is for a login application, which has asked a user and vouches for the answer
// with the provision key. It is answered with the URI to send the user's browser to. Once
// the application and the user are known, a mistake of the client is sent to the client's
// redirect URI too. As in Kong, of several mistakes the last one checked is told.
func (c *call) authorize() error {
	if err := c.checkProvisionKey(); err != nil {
		return err
	}
	if c.params.isBlank("authenticated_userid") {
		return missingUser()
	}
	client, err := c.findClient(c.params.text("client_id"))
	if err != nil {
		return err
	}
	scopes, redirectURI, challenge, wrong := c.readAuthorization(client)
	if wrong != nil {
		return c.refuseAt(redirectURI, wrong)
	}
	grant := authcore.Grant{
		Issuer: c.Issuer, Service: c.Service, ClientID: client.ClientID, Subject: c.params.text("authenticated_userid"),
		Scopes: scopes, Type: authcore.GrantAuthorizationCode,
	}
	if c.params.text("response_type") == "token" {
		return c.implicit(grant, redirectURI)
	}
	code, err := c.Store.IssueCode(c.r.Context(), &authcore.Code{
		Grant: grant, RedirectURI: redirectURI, Challenge: challenge,
		Asked: c.Profile.isRFC() && c.params.isGiven("redirect_uri"), // Kong's clients need not repeat it
	}, codeTTL, newText)
	if err != nil {
		return err
	}
	c.sendTo(http.StatusOK, redirectURI, map[string]string{"code": code}, false)
	return nil
}

// checkProvisionKey refuses a request that does not come from the login application.
func (c *call) checkProvisionKey() error {
	right, err := c.CheckProvisionKey(c.r, c.params.text("provision_key"))
	switch {
	case errors.Is(err, ErrLimited):
		return limited()
	case err != nil:
		return unavailable(reasonBusy, err)
	case !right:
		return wrongProvisionKey()
	}
	return nil
}

// ErrLimited says that too many secrets were wrong.
var ErrLimited = errors.New("too many failures")

// readAuthorization reads what a client asks for. Without a problem there is a client that
// users can be sent to.
func (c *call) readAuthorization(client *authcore.Client) (scopes []string, redirectURI, challenge string, wrong *problem) {
	if !c.servesResponseType(client) {
		wrong = c.orMissing("response_type", c.wrongResponseType())
	}
	scopes, scopeProblem := c.scopes(client)
	if scopeProblem != nil {
		wrong = scopeProblem
	}
	redirectURI, redirectProblem := c.redirectURI(client)
	if redirectProblem != nil {
		wrong = redirectProblem
	}
	challenge, challengeProblem := c.challenge(client)
	if challengeProblem != nil {
		wrong = challengeProblem
	}
	return scopes, redirectURI, challenge, wrong
}

func (c *call) servesResponseType(client *authcore.Client) bool {
	switch c.params.text("response_type") {
	case "code":
		return c.mayUse(client, authcore.GrantAuthorizationCode)
	case "token":
		return c.mayUse(client, authcore.GrantImplicit)
	}
	return false
}

// wrongResponseType says why there is nothing for a response type.
func (c *call) wrongResponseType() *problem {
	p := wrongResponseType()
	if c.servesResponseType(nil) {
		p.rfc = answer{0, authcore.UnauthorizedClient, "this client does not have this grant"}
		p.reason = reasonNotForClient
	}
	return p
}

// mayUse reports whether a client can get tokens by a grant: the server serves it, and the
// client is not limited to others. It is the one place where that is decided.
func (c *call) mayUse(client *authcore.Client, grant string) bool {
	if grant != authcore.GrantRefreshToken && !c.Profile.enables(grant) {
		return false
	}
	return client == nil || len(client.Grants) == 0 || client.HasGrant(grant)
}

// scopes are those that a client asks for. Without any in the configuration of the server
// none is granted, whatever is asked for.
func (c *call) scopes(client *authcore.Client) ([]string, *problem) {
	if !c.params.has("scope") {
		if c.Profile.MandatoryScope {
			return nil, wrongScope("You must specify a scope")
		}
		return nil, nil
	}
	if len(c.Scopes) == 0 {
		return nil, nil
	}
	if !c.params.isText("scope") {
		return nil, wrongScope("scope must be a string")
	}
	var scopes []string
	for _, scope := range strings.FieldsFunc(c.params.text("scope"), isLuaSpace) {
		if !slices.Contains(c.Scopes, scope) || client != nil && len(client.Scopes) > 0 && !slices.Contains(client.Scopes, scope) {
			return nil, wrongScope(`"` + scope + `" is an invalid scope`)
		}
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes, nil
}

func isLuaSpace(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' }

// redirectURI is where to send the user: the URI that the client names, or its first one. A
// URI that is not one of the client's is never used.
func (c *call) redirectURI(client *authcore.Client) (string, *problem) {
	if client == nil || len(client.RedirectURIs) == 0 {
		p := wrongClient(reasonUnknownClient, 0)
		p.rfc = answer{0, authcore.InvalidRequest, "there is no client with this client_id and a redirect URI"} // no authentication has failed
		return "", p
	}
	first := client.RedirectURIs[0]
	if !c.params.isGiven("redirect_uri") {
		if c.Profile.isRFC() && len(client.RedirectURIs) > 1 {
			return "", malformed("redirect_uri is missing, and the client has several (RFC 6749 section 3.1.2.3)")
		}
		return first, nil
	}
	if sent := c.params.text("redirect_uri"); slices.Contains(client.RedirectURIs, sent) {
		return sent, nil
	}
	if c.Profile.isRFC() {
		return "", wrongRedirectURI() // RFC 6749 section 4.1.2.1: do not send the user anywhere
	}
	return first, wrongRedirectURI()
}

// challenge is the code challenge in its one spelling, with whatever alphabet and padding it
// was sent.
func (c *call) challenge(client *authcore.Client) (string, *problem) {
	if !c.params.isGiven("code_challenge") {
		switch {
		case c.params.isGiven("code_challenge_method"):
			return "", wrongChallenge("code_challenge is required when code_method is present")
		case client != nil && c.Profile.requiresPKCE(client):
			return "", wrongChallenge("code_challenge is required for " + typeOf(client) + " clients")
		}
		return "", nil
	}
	if c.Profile.isRFC() {
		return c.standardChallenge()
	}
	if !c.params.isText("code_challenge") || c.params.text("code_challenge") == "" {
		return "", wrongChallenge("code_challenge is not a string")
	}
	if c.params.isGiven("code_challenge_method") && !strings.EqualFold(c.params.text("code_challenge_method"), "S256") {
		return "", wrongChallenge("code_challenge_method is not supported, must be S256")
	}
	challenge := strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(c.params.text("code_challenge")), "=")
	if decoded, err := base64.RawURLEncoding.DecodeString(challenge); err == nil {
		challenge = base64.RawURLEncoding.EncodeToString(decoded)
	}
	return challenge, nil
}

// standardChallenge is the code challenge as RFC 7636 spells it. A challenge without a method
// is a plain one there.
func (c *call) standardChallenge() (string, *problem) {
	if !c.params.isText("code_challenge") { // not one that the client has left out
		return "", wrongChallenge("code_challenge is not a string")
	}
	challenge := c.params.text("code_challenge")
	err := authcore.CheckChallenge(challenge, c.params.text("code_challenge_method"))
	if f, refused := errors.AsType[*authcore.Fault](err); refused {
		return "", problemOfFault(f)
	}
	return challenge, nil
}

func typeOf(client *authcore.Client) string {
	if client.Public {
		return "public"
	}
	return "confidential"
}

// implicit issues a token to the user's browser.
func (c *call) implicit(grant authcore.Grant, redirectURI string) error {
	grant.Type = authcore.GrantImplicit
	tokens, err := c.Store.StartGrant(c.r.Context(), &grant, nil, authcore.Terms{AccessTTL: c.Profile.tokenTTL(), NewText: newText})
	if err != nil {
		return err
	}
	params := map[string]string{"access_token": tokens.AccessText, "token_type": "bearer"}
	if ttl := lifetime(tokens.Access); ttl > 0 {
		params["expires_in"] = strconv.FormatInt(ttl, 10)
	}
	c.sendTo(http.StatusOK, redirectURI, params, true)
	c.issued(grant.Type)
	return nil
}

// refuseAt tells the login application where to send the user with a problem of the client;
// "" for nowhere.
func (c *call) refuseAt(redirectURI string, p *problem) error {
	if redirectURI == "" {
		return p
	}
	a := p.answerAs(c.Profile.isRFC())
	c.sendTo(http.StatusBadRequest, redirectURI, map[string]string{"error": a.code, "error_description": a.description}, false)
	c.report(p, http.StatusBadRequest)
	return nil
}

// sendTo answers with the URI to send the user to.
func (c *call) sendTo(status int, redirectURI string, params map[string]string, inFragment bool) {
	if state, ok := c.params.shown("state"); ok {
		params["state"] = state
	}
	for i, state := range c.params.list("state") {
		params["state["+strconv.Itoa(i+1)+"]"] = state // as Lua counts
	}
	if c.Profile.isRFC() {
		params["iss"] = c.Issuer // RFC 9207
	}
	c.json(status, map[string]json.RawMessage{"redirect_uri": quote(redirect(redirectURI, params, inFragment))})
}

func (c *call) issued(grant string) {
	if c.Issued != nil {
		c.Issued(grant)
	}
}
