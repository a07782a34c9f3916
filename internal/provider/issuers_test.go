// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"testing"

	"github.com/caddy-gluu/gateway/jose"
)

func TestIssuers(t *testing.T) {
	issuers := IssuersOf([]string{"https://as.example", "users-auth", "http://adfs.example/adfs/services/trust", "https://login.example/{tid}/v2.0"}, []string{"a1", "b2"})
	for claims, want := range map[string]struct {
		claimed, accepted bool
	}{
		`{"iss":"https://as.example"}`:                             {true, true},
		`{"iss":"users-auth"}`:                                     {true, true},
		`{"iss":"http://adfs.example/adfs/services/trust"}`:        {true, true},
		`{"iss":"https://login.example/a1/v2.0","tid":"a1"}`:       {true, true},
		`{"iss":"https://login.example/a1/v2.0","tid":"b2"}`:       {true, false},
		`{"iss":"https://login.example/a1/v2.0"}`:                  {true, false},
		`{"iss":"https://login.example/a1/v2.0","tid":7}`:          {true, false},
		`{"iss":"https://login.example/c3/v2.0","tid":"c3"}`:       {true, false},
		`{"iss":"https://login.example/{tid}/v2.0","tid":"{tid}"}`: {true, false},
		`{"iss":"https://login.example//v2.0","tid":""}`:           {false, false},
		`{"iss":"https://login.example/a1/b/v2.0","tid":"a1/b"}`:   {false, false},
		`{"iss":"https://login.example/a1/v2.0/","tid":"a1"}`:      {false, false},
		`{"iss":"https://login.example/v2.0","tid":"a1"}`:          {false, false},
		`{"iss":"https://as.example/"}`:                            {false, false},
		`{"iss":"Users-Auth"}`:                                     {false, false},
		`{"iss":""}`:                                               {false, false},
		`{}`:                                                       {false, false},
		`{"iss":["https://as.example"]}`:                           {false, false},
	} {
		o, err := jose.ParseObject([]byte(claims))
		if err != nil {
			t.Fatal(err)
		}
		iss, _ := o.Text("iss")
		if got := issuers.Claim(iss); got != want.claimed {
			t.Errorf("%s: claimed %t, want %t", claims, got, want.claimed)
		}
		if got, err := issuers.Check(o); (err == nil) != want.accepted || err == nil && got != iss {
			t.Errorf("%s: got %q, %v, want accepted %t", claims, got, err, want.accepted)
		}
	}
}

func TestAllTenants(t *testing.T) {
	all := IssuersOf([]string{"https://login.example/{tid}"}, []string{AnyTenant})
	o, err := jose.ParseObject([]byte(`{"iss":"https://login.example/x","tid":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := all.Check(o); err != nil {
		t.Errorf("a token of some tenant: %v", err)
	}
	none := IssuersOf([]string{"https://login.example/{tid}"}, nil)
	if _, err := none.Check(o); err == nil {
		t.Error("no tenant is allowed, but this one was accepted")
	}
}

// Whose metadata it is, is compared with the issuer, wherever it was read.
func TestDocumentsOfAServerWithTenants(t *testing.T) {
	const issuer = "https://login.example/{tid}/v2.0"
	p := providerFor(t, Config{Issuer: issuer, Tenants: []string{"a1"}, Verify: VerifyJWT, DiscoveryURL: "https://login.example/common/v2.0/.well-known/openid-configuration"})
	for said, want := range map[string]bool{
		issuer:                                  true,
		"https://login.example/{tenantid}/v2.0": true,
		"https://login.example/a1/v2.0":         true,
		"https://login.example/b2/v2.0":         false,
		"https://other.example/{tenantid}/v2.0": false,
		"https://login.example/{tenantid}":      false,
		"https://login.example/v2.0":            false,
		"":                                      false,
	} {
		if got := p.isOwnDocument(said); got != want {
			t.Errorf("%s: got %t, want %t", said, got, want)
		}
	}
}

func TestIssuerFromTheEnvironmentBesideATenant(t *testing.T) {
	t.Setenv("GLUU_TEST_LOGIN", "login.example")
	c := Config{Issuer: "https://{env.GLUU_TEST_LOGIN}/{tid}/v2.0", Issuers: []string{"https://{env.GLUU_TEST_LOGIN}/{tid}"}, Tenants: []string{"a"}}
	if err := c.Resolve(); err != nil {
		t.Fatal(err)
	}
	if c.Issuer != "https://login.example/{tid}/v2.0" || c.Issuers[0] != "https://login.example/{tid}" {
		t.Errorf("got %q, %q", c.Issuer, c.Issuers)
	}
	c = Config{Issuer: "https://{http.request.host}/{tid}"}
	if err := c.Resolve(); err == nil {
		t.Errorf("a request chose the issuer %q", c.Issuer)
	}
}
