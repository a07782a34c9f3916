// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/introspect"
	"github.com/caddy-gluu/gateway/jose"
)

// authority is an authorization server as its resource server sees it: where
// its endpoints are, the protection API token, how many tickets it may be
// asked for. It is shared by all handlers with the same provider and outlives
// reloads, so that one token serves them all.
type authority struct {
	identity [32]byte
	provider atomic.Pointer[introspect.Provider] // of the configuration that runs
	now      func() time.Time

	flights  singleflight.Group
	endpoint atomic.Pointer[endpoints]
	token    atomic.Pointer[protectionToken]
	replaced atomic.Pointer[time.Time] // when the last one was that the server refused
	unscoped atomic.Bool               // the server does not know the scope uma_protection

	registry registry

	limit   *rate.Limiter // of tickets for all clients together
	clients *clientLimits
	asking  chan struct{} // one place for each ticket that is being asked for

	denials *denials // of people whose permissions the gateway obtains
}

// authorities holds what is known about authorization servers for as long as
// any configuration has a handler for them.
var authorities = caddy.NewUsagePool()

func openAuthority(p *introspect.Provider) (*authority, error) {
	before := sameClient(p)
	shared, _, err := authorities.LoadOrNew(p.Identity(), func() (caddy.Destructor, error) {
		a, err := newAuthority(p)
		if err == nil && before != nil {
			a.takeOver(before)
		}
		return a, err
	})
	if err != nil {
		return nil, err
	}
	return shared.(*authority), nil
}

// sameClient returns what is known about the authorization server of a provider
// with other settings that is the same client there, nil if there is none: as a
// rule the provider of the configuration that is being replaced.
func sameClient(p *introspect.Provider) (found *authority) {
	authorities.Range(func(_, value any) bool {
		if a := value.(*authority); a.provider.Load().IsSameClient(p) {
			found = a
		}
		return found == nil
	})
	return found
}

// takeOver starts with the resources that a client with other settings has, so
// that a rotated secret costs no request.
func (a *authority) takeOver(from *authority) {
	from.registry.mu.Lock()
	known := maps.Clone(from.registry.byName)
	from.registry.mu.Unlock()
	a.registry.byName = known
}

func newAuthority(p *introspect.Provider) (*authority, error) {
	clients, err := newClientLimits()
	if err != nil {
		return nil, err
	}
	denials, err := newDenials()
	if err != nil {
		return nil, err
	}
	a := &authority{
		identity: p.Identity(),
		denials:  denials,
		now:      time.Now,
		limit:    rate.NewLimiter(providerTicketRate, providerTicketBurst),
		clients:  clients,
		asking:   make(chan struct{}, ticketsUnderWay),
	}
	a.provider.Store(p)
	return a, nil
}

func (a *authority) release() error {
	_, err := authorities.Delete(a.identity)
	return err
}

// Destruct implements caddy.Destructor.
func (a *authority) Destruct() error {
	a.clients.close()
	a.denials.close()
	return nil
}

// endpoints are the places that a resource server uses.
type endpoints struct {
	token, permission, registration string
	claims                          string // claims interaction endpoint, "" if it does not say
	found                           time.Time
}

// endpoints returns where the server's UMA endpoints are: the configured ones,
// else those of its UMA metadata, which is read when it is first needed.
func (a *authority) endpoints(ctx context.Context) (*endpoints, error) {
	if known := a.endpoint.Load(); known != nil && a.now().Before(known.found.Add(provider.Rediscovery)) {
		return known, nil
	}
	found, err := a.once(ctx, "endpoints", func(ctx context.Context) (any, error) {
		found, err := a.discover(ctx)
		if err == nil {
			a.endpoint.Store(found)
		}
		return found, err
	})
	if err == nil {
		return found.(*endpoints), nil
	}
	if known := a.endpoint.Load(); known != nil {
		return known, nil // what it said before holds until it says something else
	}
	return nil, err
}

// once does what several requests need at the same moment one time for all of
// them. It belongs to none: it goes on when the first one is cancelled.
func (a *authority) once(ctx context.Context, name string, do func(ctx context.Context) (any, error)) (any, error) {
	outcome := a.flights.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Duration(a.provider.Load().Timeout))
		defer cancel()
		return do(ctx)
	})
	select {
	case done := <-outcome:
		return done.Val, done.Err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// metadata is what the server says about itself (Federated Authorization for
// UMA 2.0, section 2).
type metadata struct {
	Token        string // token_endpoint
	Permission   string // permission_endpoint
	Registration string // resource_registration_endpoint
	Claims       string // claims_interaction_endpoint, for clients (Grant, section 2)
}

// readMetadata returns the members that a resource server needs.
func readMetadata(document jose.Object) (m *metadata, err error) {
	m = new(metadata)
	for name, to := range map[string]*string{
		"token_endpoint":                 &m.Token,
		"permission_endpoint":            &m.Permission,
		"resource_registration_endpoint": &m.Registration,
		"claims_interaction_endpoint":    &m.Claims,
	} {
		if *to, err = document.Text(name); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (a *authority) discover(ctx context.Context) (*endpoints, error) {
	p := a.provider.Load()
	found := &endpoints{
		token: p.TokenEndpoint, permission: p.PermissionEndpoint, registration: p.ResourceRegistrationEndpoint,
		found: a.now(),
	}
	if found.token != "" && found.permission != "" && found.registration != "" {
		return found, nil
	}
	said, err := a.fetchMetadata(ctx)
	if err != nil {
		return nil, err
	}
	found.claims = said.Claims // checked when it is used
	for name, place := range map[string]struct {
		configured *string
		discovered string
	}{
		"token_endpoint":                 {&found.token, said.Token},
		"permission_endpoint":            {&found.permission, said.Permission},
		"resource_registration_endpoint": {&found.registration, said.Registration},
	} {
		if *place.configured != "" {
			continue
		}
		if place.discovered == "" {
			return nil, fmt.Errorf("the UMA metadata of %s has no %s: write '%[2]s <url>' if it has one", p.Issuer(), name)
		}
		if err := p.CheckEndpoint(place.discovered); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		*place.configured = place.discovered
	}
	return found, nil
}

// fetchMetadata reads the UMA metadata from where it can be.
func (a *authority) fetchMetadata(ctx context.Context) (*metadata, error) {
	p := a.provider.Load()
	places := []string{p.UMAConfiguration}
	if p.UMAConfiguration == "" {
		base := p.Base()
		if base == "" {
			return nil, fmt.Errorf("where the UMA metadata of %q is cannot be derived from its name: write 'uma_configuration <url>'", p.Issuer())
		}
		places = provider.WellKnownUMA(base)
	}
	document, err := p.Server().Document(ctx, "uma_configuration", places)
	if err != nil {
		return nil, err
	}
	return readMetadata(document)
}

// callProtected sends a request to the protection API and returns the status
// and the body of the answer. The question is what it is about: a resource that the
// server cannot handle says nothing about others. A token that the server does not
// take any more is replaced once.
func (a *authority) callProtected(ctx context.Context, q provider.Question, method, address string, body any) (status int, answer []byte, err error) {
	for attempt := 0; ; attempt++ {
		token, err := a.protectionToken(ctx)
		if err != nil {
			return 0, nil, fmt.Errorf("%w: %w", errNoProtectionToken, err)
		}
		req, err := newJSONRequest(ctx, method, address, body)
		if err != nil {
			return 0, nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token.value)
		answer, status, err := a.provider.Load().CallAbout(ctx, q, req)
		if err != nil {
			return 0, nil, err
		}
		if status == http.StatusUnauthorized && attempt == 0 && a.replace(token) {
			continue
		}
		return status, answer, nil
	}
}

func newJSONRequest(ctx context.Context, method, address string, body any) (*http.Request, error) {
	if body == nil {
		req, err := http.NewRequestWithContext(ctx, method, address, nil)
		if err == nil {
			req.Header.Set("Accept", "application/json")
		}
		return req, err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// problem is an error answer (RFC 6749, section 5.2, and UMA's own).
func problem(status int, body []byte) error {
	var said struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &said) != nil || said.Error == "" {
		return fmt.Errorf("status %d", status)
	}
	return &serverError{status, said.Error, said.Description}
}

// serverError is what the authorization server says went wrong.
type serverError struct {
	status            int
	code, description string
}

func (e *serverError) Error() string {
	return fmt.Sprintf("status %d: %.80q %.200q", e.status, e.code, e.description)
}
