// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/caddy-gluu/gateway/enforce"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/clientlimit"
	"github.com/caddy-gluu/gateway/internal/provider"
)

// Permission tickets (Federated Authorization for UMA 2.0, section 4). Each
// refused request gets one of its own: a ticket is used once, so two clients
// cannot share one.
//
// That makes every request without a token a request to the authorization
// server, which any client can send. So tickets are limited three times: for each
// rule and client, for each provider, and by how many are asked for at one
// time, so that a slow server has connections left for introspection. Who
// asks for more is told to wait.
const (
	// clientTicketRate is how many tickets a second a client gets for one
	// rule, after clientTicketBurst at once.
	clientTicketRate  = rate.Limit(10)
	clientTicketBurst = 100

	// providerTicketRate is how many tickets a second one gateway asks of one
	// authorization server, after providerTicketBurst at once.
	providerTicketRate  = rate.Limit(500)
	providerTicketBurst = 1000

	// ticketsUnderWay is how many tickets are asked for at one time.
	ticketsUnderWay = 64

	// limitedClients is how many pairs of rule and client are remembered. The
	// provider's limit holds for those that are forgotten.
	limitedClients = 50_000
)

var (
	errTooMany         = errors.New("too many permission tickets were asked for")
	errUnknownResource = errors.New("the authorization server does not know the resource")
)

// tickets asks for permission tickets on behalf of one handler.
type tickets struct {
	authority *authority
	count     ticketCounter
}

// ask returns a ticket for scopes at a resource, for one client.
func (t *tickets) ask(ctx context.Context, client, resource string, scopes []string) (string, error) {
	if !t.authority.clients.allow(clientKey{resource, client}, t.authority.now()) ||
		!t.authority.limit.AllowN(t.authority.now(), 1) {
		t.count.limited.Inc()
		return "", errTooMany
	}
	select {
	case t.authority.asking <- struct{}{}:
		defer func() { <-t.authority.asking }()
	default:
		t.count.limited.Inc()
		return "", errTooMany
	}
	ticket, err := t.authority.requestTicket(ctx, resource, scopes)
	if err != nil {
		t.count.failed.Inc()
		return "", err
	}
	t.count.issued.Inc()
	return ticket, nil
}

// clientOf identifies the caller of a request: the network, and the client of
// its token if it has one. The address is the one that Caddy's trusted_proxies
// make of the connection.
func clientOf(req enforce.Request) string {
	address, _ := caddyhttp.GetVar(req.Context(), caddyhttp.ClientIPVarKey).(string)
	if address == "" {
		address, _, _ = net.SplitHostPort(req.RemoteAddr)
	}
	return clientlimit.Network(address) + " " + req.Identity.ClientID()
}

// requestTicket asks the permission endpoint (section 4.1).
func (a *authority) requestTicket(ctx context.Context, resource string, scopes []string) (string, error) {
	places, err := a.endpoints(ctx)
	if err != nil {
		return "", err
	}
	type permissionRequest struct {
		ResourceID     string   `json:"resource_id"`
		ResourceScopes []string `json:"resource_scopes"`
	}
	// A list, which Keycloak insists on; the standard allows both.
	body := []permissionRequest{{resource, scopes}}
	question := provider.Question{Endpoint: "permission_endpoint", About: resource + " " + strings.Join(scopes, " ")}
	status, answer, err := a.callProtected(ctx, question, http.MethodPost, places.permission, body)
	if err != nil {
		return "", err
	}
	if status != http.StatusCreated && status != http.StatusOK {
		err := problem(status, answer)
		if said, ok := errors.AsType[*serverError](err); ok && (said.code == "invalid_resource_id" || said.code == "invalid_scope") {
			return "", fmt.Errorf("%w: %w", errUnknownResource, err)
		}
		return "", err
	}
	var granted struct {
		Ticket string `json:"ticket"`
	}
	if err := json.Unmarshal(answer, &granted); err != nil {
		return "", err
	}
	if granted.Ticket == "" || len(granted.Ticket) > maxTicket {
		return "", errors.New("the answer has no ticket that a header could hold")
	}
	return granted.Ticket, nil
}

// maxTicket is the longest ticket that is passed on. Keycloak's are JWTs with
// all that was asked for.
const maxTicket = 8 << 10

// ticketRefusal refuses a request with a ticket (UMA 2.0 Grant, section
// 3.2.1).
func ticketRefusal(issuer, ticket, reason string) identity.Refusal {
	r := identity.Refusal{
		Status: http.StatusUnauthorized, Error: "unauthorized", Reason: reason,
		Description: "A requesting party token with permission for this resource is required. Exchange the ticket for one at the authorization server (as_uri).",
		Challenge: &identity.Challenge{Scheme: "UMA", Params: []identity.Param{
			{Name: "as_uri", Value: issuer}, {Name: "ticket", Value: ticket},
		}},
	}
	if reason == identity.ReasonScopeMissing {
		r.Error = "insufficient_scope"
	}
	return r
}

// unreachable refuses a request for which no ticket can be had (UMA 2.0 Grant,
// section 3.2.2).
func unreachable(cause error) identity.Refusal {
	return identity.Refusal{
		Status: http.StatusForbidden, Error: "access_denied", Reason: identity.ReasonProviderUnavailable,
		Description: "No permission ticket can be had at the moment. Try again later.",
		Fields:      []identity.Param{{Name: "Warning", Value: `199 - "UMA Authorization Server Unreachable"`}},
		Cause:       cause,
	}
}

// reasonTicketLimit is the reason in the records for a client that wants more
// tickets than it gets.
const reasonTicketLimit = "ticket_limit"

func tooMany(cause error) identity.Refusal {
	return identity.Refusal{
		Status: http.StatusTooManyRequests, Error: "temporarily_unavailable", Reason: reasonTicketLimit,
		Description: "Too many requests without permission. Use the ticket of an earlier answer, or try again later.",
		RetryAfter:  time.Second,
		Cause:       cause,
	}
}

// clientKey is what a client's tickets are counted under. A resource identifies
// its rule.
type clientKey struct{ resource, client string }

type clientLimits struct {
	cache *otter.Cache[clientKey, *rate.Limiter]
}

// forgotten is how long after its last ticket a client is forgotten: by then
// its limiter is full again.
const forgotten = time.Minute

func newClientLimits() (*clientLimits, error) {
	cache, err := otter.New(&otter.Options[clientKey, *rate.Limiter]{
		MaximumSize:      limitedClients,
		ExpiryCalculator: otter.ExpiryAccessing[clientKey, *rate.Limiter](forgotten),
	})
	if err != nil {
		return nil, fmt.Errorf("limits of permission tickets: %w", err)
	}
	return &clientLimits{cache}, nil
}

func (l *clientLimits) allow(key clientKey, now time.Time) bool {
	limiter, ok := l.cache.GetIfPresent(key)
	if !ok {
		limiter, _ = l.cache.SetIfAbsent(key, rate.NewLimiter(clientTicketRate, clientTicketBurst))
	}
	return limiter.AllowN(now, 1)
}

func (l *clientLimits) close() {
	l.cache.StopAllGoroutines()
	l.cache.InvalidateAll()
}

// ticketCounter counts tickets of one provider by what became of them.
type ticketCounter struct{ issued, failed, limited prometheus.Counter }

func newTicketCounter(ctx caddy.Context, provider string) (ticketCounter, error) {
	vector := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gluu_uma_ticket",
		Help: "Permission tickets asked of the authorization server, by provider and outcome (issued, failed, limited).",
	}, []string{"provider", "outcome"})
	if err := ctx.GetMetricsRegistry().Register(vector); err != nil {
		already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err)
		if !ok {
			return ticketCounter{}, err
		}
		if vector, ok = already.ExistingCollector.(*prometheus.CounterVec); !ok {
			return ticketCounter{}, errors.New("the metric gluu_uma_ticket is registered already with another type")
		}
	}
	return ticketCounter{
		issued:  vector.WithLabelValues(provider, "issued"),
		failed:  vector.WithLabelValues(provider, "failed"),
		limited: vector.WithLabelValues(provider, "limited"),
	}, nil
}
