// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"testing"

	"github.com/caddy-gluu/gateway/internal/provider"
)

// The same server, asked in other ways, may have other answers.
func TestSettingsSeparateProviders(t *testing.T) {
	base := provider.Config{
		Issuer: "https://as.example", ClientID: "gateway", ClientSecret: "client-s3cret",
		Verify: provider.VerifyIntrospection, IntrospectionEndpoint: "https://as.example/introspect",
	}
	seen := map[digest]string{}
	changes := map[string]func(*provider.Config){
		"nothing":       func(*provider.Config) {},
		"issuer":        func(c *provider.Config) { c.Issuer = "https://other.example" },
		"client_id":     func(c *provider.Config) { c.ClientID = "other" },
		"client_secret": func(c *provider.Config) { c.ClientSecret = "other" },
		"audience":      func(c *provider.Config) { c.Audience = []string{"api"} },
		"audiences":     func(c *provider.Config) { c.Audience = []string{"a", "pi"} },
		"algorithms":    func(c *provider.Config) { c.Algorithms = []string{"ES256"} },
		"verify":        func(c *provider.Config) { c.Verify = provider.VerifyAuto },
		"endpoint":      func(c *provider.Config) { c.IntrospectionEndpoint = "https://other.example" },
		"signed":        func(c *provider.Config) { c.IntrospectionSigned = new(bool) },
	}
	for name, change := range changes {
		config := base
		change(&config)
		digest := digestOf("test", config)
		if same, ok := seen[digest]; ok {
			t.Errorf("%s and %s cannot be told apart", name, same)
		}
		seen[digest] = name
	}
}

// Only settings that have nothing to do with where metadata and keys come from may
// differ.
func TestSourceOfMetadata(t *testing.T) {
	base := provider.Config{Issuer: "https://as.example", ClientID: "a", ClientSecret: "b"}
	want, err := sourceOf(&base)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*provider.Config)
		same   bool
	}{
		"client_id":          {func(c *provider.Config) { c.ClientID = "x" }, true},
		"client_secret":      {func(c *provider.Config) { c.ClientSecret = "x" }, true},
		"client_auth":        {func(c *provider.Config) { c.ClientAuth = provider.ClientSecretPost }, true},
		"audience":           {func(c *provider.Config) { c.Audience = []string{"x"} }, true},
		"timeout":            {func(c *provider.Config) { c.Timeout = seconds(1) }, true},
		"default timeout":    {func(c *provider.Config) { c.Timeout = seconds(5) }, true},
		"issuer":             {func(c *provider.Config) { c.Issuer = "https://other.example" }, false},
		"jwks_uri":           {func(c *provider.Config) { c.JWKSURI = "https://as.example/keys" }, false},
		"endpoint_hosts":     {func(c *provider.Config) { c.EndpointHosts = []string{"x.example"} }, false},
		"trust_pool":         {func(c *provider.Config) { c.TrustPoolRaw = []byte(`{"provider":"inline"}`) }, false},
		"client_certificate": {func(c *provider.Config) { c.ClientCertificate = "x.pem" }, false},
	} {
		changed := base
		test.change(&changed)
		if got, err := sourceOf(&changed); err != nil || (got == want) != test.same {
			t.Errorf("%s: the same source: %t (%v), want %t", name, got == want, err, test.same)
		}
	}
}
