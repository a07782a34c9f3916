// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/jose"
)

// loginAnswer is what the login application says. Exactly one of subject and error is
// given.
type loginAnswer struct {
	Error       string                     `json:"error"`
	Description string                     `json:"error_description"`
	Subject     string                     `json:"subject"`
	Scopes      *[]string                  `json:"scopes"`
	ACR         string                     `json:"acr"`
	AuthTime    int64                      `json:"auth_time"`
	Remember    bool                       `json:"remember"`
	Claims      map[string]json.RawMessage `json:"claims"`
}

func (c *call) answerChallenge(challenge *authcore.Challenge) error {
	said, err := c.readAnswer()
	if err != nil {
		return err
	}
	answer, err := c.checkAnswer(challenge, said)
	if err != nil {
		return err
	}
	err = c.Store.AnswerChallenge(c.r.Context(), c.rest, challenge, answer)
	if f, ok := errors.AsType[*authcore.Fault](err); ok && f.Reason == authcore.ReasonChallengeAnswered {
		return conflict()
	}
	if err != nil {
		return err
	}
	c.json(http.StatusOK, map[string]string{"redirect_to": c.Issuer.URL(AuthorizeEndpoint) + "?login=" + url.QueryEscape(c.rest)})
	return nil
}

func (c *call) readAnswer() (said loginAnswer, err error) {
	body, err := c.readBody("application/json", maxBody)
	if err != nil {
		return said, err
	}
	if _, err := jose.ParseObject(body); err != nil { // no member twice
		return said, malformed("the body is not a JSON object with each member once")
	}
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&said); err != nil {
		return said, malformed(typeProblem(err))
	}
	return said, nil
}

// reservedClaims cannot be set by the login application: the server says them.
var reservedClaims = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce", "azp", "auth_time", "acr", "amr", "at_hash", "c_hash", "s_hash", "sid",
	"active", "client_id", "scope", "scp", "token_type", "username", "cnf", "act", "may_act", "grant", "service", "events",
}

func (c *call) checkAnswer(challenge *authcore.Challenge, said loginAnswer) (*authcore.Answer, error) {
	switch {
	case (said.Subject == "") == (said.Error == ""):
		return nil, malformed("exactly one of subject and error is needed")
	case len(said.Subject) > maxSubject || strings.ContainsFunc(said.Subject, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return nil, malformed("subject has up to 255 bytes and no control characters")
	case said.Error != "":
		return refusedAnswer(said)
	}
	if want := challenge.Request.Subject; want != "" && said.Subject != want {
		return nil, malformed("subject is not the person of the id_token_hint: have that person log in, or answer with the error login_required")
	}
	answer := &authcore.Answer{
		Subject: said.Subject, Scopes: challenge.Request.Scopes, ACR: said.ACR, AuthTime: c.Now().Truncate(time.Second), Remember: said.Remember, Claims: said.Claims,
	}
	if said.AuthTime < 0 || said.AuthTime > c.Now().Add(time.Minute).Unix() {
		return nil, malformed("auth_time is not a time in the past, in seconds since 1970")
	}
	if said.AuthTime > 0 {
		answer.AuthTime = time.Unix(said.AuthTime, 0)
	}
	if age := challenge.Request.MaxAge; age != nil && c.Now().Sub(answer.AuthTime) > time.Duration(*age)*time.Second+time.Minute {
		return nil, malformed("auth_time is longer ago than the max_age of the client: log the person in again")
	}
	if said.Scopes != nil {
		if answer.Scopes = *said.Scopes; len(within(answer.Scopes, challenge.Request.Scopes)) != len(answer.Scopes) {
			return nil, malformed("a scope was not asked for by the client")
		}
	}
	for name := range said.Claims {
		if slices.Contains(reservedClaims, name) {
			return nil, malformed("the claim " + name + " is set by the server")
		}
	}
	return answer, nil
}

// maxSubject is that of OpenID Connect Core section 2.
const maxSubject = 255

// refusedAnswer is an answer that says no. The codes are those of RFC 6749 section 4.1.2.1 and
// OpenID Connect Core section 3.1.2.6.
func refusedAnswer(said loginAnswer) (*authcore.Answer, error) {
	codes := []string{authcore.AccessDenied, authcore.InvalidScope, "temporarily_unavailable", codeServerError, codeLoginRequired, codeInteractionRequired, codeConsentRequired, "account_selection_required", "unmet_authentication_requirements"}
	if !slices.Contains(codes, said.Error) {
		return nil, malformed("error must be one of " + strings.Join(codes, ", "))
	}
	description := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return -1 // RFC 6749 section 4.1.2.1
		}
		return c
	}, said.Description)
	return &authcore.Answer{Error: said.Error, Description: description[:min(len(description), 200)]}, nil
}

// afterLogin sends the browser back to the client, once the login application has answered.
func (c *call) afterLogin(name string) error {
	ctx := c.r.Context()
	challenge, err := c.Store.Challenge(ctx, c.Issuer.Name, name)
	if isUnknown(err) || errors.Is(err, authcore.ErrExpired) {
		return usedBefore()
	}
	if err != nil {
		return err
	}
	request := &challenge.Request
	cookie := c.browser()
	if cookie == "" || c.browserID(cookie) != challenge.Browser {
		return refuse(http.StatusForbidden, authcore.AccessDenied, reasonBrowser, "this login was begun in another browser; go back to the application and try again")
	}
	if challenge.Answer == nil {
		return refuse(http.StatusBadRequest, authcore.InvalidRequest, authcore.ReasonChallengeUnknown, "this login is not finished; go back to the application and try again")
	}
	client, err := c.FindClient(ctx, request.ClientID)
	if err != nil {
		return goneClient(err)
	}
	c.clientID = client.ClientID
	if !authcore.MatchRedirectURI(client.RedirectURIs, request.RedirectURI) {
		return refuse(http.StatusBadRequest, authcore.InvalidRequest, reasonRedirectURI, "the client no longer has this redirect_uri")
	}
	return c.conclude(client, challenge, name, sessionID(cookie))
}

// conclude ends a challenge that was answered.
func (c *call) conclude(client *authcore.Client, challenge *authcore.Challenge, name, sid string) error {
	answer, request := challenge.Answer, &challenge.Request
	if answer.Error != "" {
		if err := c.Store.CloseChallenge(c.r.Context(), name, challenge); err != nil {
			if errors.Is(err, authcore.ErrChanged) {
				return usedBefore()
			}
			return err
		}
		c.redirectError(request, answer.Error, answer.Description)
		c.report(refuse(http.StatusBadRequest, answer.Error, reasonDenied, answer.Description))
		return nil
	}
	if answer.Remember && !client.IsSelfMade() {
		if err := c.Store.Remember(c.r.Context(), c.consentTo(request, answer.Scopes, answer.Subject)); err != nil {
			return err
		}
	}
	return c.finish(client, request, answer, sid, challenge.Close(name))
}
