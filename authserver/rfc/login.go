// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/clientauth"
)

// Login is the operator's own application, which logs people in and asks them. It goes so:
//
//  1. The browser asks the authorization endpoint, which checks everything and sends it to
//     the application, with the name of a challenge.
//  2. The application reads the challenge with its key.
//  3. It answers the challenge, once, and gets an address.
//  4. The browser goes there. Its cookie is checked, and the client gets its code.
//
// The application never sees a code, and a code never goes to another browser.
type Login struct {
	URL          string
	Secrets      []*clientauth.Secret
	Allow        []netip.Prefix // from where; none: from anywhere
	ChallengeTTL time.Duration
}

// Reasons of the login application's requests.
const (
	reasonLoginKey    = "login_key_wrong"
	reasonLoginSource = "login_source_not_allowed"
)

// startLogin sends the browser to the login application.
func (c *call) startLogin(request *authcore.AuthorizationRequest) error {
	challenge := &authcore.Challenge{Issuer: c.Issuer.Name, Request: *request, Browser: c.browserID(c.knowBrowser())}
	name, err := c.Store.OpenChallenge(c.r.Context(), challenge, c.Login.ChallengeTTL)
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", withParameters(c.Login.URL, "", url.Values{"challenge": {name}}))
	c.w.Header().Set("Referrer-Policy", "no-referrer")
	status := http.StatusFound
	if c.r.Method == http.MethodPost {
		status = http.StatusSeeOther
	}
	c.w.WriteHeader(status)
	return nil
}

// challenge is the address of a challenge: for the login application, and for the form of
// the built-in page.
func (c *call) challenge() error {
	if c.r.Method == http.MethodPost {
		return c.decide()
	}
	if err := c.checkApplication(); err != nil {
		return err
	}
	challenge, err := c.Store.Challenge(c.r.Context(), c.Issuer.Name, c.rest)
	if errors.Is(err, authcore.ErrExpired) {
		return refuse(http.StatusGone, authcore.InvalidRequest, authcore.ReasonChallengeUnknown, "the challenge has expired")
	}
	if isUnknown(err) {
		return refuse(http.StatusNotFound, authcore.InvalidRequest, authcore.ReasonChallengeUnknown, "there is no such challenge")
	}
	if err != nil {
		return err
	}
	c.clientID = challenge.Request.ClientID
	if c.r.Method == http.MethodPut {
		return c.answerChallenge(challenge)
	}
	return c.showChallenge(challenge)
}

// checkApplication authenticates the login application by its key, never from the URL.
func (c *call) checkApplication() error {
	if c.r.URL.RawQuery != "" && c.r.Method == http.MethodPut {
		return malformed("parameters belong in the body, not in the URL")
	}
	if !c.isAllowedSource() {
		return refuse(http.StatusForbidden, authcore.AccessDenied, reasonLoginSource, "the login application is not expected at this address")
	}
	scheme, key, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	right := false
	if strings.EqualFold(scheme, "Bearer") && len(c.r.Header["Authorization"]) == 1 {
		err := c.limitedSource(func() (err error) {
			right, err = c.Auth.Verifier.Bearer(c.r.Context(), "login application", c.r.RemoteAddr, c.Login.Secrets, key)
			if err == nil && !right {
				err = refuse(http.StatusUnauthorized, authcore.InvalidClient, reasonLoginKey, "the key of the login application is wrong")
			}
			return err
		})
		if err != nil {
			return c.withBearerChallenge(err)
		}
	}
	if !right {
		return c.withBearerChallenge(refuse(http.StatusUnauthorized, authcore.InvalidClient, reasonLoginKey, "the key of the login application is missing"))
	}
	return nil
}

func (c *call) withBearerChallenge(err error) error {
	if refusalOf(err).status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", `Bearer realm="`+c.Issuer.Name+`"`)
	}
	return err
}

func (c *call) isAllowedSource() bool {
	if len(c.Login.Allow) == 0 {
		return true
	}
	ip, _ := caddyhttp.GetVar(c.r.Context(), caddyhttp.ClientIPVarKey).(string)
	address, err := netip.ParseAddr(ip)
	return err == nil && slices.ContainsFunc(c.Login.Allow, func(p netip.Prefix) bool { return p.Contains(address.Unmap().WithZone("")) })
}

// shownChallenge is what the login application learns.
type shownChallenge struct {
	Client       shownClient  `json:"client"`
	Scopes       []shownScope `json:"scopes"`
	Resources    []string     `json:"resources,omitempty"`
	RedirectHost string       `json:"redirect_host"`
	LoginHint    string       `json:"login_hint,omitempty"`
	Subject      string       `json:"subject,omitempty"` // the only person that the client takes
	Prompt       []string     `json:"prompt,omitempty"`
	MaxAge       *int64       `json:"max_age,omitempty"`
	ACRValues    []string     `json:"acr_values,omitempty"`
	UILocales    string       `json:"ui_locales,omitempty"`
	ExpiresAt    int64        `json:"expires_at"`

	// Consented answers ?subject=: whether this person has agreed to all of it
	// before, with "remember".
	Consented *bool `json:"consented,omitempty"`
}

type shownClient struct {
	ID   string `json:"client_id"`
	Name string `json:"name"`

	// SelfRegistered: what the client says about itself was not checked.
	SelfRegistered bool `json:"self_registered"`
}

type shownScope struct {
	Name string `json:"name"`
	Text string `json:"text,omitempty"`
}

func (c *call) showChallenge(challenge *authcore.Challenge) error {
	if challenge.Answer != nil {
		return conflict()
	}
	client, err := c.FindClient(c.r.Context(), challenge.Request.ClientID)
	if err != nil {
		return goneClient(err)
	}
	request := challenge.Request
	shown := shownChallenge{
		Client: shownClient{ID: client.ClientID, Name: nameOf(client), SelfRegistered: client.IsSelfMade()},
		Scopes: c.shownScopes(request.Scopes), Resources: request.Resources, RedirectHost: hostOf(request.RedirectURI),
		LoginHint: request.LoginHint, Subject: request.Subject, Prompt: request.Prompt, MaxAge: request.MaxAge, ACRValues: request.ACRValues, UILocales: request.UILocales,
		ExpiresAt: challenge.Expires.Unix(),
	}
	query, err := parseForm(c.r.URL.RawQuery)
	if err != nil {
		return err
	}
	if subject := query.Get("subject"); subject != "" {
		known, err := c.hasConsented(client, &request, subject)
		if err != nil {
			return err
		}
		shown.Consented = &known
	}
	c.json(http.StatusOK, shown)
	return nil
}

// hasConsented reports whether a person has said yes to a request before. A client that has
// registered itself is always asked about.
func (c *call) hasConsented(client *authcore.Client, request *authcore.AuthorizationRequest, subject string) (bool, error) {
	if client.IsSelfMade() || slices.Contains(request.Prompt, "consent") {
		return false, nil
	}
	return c.Store.Remembered(c.r.Context(), c.consentTo(request, request.Scopes, subject))
}

func (c *call) consentTo(request *authcore.AuthorizationRequest, scopes []string, subject string) *authcore.Consent {
	return &authcore.Consent{
		Issuer: c.Issuer.Name, Subject: subject, ClientID: request.ClientID, RedirectURI: request.RedirectURI,
		Scopes: scopes, Resources: request.Resources,
	}
}

func (c *call) shownScopes(names []string) []shownScope {
	shown := make([]shownScope, 0, len(names))
	for _, name := range names {
		text := ""
		if i := slices.IndexFunc(c.Scopes, func(s Scope) bool { return s.Name == name }); i >= 0 {
			text = c.Scopes[i].Text
		}
		shown = append(shown, shownScope{name, text})
	}
	return shown
}

func nameOf(client *authcore.Client) string {
	if client.Name == "" {
		return client.ClientID
	}
	return client.Name
}

// hostOf is where a redirect URI leads, in words: the host, or the scheme of an app.
func hostOf(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return uri
	case u.Host == "":
		return u.Scheme + ":"
	}
	return u.Host
}

func conflict() *refusal {
	return refuse(http.StatusConflict, authcore.InvalidRequest, authcore.ReasonChallengeAnswered, "the challenge was answered before")
}

func goneClient(err error) error {
	if isUnknown(err) {
		return refuse(http.StatusGone, authcore.InvalidRequest, reasonUnknownClient, "the client no longer exists")
	}
	return err
}
