// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
)

func TestWhereMetadataCanBe(t *testing.T) {
	tests := map[string][]string{
		"https://as.example": {
			"https://as.example/.well-known/openid-configuration",
			"https://as.example/.well-known/oauth-authorization-server",
		},
		"https://as.example/": {
			"https://as.example/.well-known/openid-configuration",
			"https://as.example/.well-known/oauth-authorization-server",
		},
		"https://as.example:8443/realms/a%2Fb": {
			"https://as.example:8443/realms/a%2Fb/.well-known/openid-configuration",
			"https://as.example:8443/.well-known/oauth-authorization-server/realms/a%2Fb",
			"https://as.example:8443/realms/a%2Fb/.well-known/oauth-authorization-server",
		},
	}
	for issuer, want := range tests {
		if got := WellKnown(issuer); !slices.Equal(got, want) {
			t.Errorf("%s: got\n%q, want\n%q", issuer, got, want)
		}
	}
}

func TestWhereUMAMetadataCanBe(t *testing.T) {
	for issuer, want := range map[string][]string{
		"https://as.example":  {"https://as.example/.well-known/uma2-configuration"},
		"https://as.example/": {"https://as.example/.well-known/uma2-configuration"},
		"https://as.example/realms/a%2Fb": {
			"https://as.example/realms/a%2Fb/.well-known/uma2-configuration",
			"https://as.example/.well-known/uma2-configuration/realms/a%2Fb",
			"https://as.example/.well-known/uma2-configuration",
		},
	} {
		if got := WellKnownUMA(issuer); !slices.Equal(got, want) {
			t.Errorf("%s: got\n%q, want\n%q", issuer, got, want)
		}
	}
}

// A document that is somewhere else is found there, and one of another issuer is
// not taken for the server's.
func TestDocument(t *testing.T) {
	server := providertest.NewServer(t)
	p := providerFor(t, introspecting(server))
	addresses := []string{server.URL + "/absent", server.URL + "/document"}
	server.On("/document", providertest.RespondWith(200, "text/plain", `{"issuer":"`+server.URL+`","x":"y"}`))
	document, err := p.Document(t.Context(), "some_document", addresses)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := document.Text("x"); got != "y" {
		t.Errorf("got %q", got)
	}
	server.On("/document", providertest.Respond(`{"issuer":"https://other.example","x":"y"}`))
	if _, err := p.Document(t.Context(), "some_document", addresses); err == nil {
		t.Error("the document of another issuer was taken")
	}
}

func TestMetadataIsFoundWhereverItIs(t *testing.T) {
	for _, path := range []string{
		"/realm/.well-known/openid-configuration",
		"/.well-known/oauth-authorization-server/realm",
		"/realm/.well-known/oauth-authorization-server",
	} {
		server := providertest.NewServer(t)
		issuer := server.URL + "/realm"
		server.On(path, server.Metadata(map[string]any{"issuer": issuer}))
		p := providerFor(t, Config{Issuer: issuer, ClientID: "g", ClientSecret: "s"})
		found, err := p.fetchMetadata(t.Context())
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if got, want := found.endpoints["introspection_endpoint"], server.URL+"/introspect"; got != want {
			t.Errorf("%s: got endpoint %q, want %q", path, got, want)
		}
	}
}

func TestMetadataThatIsNotBelieved(t *testing.T) {
	tests := map[string]string{
		"no issuer":        `{"introspection_endpoint":"ISSUER/i"}`,
		"another issuer":   `{"issuer":"https://other.example"}`,
		"a slash more":     `{"issuer":"ISSUER/"}`,
		"issuer in a list": `{"issuer":["ISSUER"]}`,
		"two issuers":      `{"issuer":"https://other.example","issuer":"ISSUER"}`,
		"Issuer":           `{"Issuer":"ISSUER"}`,
		"a list":           `[]`,
		"nothing":          ``,
		"too much":         `{"issuer":"ISSUER","x":"` + strings.Repeat("x", MaxAnswer) + `"}`,
	}
	for name, document := range tests {
		server := providertest.NewServer(t)
		server.On("/.well-known/openid-configuration", providertest.Respond(strings.ReplaceAll(document, "ISSUER", server.URL)))
		p := providerFor(t, Config{Issuer: server.URL, ClientID: "g", ClientSecret: "s"})
		if found, err := p.fetchMetadata(t.Context()); err == nil {
			t.Errorf("%s: believed: %v", name, found)
		}
	}
}

// Write access to the metadata must not allow redirecting credentials and
// tokens.
func TestSec_S72_EndpointsOnOtherOrigins(t *testing.T) {
	other := "https://thief.example/introspect"
	tests := []struct {
		endpoint string
		hosts    []string
		ok       bool
	}{
		{"https://as.example/introspect", nil, true},
		{"https://AS.example:443/introspect", nil, true},
		{other, nil, false},
		{"https://as.example:8443/introspect", nil, false},
		{"http://as.example/introspect", nil, false},
		{"http://as.example:443/introspect", nil, false},
		{"https://as.example@thief.example/introspect", nil, false},
		{"https://as.example.thief.example/introspect", nil, false},
		{"//as.example/introspect", nil, false},
		{"/introspect", nil, false},
		{"file:///etc/passwd", nil, false},
		{"https://as.example/introspect#x", nil, false},
		{"", nil, false},
		{other, []string{"thief.example"}, true},
		{other, []string{"THIEF.example:443"}, true},
		{other, []string{"thief.example:8443"}, false},
		{"https://thief.example:8443/i", []string{"thief.example"}, false},
		{"https://thief.example:8443/i", []string{"thief.example:8443"}, true},
		{"http://thief.example/i", []string{"thief.example"}, false},
		{"http://thief.example:443/i", []string{"thief.example"}, false},
		{"http://127.0.0.1:8080/i", []string{"127.0.0.1:8080"}, true},
		{"http://127.0.0.1:8080/i", nil, false},
	}
	for _, test := range tests {
		p := providerFor(t, Config{
			Issuer: "https://as.example", ClientID: "g", ClientSecret: "s", EndpointHosts: test.hosts,
		})
		found, err := p.parseMetadata(fmt.Appendf(nil, `{"issuer":"https://as.example","introspection_endpoint":%q}`, test.endpoint))
		if err != nil {
			t.Fatal(err)
		}
		if got := found.endpoints["introspection_endpoint"] != ""; got != test.ok {
			t.Errorf("%q with endpoint_hosts %q: used %t, want %t (%v)", test.endpoint, test.hosts, got, test.ok, found.refused)
		}
		if test.ok != (p.CheckEndpoint(test.endpoint) == nil) {
			t.Errorf("%q with endpoint_hosts %q: CheckEndpoint says %v", test.endpoint, test.hosts, p.CheckEndpoint(test.endpoint))
		}
	}
}

func TestEndpointForClientsWithCertificates(t *testing.T) {
	document := `{"issuer":"https://as.example","token_endpoint":"https://as.example/token","jwks_uri":"https://as.example/jwks",
		"mtls_endpoint_aliases":{"token_endpoint":"https://as.example/mtls/token"}}`
	config := Config{Issuer: "https://as.example", ClientID: "g", ClientSecret: "s"}
	without := providerFor(t, config)
	config.ClientCertificate, config.ClientCertificateKey = "cert.pem", "key.pem"
	with := providerFor(t, config)
	for p, want := range map[*testProvider]string{without: "https://as.example/token", with: "https://as.example/mtls/token"} {
		found, err := p.parseMetadata([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		if got := found.endpoints["token_endpoint"]; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := found.endpoints["jwks_uri"]; got != "https://as.example/jwks" {
			t.Errorf("got jwks_uri %q", got)
		}
	}
}

// The server is unavailable when the gateway starts and comes back much later.
func TestDiscoveryBacksOffAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var attempts []time.Time
		up := false
		handler := func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case r.URL.Path == "/introspect":
				providertest.Respond(providertest.Active(""))(w, r)
			case r.URL.Path == "/.well-known/openid-configuration":
				attempts = append(attempts, time.Now())
				if !up {
					http.Error(w, "starting", http.StatusServiceUnavailable)
					return
				}
				providertest.Respond(`{"issuer":"https://as.example","introspection_endpoint":"https://as.example/introspect"}`)(w, r)
			default:
				http.NotFound(w, r)
			}
		}
		p := connectTo(providerFor(t, Config{
			Issuer: "https://as.example", ClientID: "g", ClientAuth: ClientAuthNone, Verify: VerifyIntrospection,
		}), http.HandlerFunc(handler))
		p.start()
		synctest.Wait()

		_, err := p.Verify(t.Context(), "token")
		if reasonOf(t, err) != token.ProviderUnavailable {
			t.Fatalf("got %v before discovery, want %s", err, token.ProviderUnavailable)
		}
		if wait := err.(*token.Error).RetryAfter; wait != time.Second {
			t.Errorf("the client shall come back in %s, want 1s", wait)
		}

		time.Sleep(5 * time.Minute)
		mu.Lock()
		for i := 1; i < len(attempts); i++ {
			pause := attempts[i].Sub(attempts[i-1])
			want := min(time.Second<<(i-1), longestDiscoveryRetry)
			if pause > want || pause < min(want, max(time.Second, want-want/4)) {
				t.Errorf("pause %d was %s, want %s at most and a quarter less at least", i, pause, want)
			}
		}
		if n := len(attempts); n < 14 || n > 18 { // 31 s for the first five pauses, then 30 s each, or a quarter less
			t.Errorf("%d attempts in five minutes", n)
		}
		up = true
		mu.Unlock()

		time.Sleep(longestDiscoveryRetry)
		if _, err := p.Verify(t.Context(), "token"); err != nil {
			t.Errorf("got %v once the server was there", err)
		}

		// Lost again, much later: what was known goes on being used.
		mu.Lock()
		up = false
		mu.Unlock()
		time.Sleep(Rediscovery + time.Hour)
		if _, err := p.Verify(t.Context(), "another token"); err != nil {
			t.Errorf("got %v although the endpoint was known", err)
		}
	})
}

func TestNoDiscoveryWhereNothingIsMissing(t *testing.T) {
	server := providertest.NewServer(t)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	p := providerFor(t, introspecting(server))
	p.start()
	if _, err := p.Verify(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	if n := server.Count("/.well-known/openid-configuration"); n != 0 {
		t.Errorf("metadata was asked for %d times", n)
	}
	for _, test := range []struct {
		change func(*Config)
		want   bool
	}{
		{func(*Config) {}, false},
		{func(c *Config) { c.IntrospectionEndpoint = "" }, true},
		{func(c *Config) { c.Verify = VerifyAuto }, true},
		{func(c *Config) { c.Verify, c.JWKSURI = VerifyAuto, server.URL }, false},
		{func(c *Config) { c.Verify = VerifyJWT }, true},
		{func(c *Config) { c.Verify, c.JWKSURI, c.IntrospectionEndpoint = VerifyJWT, server.URL, "" }, false},
	} {
		config := introspecting(server)
		test.change(&config)
		s := providerFor(t, config)
		if got := s.needsDiscovery(); got != test.want {
			t.Errorf("%+v: needs discovery: %t, want %t", config, got, test.want)
		}
	}
}

// An endpoint is discovered when it is needed for the first time.
func TestEndpointOnDemand(t *testing.T) {
	server := providertest.NewServer(t)
	p := providerFor(t, introspecting(server))
	p.start()
	if got, err := p.Endpoint("introspection_endpoint"); err != nil || got != server.URL+"/introspect" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := p.Endpoint("token_endpoint"); err != nil && reasonOf(t, err) != token.ProviderUnavailable {
		t.Errorf("got %v at first, want nothing or %s", err, token.ProviderUnavailable)
	}
	p.AwaitMetadata(t.Context())
	if got, err := p.Endpoint("token_endpoint"); err != nil || got != server.URL+"/token" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := p.Endpoint("revocation_endpoint"); reasonOf(t, err) != token.ProviderUnavailable {
		t.Errorf("got %v for an endpoint that the server does not have", err)
	}
}

func TestMetadataIsNotRedirected(t *testing.T) {
	thief := providertest.NewServer(t)
	server := providertest.NewServer(t)
	server.On("/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL, http.StatusFound)
	})
	p := providerFor(t, introspecting(server))
	if _, err := p.fetchMetadata(t.Context()); err == nil {
		t.Error("metadata was taken from elsewhere")
	}
	if n := thief.Count("/"); n != 0 {
		t.Errorf("%d requests followed the redirect", n)
	}
}

// At a start the server may not listen yet, most of all if it is in the same
// process. That is an error only if it stays so.
func TestTheFirstRefusedConnectionIsNotAnError(t *testing.T) {
	refused := fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
	for _, test := range []struct {
		err   error
		first bool
		want  zapcore.Level
	}{
		{refused, true, zapcore.InfoLevel},
		{refused, false, zapcore.ErrorLevel},
		{errors.New("status 500"), true, zapcore.ErrorLevel},
	} {
		if got := levelOf(test.err, test.first); got != test.want {
			t.Errorf("%v, first %t: got %s, want %s", test.err, test.first, got, test.want)
		}
	}
}
