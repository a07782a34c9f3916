// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/session"
)

// needInfo is the refusal for a server that wants to know more about the person
// (UMA 2.0 Grant, section 3.3.6). A person who opens a page is sent there, unless
// they have been before and it did not help.
func (g *grant) needInfo(ctx context.Context, s *session.Session, answer *tokenAnswer) identity.Refusal {
	refusal := claimsNeeded(titled(answer))
	held := s.Permissions[g.key]
	switch {
	case !g.pep.RedirectClaimGatheringURL:
		return g.remember(s, refusal)
	case !held.MayAskPerson(g.authority.now()):
		refusal.Cause = fmt.Errorf("the person has been there before: %w", refusal.Cause)
		return g.remember(s, refusal)
	}
	errand, err := g.errand(ctx, answer)
	if err != nil {
		g.count.failed.Inc()
		return failed(err)
	}
	refusal.Person.Errand = errand
	return g.remember(s, refusal)
}

// errand is the way to the claims interaction endpoint (section 3.3.2): the one that
// the answer names, or else that of the metadata.
func (g *grant) errand(ctx context.Context, answer *tokenAnswer) (*identity.Errand, error) {
	endpoint := answer.redirect
	if endpoint == "" {
		places, err := g.authority.endpoints(ctx)
		if err != nil {
			return nil, err
		}
		endpoint = places.claims
	}
	switch {
	case endpoint == "":
		return nil, errors.New("need_info: the server does not say where people can tell it more (redirect_user, claims_interaction_endpoint)")
	case answer.ticket == "":
		return nil, errors.New("need_info: the answer has no ticket")
	case strings.Contains(endpoint, "#"):
		return nil, fmt.Errorf("need_info: %.200q has a fragment", endpoint)
	}
	if err := g.provider.CheckEndpoint(endpoint); err != nil {
		return nil, fmt.Errorf("need_info: redirect_user: %w", err)
	}
	query := url.Values{"client_id": {g.provider.ClientID()}, "ticket": {answer.ticket}}
	return &identity.Errand{
		Permission: g.key, ReturnPath: g.pep.ClaimsRedirectPath,
		Address: func(returnTo, state string) string {
			sent := url.Values{"claims_redirect_uri": {returnTo}, "state": {state}}
			separator := "?"
			if strings.Contains(endpoint, "?") {
				separator = "&"
			}
			return endpoint + separator + query.Encode() + "&" + sent.Encode()
		},
	}, nil
}
