// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(new(adminAPI))
	RegisterAdminRoute("providers", (*App).adminProviders)
	RegisterAdminRoute("cache", (*App).adminCache)
	RegisterAdminRoute("tokens", (*App).adminTokens)
}

// adminAPI shows and changes, on Caddy's admin endpoint and under its access
// rules, what the gateway knows:
//
//	GET    /gluu/providers                   how the authorization servers are
//	GET    /gluu/cache                       how many tokens are remembered
//	DELETE /gluu/tokens                      forget all tokens
//	DELETE /gluu/tokens/client/<client id>   forget those of a client
//	DELETE /gluu/tokens/subject/<subject>    forget those of a subject
//	DELETE /gluu/tokens/token                forget the one in the body
//
// A token that is forgotten is verified anew when it comes again. For one that
// was introspected this makes a revocation take effect at once; a JWT remains
// valid by its signature until it expires.
//
// No answer contains a secret or a token.
type adminAPI struct{}

// AdminHandler answers a request below /gluu/<name>. Segments are what follows
// in the path, decoded one by one, so that an id may contain a slash.
type AdminHandler func(app *App, w http.ResponseWriter, r *http.Request, segments []string) error

var adminRoutes struct {
	sync.RWMutex
	byName map[string]AdminHandler
}

// RegisterAdminRoute adds /gluu/<name> to the admin endpoint. It is called
// while the program starts.
func RegisterAdminRoute(name string, handler AdminHandler) {
	adminRoutes.Lock()
	defer adminRoutes.Unlock()
	if adminRoutes.byName == nil {
		adminRoutes.byName = make(map[string]AdminHandler)
	}
	if _, twice := adminRoutes.byName[name]; twice {
		panic("admin route registered twice: " + name)
	}
	adminRoutes.byName[name] = handler
}

// CaddyModule implements caddy.Module.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (a *adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/gluu/", Handler: caddy.AdminHandlerFunc(a.serve)}}
}

// serve finds the route. Segments are compared as a whole and in the case in
// which they are written: a prefix of a name, or another spelling of one, is
// another name.
func (a *adminAPI) serve(w http.ResponseWriter, r *http.Request) error {
	segments, err := segmentsOf(r.URL)
	if err != nil {
		return AdminError(http.StatusBadRequest, err)
	}
	adminRoutes.RLock()
	handler, ok := adminRoutes.byName[segments[0]]
	adminRoutes.RUnlock()
	if !ok {
		return ErrNoAdminRoute
	}
	app := running.current()
	if app == nil {
		return AdminError(http.StatusServiceUnavailable, errors.New("the running configuration has no gluu app"))
	}
	return handler(app, w, r, segments[1:])
}

// segmentsOf splits the path below /gluu/ before it decodes the segments.
func segmentsOf(u *url.URL) ([]string, error) {
	segments := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/gluu/"), "/")
	for i, segment := range segments {
		decoded, err := url.PathUnescape(segment)
		if err != nil {
			return nil, fmt.Errorf("path: %w", err)
		}
		segments[i] = decoded
	}
	return segments, nil
}

// ErrNoAdminRoute is what an AdminHandler returns for a path that is not its
// own.
var ErrNoAdminRoute error = AdminError(http.StatusNotFound, errors.New("there is nothing here"))

// AdminError is an error that is answered with this status.
func AdminError(status int, err error) error {
	return caddy.APIError{HTTPStatus: status, Err: err}
}

// AdminMethod refuses requests with other methods.
func AdminMethod(w http.ResponseWriter, r *http.Request, methods ...string) error {
	if slices.Contains(methods, r.Method) {
		return nil
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	return AdminError(http.StatusMethodNotAllowed, fmt.Errorf("method not allowed: %s", r.Method))
}

// WriteAdminJSON answers with JSON.
func WriteAdminJSON(w http.ResponseWriter, status int, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
	return nil
}

// providerStatus is what an operator can know about a provider.
type providerStatus struct {
	Name      string            `json:"name"`
	Issuer    string            `json:"issuer"`
	Verify    string            `json:"verify"`
	Health    string            `json:"health"`
	Endpoints map[string]string `json:"endpoints"`
	KeyIDs    []string          `json:"key_ids"`
	Breakers  map[string]string `json:"breakers"`
	Lookups   map[string]uint64 `json:"token_lookups"`
	Discovery *discoveryStatus  `json:"discovery,omitempty"`
	ClientID  string            `json:"client_id,omitempty"`
	LastError *failure          `json:"last_error,omitempty"`
}

type discoveryStatus struct {
	Done        bool      `json:"done"`
	Error       string    `json:"error,omitempty"`
	NextAttempt time.Time `json:"next_attempt,omitzero"`
}

const (
	healthOK       = "ok"       // nothing is known to be wrong
	healthDegraded = "degraded" // an endpoint is failing; its circuit breaker is not closed
	healthPending  = "pending"  // what verifying tokens takes is not known yet
)

func (a *App) adminProviders(w http.ResponseWriter, r *http.Request, segments []string) error {
	if len(segments) > 0 {
		return ErrNoAdminRoute
	}
	if err := AdminMethod(w, r, http.MethodGet); err != nil {
		return err
	}
	statuses := []providerStatus{}
	for _, p := range a.all() {
		statuses = append(statuses, p.server.status())
	}
	return WriteAdminJSON(w, http.StatusOK, statuses)
}

func (s *server) status() providerStatus {
	status := providerStatus{
		Name:      s.name,
		Issuer:    s.config.Issuer,
		Verify:    s.config.Verify,
		Health:    healthOK,
		Endpoints: s.knownEndpoints(),
		KeyIDs:    append([]string{}, s.keys.KeyIDs()...),
		Breakers:  s.breakers.states(),
		Lookups:   s.metrics.lookups(),
		ClientID:  s.clientID(),
		LastError: s.lastFailure.Load(),
	}
	for _, state := range status.Breakers {
		if state != "closed" {
			status.Health = healthDegraded
		}
	}
	if s.needsDiscovery() {
		status.Discovery = s.discovery.status()
		if !status.Discovery.Done {
			status.Health = healthPending
		}
	}
	if s.config.Register != nil && status.ClientID == "" {
		status.Health = healthPending
	}
	return status
}

func (d *discovery) status() *discoveryStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	status := &discoveryStatus{Done: d.found != nil, NextAttempt: d.next}
	if d.problem != nil {
		status.Error = d.problem.Error()
	}
	return status
}

func (a *App) adminCache(w http.ResponseWriter, r *http.Request, segments []string) error {
	if len(segments) > 0 {
		return ErrNoAdminRoute
	}
	if err := AdminMethod(w, r, http.MethodGet); err != nil {
		return err
	}
	return WriteAdminJSON(w, http.StatusOK, a.cache.figures())
}

// maxAdminBody bounds a token in the body, with room for a line feed.
const maxAdminBody = maxToken + 2

func (a *App) adminTokens(w http.ResponseWriter, r *http.Request, segments []string) error {
	what, err := selectionOf(segments)
	if err != nil {
		return err
	}
	if err := AdminMethod(w, r, http.MethodDelete); err != nil {
		return err
	}
	if what.kind == oneToken {
		if what.value, err = tokenIn(r.Body); err != nil {
			return err
		}
	}
	evicted, err := a.evict(r.Context(), what)
	if err != nil {
		return AdminError(http.StatusBadGateway, err)
	}
	return WriteAdminJSON(w, http.StatusOK, map[string]int{"evicted": evicted})
}

// selectionOf returns what the path names.
func selectionOf(segments []string) (selection, error) {
	switch {
	case len(segments) == 0:
		return selection{kind: allTokens}, nil
	case len(segments) == 2 && segments[0] == "client" && segments[1] != "":
		return selection{tokensOfClient, segments[1]}, nil
	case len(segments) == 2 && segments[0] == "subject" && segments[1] != "":
		return selection{tokensOfSubject, segments[1]}, nil
	case len(segments) == 1 && segments[0] == "token":
		return selection{kind: oneToken}, nil
	}
	return selection{}, ErrNoAdminRoute
}

// tokenIn reads the token to forget. It is in the body so that it gets into no
// log of addresses.
func tokenIn(body io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(body, maxAdminBody+1))
	if err != nil {
		return "", AdminError(http.StatusBadRequest, errors.New("the body cannot be read"))
	}
	token := strings.TrimRight(string(raw), "\r\n")
	if token == "" || len(token) > maxToken {
		return "", AdminError(http.StatusBadRequest, fmt.Errorf("the body is the token to forget, between 1 and %d bytes", maxToken))
	}
	return token, nil
}

// evict forgets tokens. What is shared goes first: whoever misses a token here
// afterwards does not find it there any more.
func (a *App) evict(ctx context.Context, what selection) (evicted int, err error) {
	if a.cache.shared != nil {
		err = a.cache.shared.evict(ctx, what)
	}
	var keys []cacheKey
	if what.kind == oneToken {
		for _, p := range a.all() {
			keys = append(keys, p.server.cacheKeys.key(what.value))
		}
	}
	return a.cache.evict(what, keys), err
}

// Interface guards
var _ caddy.AdminRouter = (*adminAPI)(nil)
