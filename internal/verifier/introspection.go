// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// Introspection (RFC 7662): the authorization server is asked about a token.
// What it says about a token is a verdict on that token and on nothing else;
// introspection_answer.go tells verdicts from what is none.

const introspectionEndpoint = "introspection_endpoint"

// introspect asks the server about a token.
func (v *Verifier) introspect(ctx context.Context, sent *presented) (verified *token.Token, err error) {
	s := v.server
	req, proof, err := v.introspectionRequest(ctx, sent.raw)
	if err != nil {
		return nil, err
	}
	leave, err := v.clients.enter(ctx, time.Duration(s.Config().Timeout))
	if err != nil {
		return nil, err
	}
	defer func() { leave(err) }()
	begun := s.Now()
	verified, err = v.ask(ctx, sent, req, proof)
	v.metrics.introspected(outcomeOf(err), s.Now().Sub(begun))
	return verified, err
}

// ask sends the request and makes a token of the answer.
func (v *Verifier) ask(ctx context.Context, sent *presented, req *http.Request, proof provider.Proof) (*token.Token, error) {
	var claims jose.Object
	question := provider.Question{Endpoint: introspectionEndpoint, About: sent.question, Insist: sent.insist}
	a, err := v.server.Ask(ctx, question, req, func(a *provider.Answer) (err error) {
		claims, err = v.acceptAnswer(a, proof)
		return err
	})
	if err != nil {
		return nil, err
	}
	body := a.Body
	switch {
	case refusesToken(a):
		return nil, token.Refuse(token.Invalid, "the authorization server does not answer about tokens of this kind")
	case a.Status != http.StatusOK:
		return nil, token.Refuse(token.Inactive, "the authorization server answers status %d about it", a.Status)
	case a.MediaType == signedResponse:
		if claims, body, err = v.openSigned(ctx, a); err != nil {
			return nil, err
		}
	}
	v.server.NoteAccepted(proof)
	verified, err := v.validateResponse(claims, body)
	if err == nil {
		verified.JWT = sent.isJWT()
	}
	return verified, err
}

// introspectionRequest returns the request and who the gateway says in it that it
// is.
func (v *Verifier) introspectionRequest(ctx context.Context, raw string) (*http.Request, provider.Proof, error) {
	s := v.server
	address, err := s.AwaitEndpoint(ctx, introspectionEndpoint)
	if err != nil {
		return nil, provider.Proof{}, err
	}
	s.AwaitCredentials(ctx)
	form := url.Values{"token": {raw}}
	req, err := http.NewRequest(http.MethodPost, address, nil)
	if err != nil {
		return nil, provider.Proof{}, token.Unavailable(token.DefaultRetryAfter, "introspection request: %w", err)
	}
	proof := s.Proof()
	if err := s.Authenticate(req, form); err != nil {
		return nil, provider.Proof{}, err
	}
	provider.SetForm(req, form)
	req.Header.Set("Accept", v.introspectionTypes())
	return req, proof, nil
}

// introspectionTypes is what the gateway accepts for an answer.
func (v *Verifier) introspectionTypes() string {
	s := v.server
	switch {
	case v.mustBeSigned():
		return signedResponse
	case s.Config().IntrospectionSigned == nil && s.OffersSignedIntrospection():
		return signedResponse + ", application/json;q=0.5"
	}
	return "application/json"
}

func (v *Verifier) mustBeSigned() bool {
	signed := v.server.Config().IntrospectionSigned
	return signed != nil && *signed
}
