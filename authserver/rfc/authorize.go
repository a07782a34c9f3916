// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

// Reasons of the authorization endpoint.
const (
	reasonRedirectURI   = "redirect_uri_unknown"
	reasonResponseType  = "response_type_not_served"
	reasonChallenge     = "code_challenge_missing"
	reasonNotPushed     = "request_not_pushed"
	reasonPrompt        = "interaction_required"
	reasonDenied        = "access_denied"
	reasonUserUnknown   = "user_unknown"
	reasonBrowser       = "other_browser"
	reasonOrigin        = "cross_site"
	reasonRequestObject = "request_object_not_served"
)

// Error codes that only this endpoint has.
const (
	codeServerError         = "server_error"
	codeLoginRequired       = "login_required"
	codeInteractionRequired = "interaction_required"
	codeConsentRequired     = "consent_required"
)

// redirected is a refusal that the client is told by a redirect, because its redirect URI
// is known to be its own.
type redirected struct {
	*refusal
	to *authcore.AuthorizationRequest

	// untrusted says that only the client itself has named its redirect URI.
	untrusted bool
}

func (r *redirected) Unwrap() error { return r.refusal }

// authorize is the authorization endpoint. A client that is unknown, or a redirect URI that
// is not its own, is told on a page: the browser is not sent anywhere. Everything else goes
// back to the client.
func (c *call) authorize() error {
	text, err := c.readParameters()
	if err != nil {
		return err
	}
	form, err := c.parseRequest(text)
	if err != nil {
		return err
	}
	if name := form.Get("login"); name != "" && c.Login != nil && c.r.Method == http.MethodGet {
		return c.afterLogin(name)
	}
	err = c.begin(form)
	if r, ok := errors.AsType[*redirected](err); ok {
		c.report(r.refusal)
		if r.untrusted {
			return c.offerRedirect(r)
		}
		c.redirectError(r.to, r.Code, r.Description)
		return nil
	}
	return err
}

// isTrusted reports whether a browser may be sent to a redirect URI although the person
// was not asked. Anyone can register a client, and would so have a link of this server
// that leads where they like (RFC 9700 section 4.11.2). What stays on the person's own
// machine leads nowhere.
func isTrusted(client *authcore.Client, redirectURI string) bool {
	return !client.IsSelfMade() || !strings.HasPrefix(redirectURI, "https://")
}

// offerRedirect tells the person what is wrong, and leaves it to them to go on.
func (c *call) offerRedirect(r *redirected) error {
	host := hostOf(r.to.RedirectURI)
	return c.writePage(r.status, DefaultTemplate, pageData{
		Title: "This request cannot be served",
		Text:  []string{sentence(r.Description), "The application registered itself, and its address was not checked. Go on only if you have just started it."},
		Link:  c.errorURL(r.to, r.Code, r.Description), LinkText: "Go on to " + host,
	})
}

// readParameters reads the parameters of a request of a browser, as they were sent.
func (c *call) readParameters() (string, error) {
	if c.r.Method != http.MethodPost {
		if len(c.r.URL.RawQuery) > maxBody {
			return "", malformed("the address is too long")
		}
		return c.r.URL.RawQuery, nil
	}
	if c.r.URL.RawQuery != "" {
		return "", malformed("the parameters of a POST belong in the body, not in the URL")
	}
	body, err := c.readBody(formType, maxBody)
	return string(body), err
}

// readBrowserForm reads the parameters of a request of a browser, each once.
func (c *call) readBrowserForm() (url.Values, error) {
	text, err := c.readParameters()
	if err != nil {
		return nil, err
	}
	return parseForm(text)
}

// parseRequest reads the parameters of an authorization request. If one of those is repeated
// that say who the client is and where it is, there is no one to tell but the person.
func (c *call) parseRequest(text string) (url.Values, error) {
	form, repeated, err := parseParameters(text)
	if err != nil {
		return nil, err
	}
	for _, name := range repeated {
		if c.repeated = name; slices.Contains([]string{"client_id", "redirect_uri", "request_uri", "login"}, name) {
			return nil, givenTwice(name)
		}
	}
	return form, nil
}

// checkRepeated refuses parameters that are there more than once (RFC 6749 section 3.1).
func (c *call) checkRepeated(*authcore.Client, *authcore.AuthorizationRequest, url.Values) error {
	if c.repeated != "" {
		return givenTwice(c.repeated)
	}
	return nil
}

// begin checks a request and asks the person.
func (c *call) begin(form url.Values) error {
	client, err := c.clientOf(form)
	if err != nil {
		return err
	}
	err = c.beginFor(client, form)
	if r, ok := errors.AsType[*redirected](err); ok {
		r.untrusted = !isTrusted(client, r.to.RedirectURI)
	}
	return err
}

func (c *call) beginFor(client *authcore.Client, form url.Values) (err error) {
	pushed := form.Has("request_uri")
	if pushed {
		if form, err = c.takePushed(client, form); err != nil {
			return err
		}
	}
	request, err := c.checkRequest(client, form)
	if err != nil {
		return err
	}
	c.touch(c.r.Context(), client)
	if c.PushedRequired && !pushed {
		return refuseTo(request, authcore.InvalidRequest, reasonNotPushed, "this server wants requests to be pushed first (RFC 9126)")
	}
	if c.Login != nil {
		return c.startLogin(request)
	}
	return c.askConsent(client, request)
}

// clientOf returns the client that a request names.
func (c *call) clientOf(form url.Values) (*authcore.Client, error) {
	id := form.Get("client_id")
	if id == "" {
		return nil, malformed("the parameter client_id is missing")
	}
	client, err := c.FindClient(c.r.Context(), id)
	if isUnknown(err) {
		return nil, refuse(http.StatusBadRequest, authcore.InvalidRequest, reasonUnknownClient, "there is no client with this client_id")
	}
	if err != nil {
		return nil, err
	}
	c.clientID = client.ClientID
	return client, nil
}

// checkRequest checks all parameters of an authorization request. What is wrong before the
// redirect URI is known is not redirected.
func (c *call) checkRequest(client *authcore.Client, form url.Values) (*authcore.AuthorizationRequest, error) {
	request := &authcore.AuthorizationRequest{
		ClientID: client.ClientID, State: form.Get("state"), Nonce: form.Get("nonce"), LoginHint: form.Get("login_hint"),
		UILocales: form.Get("ui_locales"), ResponseType: form.Get("response_type"),
	}
	if err := redirectURI(client, form.Get("redirect_uri"), request); err != nil {
		return nil, err
	}
	for _, check := range []func(*authcore.Client, *authcore.AuthorizationRequest, url.Values) error{
		c.checkRepeated, c.checkResponseType, c.checkPKCE, c.checkAsked, checkPrompt, c.checkHint,
	} {
		if err := check(client, request, form); err != nil {
			r := refusalOf(err)
			return nil, &redirected{refusal: r, to: request}
		}
	}
	return request, nil
}

// redirectURI finds out where the answer goes.
func redirectURI(client *authcore.Client, sent string, request *authcore.AuthorizationRequest) error {
	switch {
	case sent == "" && len(client.RedirectURIs) == 1:
		request.RedirectURI = client.RedirectURIs[0]
		return nil
	case sent == "":
		return malformed("the parameter redirect_uri is missing")
	case !authcore.MatchRedirectURI(client.RedirectURIs, sent):
		return refuse(http.StatusBadRequest, authcore.InvalidRequest, reasonRedirectURI,
			"redirect_uri is not one that this client has registered; it is compared character by character")
	}
	request.RedirectURI, request.Asked = sent, true
	return nil
}

func (c *call) checkResponseType(client *authcore.Client, request *authcore.AuthorizationRequest, form url.Values) error {
	grant, mode := authcore.GrantAuthorizationCode, "query"
	switch {
	case form.Has("registration"):
		return refuse(http.StatusBadRequest, "registration_not_supported", reasonRequestObject, "the parameter registration is not served")
	case form.Has("request"):
		return refuse(http.StatusBadRequest, "request_not_supported", reasonRequestObject, "request objects are not served; push the request (RFC 9126)")
	case request.ResponseType == "":
		return malformed("the parameter response_type is missing")
	case request.ResponseType == "token" && c.Legacy.Implicit:
		grant, mode = authcore.GrantImplicit, "fragment"
	case request.ResponseType != "code":
		return refuse(http.StatusBadRequest, authcore.UnsupportedResponseType, reasonResponseType, "this server serves response_type code")
	}
	request.ResponseMode = mode
	if asked := form.Get("response_mode"); asked != "" && asked != mode {
		return refuse(http.StatusBadRequest, authcore.InvalidRequest, reasonResponseType, "response_mode must be "+mode)
	}
	if !client.HasGrant(grant) {
		return refuse(http.StatusBadRequest, authcore.UnauthorizedClient, reasonGrantNotAllowed, "this client does not have the grant "+grant)
	}
	return nil
}

func (c *call) checkPKCE(client *authcore.Client, request *authcore.AuthorizationRequest, form url.Values) error {
	request.Challenge = form.Get("code_challenge")
	if err := authcore.CheckChallenge(request.Challenge, form.Get("code_challenge_method")); err != nil {
		return err
	}
	if request.Challenge == "" && request.ResponseType == "code" && (c.PKCE || client.Public) {
		return refuse(http.StatusBadRequest, authcore.InvalidRequest, reasonChallenge, "code_challenge is missing: this server wants PKCE with S256 (RFC 7636)")
	}
	return nil
}

func (c *call) checkAsked(client *authcore.Client, request *authcore.AuthorizationRequest, form url.Values) (err error) {
	request.Scopes, request.Resources, err = c.asked(client, form)
	return err
}

// checkPrompt reads how the person is to be asked (OpenID Connect Core section 3.1.2.1).
func checkPrompt(_ *authcore.Client, request *authcore.AuthorizationRequest, form url.Values) error {
	request.ACRValues = strings.Fields(form.Get("acr_values"))
	request.Prompt = strings.Fields(form.Get("prompt"))
	for _, prompt := range request.Prompt {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, prompt) {
			return malformed("prompt has a value that does not exist")
		}
	}
	if slices.Contains(request.Prompt, "none") && len(request.Prompt) > 1 {
		return malformed("prompt none stands alone")
	}
	if text := form.Get("max_age"); text != "" {
		age, err := strconv.ParseInt(text, 10, 32)
		if err != nil || age < 0 {
			return malformed("max_age is not a number of seconds")
		}
		request.MaxAge = &age
	}
	for _, text := range []string{request.State, request.Nonce, request.LoginHint, request.UILocales, form.Get("acr_values")} {
		if len(text) > maxParameter {
			return malformed("a parameter is too long")
		}
	}
	return nil
}

// checkHint reads which person the client expects. It gets nothing about another one
// (OpenID Connect Core section 3.1.2.2).
func (c *call) checkHint(client *authcore.Client, request *authcore.AuthorizationRequest, form url.Values) error {
	text := form.Get("id_token_hint")
	if text == "" {
		return nil
	}
	hint := c.parseIDToken(text)
	if hint == nil || hint.Audience != client.ClientID {
		return malformed("id_token_hint is not an ID token of this server for this client")
	}
	request.Subject = hint.Subject
	return nil
}

// maxParameter bounds what is stored for a client while a person logs in.
const maxParameter = 4 << 10

func refuseTo(request *authcore.AuthorizationRequest, code, reason, description string) *redirected {
	return &redirected{refusal: refuse(http.StatusBadRequest, code, reason, description), to: request}
}

// redirect sends the browser back to the client.
func (c *call) redirect(request *authcore.AuthorizationRequest, parameters url.Values) {
	c.redirectTo(c.answerURL(request, parameters))
}

func (c *call) redirectTo(address string) {
	c.w.Header().Set("Location", address)
	c.w.Header().Set("Referrer-Policy", "no-referrer")
	// A browser must not send the body of a form on (RFC 9700 section 4.12).
	status := http.StatusFound
	if c.r.Method == http.MethodPost {
		status = http.StatusSeeOther
	}
	c.w.WriteHeader(status)
}

// answerURL is where a client gets an answer.
func (c *call) answerURL(request *authcore.AuthorizationRequest, parameters url.Values) string {
	if request.State != "" {
		parameters.Set("state", request.State)
	}
	parameters.Set("iss", c.Issuer.Name) // RFC 9207
	return withParameters(request.RedirectURI, request.ResponseMode, parameters)
}

// withParameters adds parameters to a redirect URI, whose own query stays as it is written.
func withParameters(uri, mode string, parameters url.Values) string {
	separator := "?"
	switch {
	case mode == "fragment":
		separator = "#"
	case strings.HasSuffix(uri, "?"), strings.HasSuffix(uri, "&"):
		separator = ""
	case strings.Contains(uri, "?"):
		separator = "&"
	}
	return uri + separator + parameters.Encode()
}

func (c *call) redirectError(request *authcore.AuthorizationRequest, code, description string) {
	c.redirectTo(c.errorURL(request, code, description))
}

// errorURL is where a client is told an error.
func (c *call) errorURL(request *authcore.AuthorizationRequest, code, description string) string {
	if code == "temporarily_unavailable" && description == "" {
		description = "try again later"
	}
	parameters := url.Values{"error": {code}}
	if description != "" {
		parameters.Set("error_description", description)
	}
	return c.answerURL(request, parameters)
}

// finish answers the client once the person has decided. Ending the challenge, if there is one,
// and issuing the code are one Commit: of several that do so one wins.
func (c *call) finish(client *authcore.Client, request *authcore.AuthorizationRequest, answer *authcore.Answer, sid string, with ...authcore.Op) error {
	grant := authcore.Grant{
		Issuer: c.Issuer.Name, Service: c.Service, Type: authcore.GrantAuthorizationCode, ClientID: client.ClientID, Subject: answer.Subject,
		Scopes: answer.Scopes, Resources: request.Resources,
		Nonce: request.Nonce, AuthTime: answer.AuthTime, ACR: answer.ACR, SessionID: sid, Claims: answer.Claims,
	}
	if request.ResponseType == "token" {
		return c.finishImplicit(client, request, &grant, with)
	}
	text, err := c.Store.IssueCode(c.r.Context(), &authcore.Code{
		Grant: grant, RedirectURI: request.RedirectURI, Asked: request.Asked, Challenge: request.Challenge,
	}, c.CodeTTL, nil, with...)
	if errors.Is(err, authcore.ErrChanged) {
		return usedBefore()
	}
	if err != nil {
		return err
	}
	c.redirect(request, url.Values{"code": {text}})
	return nil
}

func usedBefore() *refusal {
	return refuse(http.StatusBadRequest, authcore.InvalidRequest, authcore.ReasonChallengeUnknown,
		"this login is over, or was never begun; go back to the application and try again")
}

// finishImplicit issues an access token in the fragment of the redirect URI, without refresh
// token (RFC 6749 section 4.2.2).
func (c *call) finishImplicit(client *authcore.Client, request *authcore.AuthorizationRequest, grant *authcore.Grant, with []authcore.Op) error {
	grant.Type = authcore.GrantImplicit
	terms := c.terms(client)
	terms.Refresh = false
	tokens, err := c.Store.StartGrantWith(c.r.Context(), grant, terms, with...)
	if errors.Is(err, authcore.ErrChanged) {
		return usedBefore()
	}
	if err != nil {
		return err
	}
	c.countIssued(authcore.GrantImplicit, client)
	c.redirect(request, url.Values{
		"access_token": {tokens.AccessText}, "token_type": {"Bearer"}, "scope": {strings.Join(grant.Scopes, " ")},
		"expires_in": {strconv.FormatInt(tokens.Access.ExpiresIn(tokens.Access.IssuedAt), 10)},
	})
	return nil
}
