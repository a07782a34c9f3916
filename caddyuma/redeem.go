// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/jose"
)

// The UMA grant (UMA 2.0 Grant, section 3.3).

const ticketGrant = "urn:ietf:params:oauth:grant-type:uma-ticket"

// Error codes that have a ticket with them (section 3.3.6).
const (
	codeNeedInfo  = "need_info"
	codeSubmitted = "request_submitted"
)

// tokenAnswer is what the token endpoint says about a ticket.
type tokenAnswer struct {
	status int

	rpt     string
	expires time.Time // zero if it does not say
	pct     string

	code, description string // of an error
	ticket            string // the next one
	redirect          string // where the person can say more
	interval          time.Duration
}

// isSpent reports whether the server does not take the ticket any more. Keycloak
// has words of its own for that.
func (a *tokenAnswer) isSpent() bool {
	switch a.code {
	case "invalid_grant":
		return a.status != http.StatusUnauthorized
	case "invalid_ticket", "expired_ticket", "invalid_rpt":
		return true
	}
	return false
}

// redeem asks the token endpoint for an RPT. What the session has from before goes
// with it: the PCT, and an RPT whose permissions are to be kept.
func (g *grant) redeem(ctx context.Context, s *session.Session, ticket string, withEarlier bool) (*tokenAnswer, error) {
	form := url.Values{"grant_type": {ticketGrant}, "ticket": {ticket}}
	if withEarlier {
		g.addEarlier(form, s)
	}
	if g.claims != nil {
		claimToken, err := g.claims.tokenFor(g.req, s)
		if err != nil {
			return nil, &refusedError{refusalOfClaims(err)}
		}
		form.Set("claim_token", claimToken)
		form.Set("claim_token_format", g.claims.format)
	}
	req, err := g.newTokenRequest(ctx, s, form)
	if err != nil {
		return nil, err
	}
	begun := g.authority.now()
	question := provider.Question{Endpoint: "token_endpoint", About: s.Tag() + " " + g.key}
	body, status, err := g.provider.CallAbout(ctx, question, req)
	if err != nil {
		return nil, err
	}
	answer, err := readTokenAnswer(status, body, begun)
	if err != nil {
		g.count.failed.Inc()
		return nil, &refusedError{failed(fmt.Errorf("token endpoint, status %d: %w", status, err))}
	}
	return answer, nil
}

func (g *grant) addEarlier(form url.Values, s *session.Session) {
	if pct := s.Claims[g.claimsKey()]; pct != "" {
		form.Set("pct", pct)
	}
	if held := s.Permissions[g.key]; held.Token != "" && (held.ExpiresAt.IsZero() || g.authority.now().Before(held.ExpiresAt)) {
		form.Set("rpt", held.Token)
	}
}

// newTokenRequest makes the request, with the credentials of who asks.
func (g *grant) newTokenRequest(ctx context.Context, s *session.Session, form url.Values) (*http.Request, error) {
	places, err := g.authority.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, places.token, nil)
	if err != nil {
		return nil, err
	}
	if g.asPerson {
		accessToken, err := g.partyOf(s)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+accessToken)
	} else {
		g.provider.Server().AwaitCredentials(ctx)
		if err := g.provider.AuthenticateClient(req, form); err != nil {
			return nil, err
		}
	}
	provider.SetForm(req, form)
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// What an answer may contain.
const (
	maxRPT = 32 << 10
	maxPCT = 8 << 10

	// defaultInterval is how long to wait for an approval if the server does not
	// say (section 3.3.6), and maxInterval the longest wait that it can ask for.
	defaultInterval = 5 * time.Second
	maxInterval     = time.Hour
)

// readTokenAnswer reads an answer: an RPT, or an error with what comes with it.
func readTokenAnswer(status int, body []byte, begun time.Time) (*tokenAnswer, error) {
	document, err := jose.ParseObject(body)
	if err != nil {
		return nil, err
	}
	a := &tokenAnswer{status: status}
	if status == http.StatusOK {
		return a, a.readGrant(document, begun)
	}
	for name, to := range map[string]*string{"error": &a.code, "error_description": &a.description, "ticket": &a.ticket, "redirect_user": &a.redirect} {
		if *to, err = document.Text(name); err != nil {
			return nil, err
		}
	}
	if len(a.ticket) > maxTicket {
		return nil, fmt.Errorf("the ticket has %d bytes, more than %d", len(a.ticket), maxTicket)
	}
	a.interval, err = readSeconds(document, "interval", defaultInterval)
	a.interval = min(max(a.interval, time.Second), maxInterval)
	return a, err
}

func (a *tokenAnswer) readGrant(document jose.Object, begun time.Time) (err error) {
	if a.rpt, err = document.Text("access_token"); err != nil {
		return err
	}
	if a.pct, err = document.Text("pct"); err != nil {
		return err
	}
	tokenType, err := document.Text("token_type")
	switch {
	case err != nil:
		return err
	case a.rpt == "" || !strings.EqualFold(tokenType, "Bearer"):
		return errors.New("there is no bearer token in it")
	case len(a.rpt) > maxRPT:
		return fmt.Errorf("the requesting party token has %d bytes, more than %d", len(a.rpt), maxRPT)
	case len(a.pct) > maxPCT:
		return fmt.Errorf("the persisted claims token has %d bytes, more than %d", len(a.pct), maxPCT)
	}
	life, err := readSeconds(document, "expires_in", 0)
	if err == nil && life > 0 {
		a.expires = begun.Add(life)
	}
	return err
}

// readSeconds reads a number of seconds, which some servers write in quotes.
func readSeconds(document jose.Object, name string, otherwise time.Duration) (time.Duration, error) {
	value, ok := document.Get(name)
	if !ok || value.IsNull() {
		return otherwise, nil
	}
	seconds, err := strconv.ParseFloat(strings.Trim(value.JSON(), `"`), 64)
	if err != nil || !(seconds >= 0) {
		return 0, fmt.Errorf("%s is %.40q, not a number of seconds", name, value.JSON())
	}
	return time.Duration(min(seconds, 1<<31) * float64(time.Second)), nil
}
