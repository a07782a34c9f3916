// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"go.uber.org/goleak"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// The tests run Caddy in this process, in front of an UMA server that insists
// on what the standards say.

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Caddy's own, which live as long as the process.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*Cache).maintainAssets"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/caddy/v2/modules/caddytls.(*TLS).keepStorageClean.func1"),
		goleak.IgnoreAnyFunction("github.com/DeRuina/timberjack.(*Logger).millRun"),
		// Sees after a few seconds that the lock it keeps is gone.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
		goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
	)
}

type site struct {
	testing.TB
	server *harness.UMAServer
	addr   string
	dir    string
	client *http.Client
}

const config = `{
	%[1]s
	gluu {
		provider {
			issuer %[2]s
			introspection_endpoint %[2]s/introspect
			client_id gateway
			client_secret gateway-secret
			audience gateway
			verify introspection
			%[3]s
		}
		provider other {
			issuer %[2]s/other
			introspection_endpoint %[2]s/introspect
			client_id gateway
			client_secret gateway-secret
			audience gateway
			verify introspection
			endpoint_hosts 127.0.0.1
		}
		consumer todo-app {
			custom_id todo-app
		}
		consumer guest
	}
}
http://%[4]s {
	gluu_uma_auth %[6]s {
		anonymous guest
	}
	gluu_uma_pep {
		%[5]s
	}
	respond "passed"
}
`

const todos = `path /todos {
			GET scope todos:view
			POST scope todos:edit
		}
		path /both {
			GET scope todos:view and todos:edit
		}`

func start(t testing.TB, server harness.UMAConfig, rules string) *site {
	t.Helper()
	s := &site{TB: t, server: harness.StartUMAServer(t, server), dir: t.TempDir(), addr: caddytest.FreeAddress(t), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	s.server.Allow("alice", "todos:view", "todos:edit")
	caddytest.StopAfter(t)
	s.load(rules)
	return s
}

func (s *site) load(rules string) { s.Helper(); s.loadWith(rules, "", "") }

func (s *site) loadWith(rules, provider, auth string) {
	s.Helper()
	source := fmt.Sprintf(config, caddytest.Options(s.dir, ""), s.server.Issuer, provider, s.addr, rules, auth)
	if err := caddytest.Run(source, s.addr); err != nil {
		s.Fatal(err)
	}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (s *site) send(method, path, token string) answer {
	s.Helper()
	req, err := http.NewRequest(method, "http://"+s.addr+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := s.client.Do(req)
	for range 10 {
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
			break
		}
		// Right after a reload the kernel may give a connection to the socket
		// of the old configuration, which Caddy closes.
		res, err = s.client.Do(req)
	}
	if err != nil {
		s.Error(err)
		return answer{header: http.Header{}}
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(body)}
}

var challenge = regexp.MustCompile(`^UMA realm="api", as_uri="([^"]+)", ticket="([^"]+)"$`)

// ticket returns the ticket of a challenge and what it was issued for.
func (s *site) ticket(a answer) (string, harness.UMATicket) {
	s.Helper()
	match := challenge.FindStringSubmatch(a.header.Get("WWW-Authenticate"))
	if a.status != http.StatusUnauthorized || match == nil || match[1] != s.server.Issuer {
		s.Fatalf("got %+v, want 401 with a ticket", a)
	}
	asked, ok := s.server.Ticket(match[2])
	if !ok {
		s.Fatalf("the server gave out no ticket %q", match[2])
	}
	return match[2], asked
}

func (s *site) rpt(method, path string) string {
	s.Helper()
	ticket, _ := s.ticket(s.send(method, path, ""))
	rpt, code := s.server.Exchange(s, "alice", ticket, "")
	if code != "" {
		s.Fatal(code)
	}
	return rpt
}

// registered waits until all resources are known.
func (s *site) registered(paths ...string) *site {
	s.Helper()
	for _, each := range paths {
		method, path, _ := strings.Cut(each, " ")
		harness.Eventually(s, 30*time.Second, func() string {
			if a := s.send(method, path, ""); a.status != http.StatusUnauthorized && a.status != http.StatusTooManyRequests {
				return fmt.Sprintf("%s: %+v; the server was asked %v", each, a, s.server.Counts())
			}
			return ""
		})
	}
	return s
}

// logged returns the log lines with a message.
func (s *site) logged(message string) []map[string]any {
	s.Helper()
	return caddytest.Records(s, s.dir, message)
}

// together runs n requests at the same time.
func together(n int, do func()) {
	var group sync.WaitGroup
	for range n {
		group.Go(do)
	}
	group.Wait()
}
