// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/localserver"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// fakeLocal is an authorization server of this process.
type fakeLocal struct {
	atOnce  bool
	asked   chan context.Context
	release chan struct{}
}

func (f *fakeLocal) Issuer() string          { return "https://auth.example.com" }
func (f *fakeLocal) AnswersAtOnce() bool     { return f.atOnce }
func (f *fakeLocal) Holds(*token.Token) bool { return true }
func (f *fakeLocal) Verify(ctx context.Context, _ string, _ []string) (*token.Token, error) {
	f.asked <- ctx
	<-f.release
	return &token.Token{Subject: "alice", ExpiresAt: time.Now().Add(time.Hour)}, nil
}

func lookupAt(t *testing.T, server localserver.Server) *Lookup {
	t.Helper()
	p := providerFor(t, provider.Config{Issuer: "https://auth.example.com", Embedded: true}, tokencache.Settings{})
	return p.Under(Terms{
		Cache: p.cache, MaxToken: provider.DefaultMaxToken,
		Local: func() (localserver.Server, error) { return server, nil },
	})
}

// A store of another process may hang: a request that has ended does not wait for
// it, and the question has a time limit.
func TestServerThatHasToWaitIsAskedInAnotherGoroutine(t *testing.T) {
	server := &fakeLocal{asked: make(chan context.Context, 1), release: make(chan struct{})}
	defer close(server.release)
	l := lookupAt(t, server)
	ctx, cancel := context.WithCancel(t.Context())
	outcome := make(chan error, 1)
	go func() {
		_, err := l.Verify(ctx, "token")
		outcome <- err
	}()
	asked := <-server.asked
	if _, limited := asked.Deadline(); !limited {
		t.Error("the question has no time limit")
	}
	cancel()
	if err := <-outcome; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the request has ended", err)
	}
	if asked.Err() != nil {
		t.Errorf("the question ended with the request: %v", asked.Err())
	}
}

// What is asked on behalf of several requests does not end with the first.
func TestServerThatAnswersAtOnceIsAskedDirectly(t *testing.T) {
	server := &fakeLocal{atOnce: true, asked: make(chan context.Context, 1), release: make(chan struct{})}
	close(server.release)
	l := lookupAt(t, server)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	verified, err := l.Verify(ctx, "token")
	if err != nil || verified.Subject != "alice" {
		t.Fatalf("got %v, %v", verified, err)
	}
	if asked := <-server.asked; asked.Err() != nil {
		t.Errorf("the question ended with the request: %v", asked.Err())
	}
}

// panickingLocal panics when it is asked.
type panickingLocal struct{ fakeLocal }

func (p *panickingLocal) Verify(context.Context, string, []string) (*token.Token, error) {
	panic("damaged")
}

// A panic of the server is an outage, and neither the end of the process nor of the
// requests that wait for the same answer.
func TestServerThatPanics(t *testing.T) {
	for _, atOnce := range []bool{true, false} {
		l := lookupAt(t, &panickingLocal{fakeLocal{atOnce: atOnce}})
		_, err := l.Verify(t.Context(), "token")
		if refused, ok := errors.AsType[*token.Error](err); !ok || refused.Reason != token.ProviderUnavailable {
			t.Errorf("at once %t: got %v", atOnce, err)
		}
	}
}

// Interface guard
var _ localserver.Server = (*fakeLocal)(nil)
