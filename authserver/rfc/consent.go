// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"bytes"
	"crypto/hmac"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

// ConsentPage asks a person who is logged in already: as whom, an authentication handler
// in front has found out, and says in {http.auth.user.id}.
type ConsentPage struct {
	Template *template.Template
	TTL      time.Duration
}

// person is who asks, as the handler in front has it.
type person struct {
	id       string
	authTime time.Time
	acr      string
}

// personOf reads who is logged in. Only handlers set these placeholders, never a client.
// A handler that authenticates each request anew does not say since when a person is
// logged in: then it is now.
func (c *call) personOf() person {
	replacer, ok := c.r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return person{}
	}
	p := person{authTime: c.Now().Truncate(time.Second)}
	p.id, _ = replacer.GetString("http.auth.user.id")
	if text, ok := replacer.GetString("gluu.token.auth_time"); ok {
		if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 {
			p.authTime = time.Unix(int64(seconds), 0)
		}
	}
	p.acr, _ = replacer.GetString("gluu.token.acr")
	return p
}

// reauthentication is how fresh a login has to be where the client wants a new one.
const reauthentication = time.Minute

// askConsent shows the page, unless the person has said yes to all of it before.
func (c *call) askConsent(client *authcore.Client, request *authcore.AuthorizationRequest) error {
	silent := slices.Contains(request.Prompt, "none")
	who := c.personOf()
	if who.id == "" || len(who.id) > maxSubject {
		if silent {
			return refuseTo(request, codeLoginRequired, reasonUserUnknown, "nobody is logged in")
		}
		return unknownPerson()
	}
	if request.Subject != "" && who.id != request.Subject {
		return refuseTo(request, codeLoginRequired, reasonPrompt, "another person is logged in than that of the id_token_hint")
	}
	if age := c.Now().Sub(who.authTime); slices.Contains(request.Prompt, "login") && age > reauthentication ||
		request.MaxAge != nil && age > time.Duration(*request.MaxAge)*time.Second+reauthentication {
		return refuseTo(request, codeLoginRequired, reasonPrompt, "the login is too long ago, and this page cannot ask for a new one")
	}
	known, err := c.hasConsented(client, request, who.id)
	if err != nil {
		return err
	}
	if known && isSameSite(c.r) {
		// Only where no other site can have sent the browser here.
		return c.finish(client, request, answerOf(who, request.Scopes), sessionID(c.knowBrowser()))
	}
	if silent {
		return refuseTo(request, codeConsentRequired, reasonPrompt, "the person has to be asked")
	}
	return c.showConsent(client, request, who)
}

func unknownPerson() *refusal {
	r := refuse(http.StatusForbidden, authcore.AccessDenied, reasonUserUnknown, "you are not logged in here")
	r.err = errors.New("{http.auth.user.id} is empty: put a handler that authenticates people, basic_auth for example, before gluu_oauth_server and let it cover " + string(AuthorizeEndpoint) + "*")
	return r
}

func answerOf(who person, scopes []string) *authcore.Answer {
	return &authcore.Answer{Subject: who.id, Scopes: scopes, ACR: who.acr, AuthTime: who.authTime}
}

// showConsent shows the page. What is decided on it is bound to the browser and to the
// person who saw it.
func (c *call) showConsent(client *authcore.Client, request *authcore.AuthorizationRequest, who person) error {
	cookie := c.knowBrowser()
	challenge := &authcore.Challenge{Issuer: c.Issuer.Name, Request: *request, Browser: c.browserID(cookie), Subject: who.id}
	name, err := c.Store.OpenChallenge(c.r.Context(), challenge, c.Consent.TTL)
	if err != nil {
		return err
	}
	return c.writePage(http.StatusOK, c.Consent.Template, pageData{
		Title: "Allow " + nameOf(client) + "?", Client: nameOf(client), Host: hostOf(request.RedirectURI), Person: who.id,
		Scopes: c.shownScopes(request.Scopes), Resources: request.Resources, SelfRegistered: client.IsSelfMade(),
		Action: c.Issuer.URL(ChallengeEndpoint) + name, Token: formToken(cookie, name),
	})
}

// formToken is in the form beside the cookie: who cannot read the cookie cannot make the
// form.
func formToken(cookie, name string) string {
	id := authcore.NewTokenID("consent form", cookie, name)
	return id.String()
}

// decide takes what the person has decided on the page.
func (c *call) decide() error {
	if !c.isOwnPage() {
		return refuse(http.StatusForbidden, authcore.AccessDenied, reasonOrigin, "this form was sent by another site")
	}
	form, err := c.readBrowserForm()
	if err != nil {
		return err
	}
	challenge, err := c.Store.Challenge(c.r.Context(), c.Issuer.Name, c.rest)
	if isUnknown(err) || errors.Is(err, authcore.ErrExpired) {
		return usedBefore()
	}
	if err != nil {
		return err
	}
	cookie := c.browser()
	if cookie == "" || c.browserID(cookie) != challenge.Browser || !hmac.Equal([]byte(form.Get("token")), []byte(formToken(cookie, c.rest))) {
		return refuse(http.StatusForbidden, authcore.AccessDenied, reasonBrowser, "this page was opened in another browser; go back to the application and try again")
	}
	who := c.personOf()
	if who.id == "" || who.id != challenge.Subject {
		return unknownPerson()
	}
	client, err := c.FindClient(c.r.Context(), challenge.Request.ClientID)
	if err != nil {
		return goneClient(err)
	}
	c.clientID = client.ClientID
	challenge.Answer = &authcore.Answer{Error: authcore.AccessDenied, Description: "the user said no"}
	if form.Get("decision") == "allow" {
		challenge.Answer = answerOf(who, within(challenge.Request.Scopes, c.scopesOf(client)))
		challenge.Answer.Remember = true
	}
	if !authcore.MatchRedirectURI(client.RedirectURIs, challenge.Request.RedirectURI) {
		return refuse(http.StatusBadRequest, authcore.InvalidRequest, reasonRedirectURI, "the client no longer has this redirect_uri")
	}
	return c.conclude(client, challenge, c.rest, sessionID(cookie))
}

// isOwnPage reports whether a page of this server has sent a form. Browsers send the origin
// with each POST.
func (c *call) isOwnPage() bool {
	site := c.r.Header.Get("Sec-Fetch-Site")
	return len(c.r.Header["Origin"]) == 1 && c.r.Header.Get("Origin") == c.Issuer.origin() && (site == "" || site == "same-origin")
}

// origin is that of the server's pages, as browsers write it (RFC 6454 section 6.2).
func (i Issuer) origin() string {
	u, err := url.Parse(i.Name)
	if err != nil {
		return ""
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if scheme == "https" {
		return scheme + "://" + strings.TrimSuffix(host, ":443")
	}
	return scheme + "://" + strings.TrimSuffix(host, ":80")
}

// ParseTemplate reads the template of a consent page, and tries it.
func ParseTemplate(text string) (*template.Template, error) {
	parsed, err := template.New("consent").Parse(text)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	trial := pageData{Title: "t", Client: "c", Host: "h", Person: "p", Scopes: []shownScope{{"s", "t"}}, Resources: []string{"r"}, Action: "https://action.example/", Token: "form-token", Style: template.CSS(pageCSS)}
	if err := parsed.Execute(&out, trial); err != nil {
		return nil, err
	}
	for _, part := range []string{trial.Action, trial.Token} {
		if !strings.Contains(out.String(), part) {
			return nil, fmt.Errorf("the template lacks the form: it needs method \"post\", action {{.Action}}, a hidden field token with {{.Token}}, and buttons named decision with the values allow and deny")
		}
	}
	return parsed, nil
}
