// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// A stubServer is an authorization server that calls every token active, until
// it is told to fail.
type stubServer struct {
	t      *testing.T
	addr   string
	asked  atomic.Int64
	broken atomic.Pointer[http.HandlerFunc]

	mu     sync.Mutex
	server *http.Server
}

func newStubServer(t *testing.T) *stubServer {
	t.Helper()
	s := &stubServer{t: t, addr: "127.0.0.1:0"}
	s.listen()
	t.Cleanup(s.hangUp)
	return s
}

// listen begins to answer, after hangUp at the same address.
func (s *stubServer) listen() {
	s.t.Helper()
	var listener net.Listener
	harness.Eventually(s.t, patience, func() string {
		var err error
		if listener, err = net.Listen("tcp", s.addr); err != nil {
			return err.Error()
		}
		return ""
	})
	s.addr = listener.Addr().String()
	server := &http.Server{Handler: s}
	s.mu.Lock()
	s.server = server
	s.mu.Unlock()
	go server.Serve(listener)
}

// hangUp closes its port: connections are refused.
func (s *stubServer) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server.Close()
}

func (s *stubServer) fault(answer http.HandlerFunc) {
	if answer == nil {
		s.broken.Store(nil)
		return
	}
	s.broken.Store(&answer)
}

func (s *stubServer) count() int { return int(s.asked.Load()) }

// ServeHTTP implements http.Handler.
func (s *stubServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	_ = r.ParseForm() // so that the server notices when the client disconnects
	if broken := s.broken.Load(); broken != nil {
		(*broken)(w, r)
		return
	}
	tokenIsGood(w, r)
}

func tokenIsGood(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"active": true, "client_id": "todo-app", "scope": "todos:read"}`)
}

// slowly is a good answer after a while.
func slowly(wait time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(wait):
			tokenIsGood(w, r)
		case <-r.Context().Done():
		}
	}
}

const stubCaddyfile = `
{
	gluu {
		provider {
			issuer http://{$SERVER}
			introspection_endpoint http://{$SERVER}/introspect
			client_id gateway
			client_secret stub-secret-5f2b
			verify introspection
			timeout {$TIMEOUT}
		}
		consumer todo-app {
			custom_id todo-app
		}
	}
}
{$SITE} {
	gluu_oauth_auth
	gluu_oauth_pep {
		path /todos {
			GET scope todos:read
		}
	}
	respond ok
}
`

// gateway is one that asks this server.
func (s *stubServer) gateway(t *testing.T, timeout string) *harness.Gateway {
	t.Helper()
	return harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: stubCaddyfile,
		Env:       map[string]string{"SERVER": s.addr, "TIMEOUT": timeout},
	}).WaitReady("/todos", harness.Bearer("is-the-authorization-server-there"))
}

// ask sends a request on a connection that is kept.
func ask(client *http.Client, addr, token string) (status int, err error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+addr+"/todos", nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	answer.Body.Close()
	if after := answer.Header.Get("Retry-After"); answer.StatusCode == http.StatusServiceUnavailable && strings.TrimSpace(after) == "" {
		return answer.StatusCode, fmt.Errorf("503 without Retry-After")
	}
	return answer.StatusCode, nil
}
