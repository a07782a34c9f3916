// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/caddyserver/certmagic"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Caddy and certmagic run these for as long as the process lives.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*Cache).maintainAssets"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/caddy/v2/modules/caddytls.(*TLS).keepStorageClean.func1"),
		goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
	)
}

// testProvider is a server as a configuration uses it.
type testProvider struct {
	*Server
	loaded *Connection
}

// providerFor makes a server as a configuration would, but without Caddy.
func providerFor(t testing.TB, config Config) *testProvider {
	t.Helper()
	if err := config.Check(); err != nil {
		t.Fatalf("settings: %v", err)
	}
	config.SetDefaults()
	loaded := &Connection{HTTP: NewHTTPClient(nil), Storage: &certmagic.FileStorage{Path: t.TempDir()}, Logger: zap.NewNop()}
	p := &testProvider{New("test", config, loaded), loaded}
	t.Cleanup(func() {
		p.Close()
		p.loaded.HTTP.CloseIdleConnections()
	})
	return p
}

// start lets the server use what the configuration brings.
func (p *testProvider) start() {
	p.Attach(p.loaded)
	p.Start()
}

// Verify asks the server about a token, as those do who use this package.
func (p *testProvider) Verify(ctx context.Context, raw string) (body string, err error) {
	address, err := p.Endpoint("introspection_endpoint")
	if err != nil {
		return "", err
	}
	req, err := http.NewRequest(http.MethodPost, address, nil)
	if err != nil {
		return "", err
	}
	form := url.Values{"token": {raw}}
	if err := p.Authenticate(req, form); err != nil {
		return "", err
	}
	SetForm(req, form)
	question := Question{Endpoint: "introspection_endpoint", About: raw}
	a, err := p.Ask(ctx, question, req, func(a *Answer) error {
		if a.Status == http.StatusUnauthorized {
			p.CredentialsRejected()
		}
		return AcceptJSON(a)
	})
	if err != nil {
		return "", err
	}
	return string(a.Body), nil
}

// introspecting are the settings for introspection at a server that needs no
// discovery.
func introspecting(s *providertest.Server) Config {
	return Config{
		Issuer:                s.URL,
		ClientID:              "gateway",
		ClientSecret:          "client-s3cret",
		Verify:                VerifyIntrospection,
		IntrospectionEndpoint: s.URL + "/introspect",
	}
}

// connectTo replaces the server's connections.
func connectTo(p *testProvider, h http.Handler) *testProvider {
	client := NewHTTPClient(nil)
	client.Transport = providertest.Transport{Handler: h}
	p.loaded = &Connection{HTTP: client, Storage: p.loaded.Storage, Logger: p.loaded.Logger, Key: p.loaded.Key}
	p.Attach(p.loaded)
	return p
}

// reasonOf returns the reason of an error, "" for none.
func reasonOf(t testing.TB, err error) token.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[*token.Error](err)
	if !ok {
		t.Fatalf("got an error of type %T, want *token.Error: %v", err, err)
	}
	return e.Reason
}

func wantReason(t *testing.T, name string, err error, want token.Reason) {
	t.Helper()
	if got := reasonOf(t, err); got != want {
		t.Errorf("%s: got %q (%v), want %q", name, got, err, want)
	}
}
