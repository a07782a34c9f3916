// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// UMAConfig configures a UMAServer.
type UMAConfig struct {
	// Path is the path of the issuer, such as "/realms/todo".
	Path string

	// Metadata is the path of the UMA metadata; "": below the issuer.
	Metadata string

	// NoScope makes it answer invalid_scope to uma_protection, as Keycloak
	// does. Otherwise a token without that scope is not a protection API token.
	NoScope bool

	// CannotSearch makes it list all resources, whatever name is searched for.
	CannotSearch bool

	// PATLife and RPTLife are how long tokens live; an hour if 0.
	PATLife, RPTLife time.Duration

	// Legacy spells permissions as Keycloak does in its JWTs.
	Legacy bool

	// UserOf returns the user of an access token with which an RPT is asked for;
	// "" for a token that is not good.
	UserOf func(accessToken string) string
}

// A UMAServer is a UMA 2.0 authorization server that follows the standards to
// the letter: Federated Authorization (resource registration, permission
// tickets, introspection) and Grant (ticket for token). Allow
// says who may do what. It counts the requests to it.
type UMAServer struct {
	Issuer string
	Addr   string // of the server itself

	config UMAConfig
	server *httptest.Server
	now    func() time.Time

	mu        sync.Mutex
	intercept func(w http.ResponseWriter, r *http.Request) (answered bool)
	counts    map[string]int
	resources map[string]*UMAResource
	pats      map[string]time.Time
	tickets   map[string]UMATicket
	rpts      map[string]map[string]any
	allowed   map[string][]string // scopes by user
	parties   parties
}

// UMAResource is a registered resource.
type UMAResource struct {
	ID     string   `json:"_id"`
	Name   string   `json:"name"`
	Scopes []string `json:"resource_scopes"`
	Icon   string   `json:"icon_uri,omitempty"`
}

// UMATicket is what a permission ticket asks for.
type UMATicket struct {
	ResourceID string   `json:"resource_id"`
	Scopes     []string `json:"resource_scopes"`
}

// The gateway's credentials at a UMAServer.
const (
	UMAClient = "gateway"
	UMASecret = "gateway-secret"
)

// StartUMAServer starts one for the life of the test.
func StartUMAServer(t testing.TB, config UMAConfig) *UMAServer {
	t.Helper()
	s := &UMAServer{
		config: config, now: time.Now,
		counts: map[string]int{}, resources: map[string]*UMAResource{}, pats: map[string]time.Time{},
		tickets: map[string]UMATicket{}, rpts: map[string]map[string]any{}, allowed: map[string][]string{}, parties: newParties(),
	}
	if config.PATLife == 0 {
		s.config.PATLife = time.Hour
	}
	if config.RPTLife == 0 {
		s.config.RPTLife = time.Hour
	}
	if config.Metadata == "" {
		s.config.Metadata = config.Path + "/.well-known/uma2-configuration"
	}
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Addr = s.server.Listener.Addr().String()
	s.Issuer = "http://" + s.Addr + config.Path
	s.server.Start()
	t.Cleanup(func() { s.server.Close() })
	return s
}

// Stop stops the server. It keeps its data.
func (s *UMAServer) Stop() { s.server.Close() }

// Restart starts it again under the same address.
func (s *UMAServer) Restart(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	s.server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(s.serve)}}
	s.server.Start()
}

// Intercept has a function see each request first, and answer it if it likes. The
// body is the function's to read.
func (s *UMAServer) Intercept(answer func(w http.ResponseWriter, r *http.Request) (answered bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = answer
}

// Allow sets the scopes that a user gets from now on, for every resource.
func (s *UMAServer) Allow(user string, scopes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed[user] = scopes
}

// SetRPTLife sets the lifetime of the RPTs issued from now on.
func (s *UMAServer) SetRPTLife(life time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config.RPTLife = life
}

// Count returns how often it was asked: "metadata", "token", "list", "read",
// "create", "update", "delete", "permission", "introspect", "rpt".
func (s *UMAServer) Count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[what]
}

// Counts returns all counts.
func (s *UMAServer) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

// Resources returns the registered resources by name.
func (s *UMAServer) Resources() map[string]UMAResource {
	s.mu.Lock()
	defer s.mu.Unlock()
	named := make(map[string]UMAResource, len(s.resources))
	for _, each := range s.resources {
		named[each.Name] = *each
	}
	return named
}

// PutResource adds or replaces a resource.
func (s *UMAServer) PutResource(resource UMAResource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resources[resource.ID] = &resource
}

// DeleteResource deletes a resource.
func (s *UMAServer) DeleteResource(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.resources, id)
}

// ForgetTokens invalidates all protection API tokens issued so far.
func (s *UMAServer) ForgetTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.pats)
}

// Ticket returns what a ticket asks for.
func (s *UMAServer) Ticket(ticket string) (UMATicket, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.tickets[ticket]
	return found, ok
}

// Issue makes a token active with these claims.
func (s *UMAServer) Issue(token string, claims map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rpts[token] = claims
}

// Exchange exchanges a ticket for an RPT, with the permissions of an earlier
// one if that is given. The error code is "" if it was granted.
func (s *UMAServer) Exchange(t testing.TB, user, ticket, earlier string) (rpt, code string) {
	t.Helper()
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:uma-ticket"}, "ticket": {ticket}, "user": {user}}
	if earlier != "" {
		form.Set("rpt", earlier)
	}
	request, err := http.NewRequest(http.MethodPost, s.Issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return rptOf(t, request)
}
