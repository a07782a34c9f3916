// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
)

// A server that is public at one address and reached at another: its document is
// read inside and must name the issuer outside, whatever its content type.
func TestServerInsideAndOutside(t *testing.T) {
	const document = `{"issuer":"https://login.example","jwks_uri":"http://keycloak:8080/keys","introspection_endpoint":"http://other/introspect","token_endpoint":"https://login.example/token","access_token_issuer":"http://login.example/trust"}`
	var asked []string
	p := connectTo(providerFor(t, Config{
		Issuer: "https://login.example", Verify: VerifyJWT,
		DiscoveryURL:  "http://keycloak:8080/realms/x/.well-known/openid-configuration",
		InsecureHosts: []string{"keycloak"},
	}), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		providertest.RespondWith(200, "text/plain", document)(w, r)
	}))
	p.start()
	p.AwaitMetadata(t.Context())
	if want := []string{p.Config().DiscoveryURL}; !slices.Equal(asked, want) {
		t.Errorf("asked at %q, want %q", asked, want)
	}
	for name, want := range map[string]string{"jwks_uri": "http://keycloak:8080/keys", "token_endpoint": "https://login.example/token"} {
		if got, err := p.Endpoint(name); got != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
	if got, err := p.Endpoint("introspection_endpoint"); err == nil {
		t.Errorf("an endpoint over http on another host is used: %s", got)
	}
	if !p.Issuers().Claim("http://login.example/trust") || !p.Issuers().Claim("https://login.example") {
		t.Error("access_token_issuer is not one of the issuers, or replaces the issuer")
	}
}

// The document at another address must be that of the issuer.
func TestDiscoveryURLOfAnotherIssuer(t *testing.T) {
	server := providertest.NewServer(t)
	server.On("/metadata", server.Metadata(map[string]any{"issuer": "https://other.example"}))
	p := providerFor(t, Config{Issuer: "https://login.example", Verify: VerifyJWT, DiscoveryURL: server.URL + "/metadata"})
	if found, err := p.fetchMetadata(t.Context()); err == nil {
		t.Errorf("got %+v, want an error", found)
	}
}

// An issuer that is only a name is never asked for anything, and its origin is not a
// place that endpoints may be on.
func TestIssuerThatIsOnlyAName(t *testing.T) {
	for _, issuer := range []string{"users-auth", "urn:example:as", "http://adfs.example/adfs/services/trust"} {
		t.Run(issuer, func(t *testing.T) {
			p := connectTo(providerFor(t, Config{Issuer: issuer, ClientID: "g", ClientAuth: ClientAuthNone, JWKSURI: "https://keys.example/keys"}),
				http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked for %s", r.URL) }))
			p.start()
			_, err := p.Endpoint("introspection_endpoint")
			if missing := (*NoEndpointError)(nil); !errors.As(err, &missing) || reasonOf(t, err) != token.ProviderUnavailable {
				t.Errorf("got %v, want a NoEndpointError", err)
			}
			if err := p.CheckEndpoint("http://adfs.example/token"); err == nil {
				t.Error("an endpoint on the origin of a name is accepted")
			}
			p.AwaitMetadata(t.Context())
		})
	}
}

func TestInsecureHosts(t *testing.T) {
	for _, c := range []struct {
		hosts   []string
		address string
		want    bool
	}{
		{[]string{"keycloak"}, "http://keycloak/x", true},
		{[]string{"keycloak"}, "http://keycloak:8080/x", true},
		{[]string{"Keycloak"}, "http://keycloak/x", true},
		{[]string{"keycloak:8080"}, "http://keycloak:8080/x", true},
		{[]string{"keycloak:80"}, "http://keycloak/x", true},
		{[]string{"keycloak:8080"}, "http://keycloak:8081/x", false},
		{[]string{"keycloak:8080"}, "http://keycloak/x", false},
		{[]string{"keycloak"}, "http://keycloak.example/x", false},
		{[]string{"keycloak"}, "http://user:secret@keycloak/x", false},
		{[]string{"keycloak"}, "http://keycloak/x#y", false},
		{[]string{"keycloak"}, "ftp://keycloak/x", false},
		{nil, "http://keycloak/x", false},
	} {
		config := Config{InsecureHosts: c.hosts}
		if _, err := config.url("jwks_uri", c.address); (err == nil) != c.want {
			t.Errorf("%s with %q: got %v, want allowed %t", c.address, c.hosts, err, c.want)
		}
	}
}

func TestBase(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Issuer: "https://as.example/realm"}, "https://as.example/realm"},
		{Config{Issuer: "https://as.example", DiscoveryURL: "https://in.example/realm/.well-known/openid-configuration"}, "https://in.example/realm"},
		{Config{Issuer: "https://as.example", DiscoveryURL: "https://in.example/metadata"}, ""},
		{Config{Issuer: "users-auth"}, ""},
		{Config{Issuer: "https://as.example/{tid}"}, ""},
	} {
		if got := c.config.Base(); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.config, got, c.want)
		}
	}
}
