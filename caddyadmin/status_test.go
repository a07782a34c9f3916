// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"encoding/json"
	"testing"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// get returns what the admin endpoint answers, parsed into value.
func get(t *testing.T, target string, value any) {
	t.Helper()
	status, body := caddytest.Admin(t, "GET", target, "")
	if status != 200 {
		t.Fatalf("%s: got %d %s", target, status, body)
	}
	if err := json.Unmarshal([]byte(body), value); err != nil {
		t.Fatalf("%s: %s: %v", target, body, err)
	}
}

// The names are what scripts and dashboards read.
func TestProvidersAreShown(t *testing.T) {
	s := newIntrospector(t, respond(500, "text/plain", "down"))
	p, _ := loadWith(t, s)
	_, _ = p.Verify(t.Context(), "token")
	var got []struct {
		Name      string            `json:"name"`
		Issuer    string            `json:"issuer"`
		Verify    string            `json:"verify"`
		Health    string            `json:"health"`
		Endpoints map[string]string `json:"endpoints"`
		KeyIDs    []string          `json:"key_ids"`
		Breakers  map[string]string `json:"breakers"`
		Lookups   map[string]uint64 `json:"token_lookups"`
		ClientID  string            `json:"client_id"`
		LastError struct {
			Endpoint string `json:"endpoint"`
			Error    string `json:"error"`
		} `json:"last_error"`
	}
	get(t, "/gluu/providers", &got)
	if len(got) != 1 {
		t.Fatalf("got %d providers, want 1", len(got))
	}
	provider := got[0]
	if provider.Name != "default" || provider.Issuer != s.URL || provider.Verify != "introspection" || provider.ClientID != "gateway" {
		t.Errorf("got the settings of %+v", provider)
	}
	if provider.Health != "ok" || provider.Breakers["introspection_endpoint"] != "closed" || provider.KeyIDs == nil {
		t.Errorf("got the state of %+v", provider)
	}
	if provider.Endpoints["introspection_endpoint"] != s.URL+"/introspect" || provider.Lookups["miss"] == 0 {
		t.Errorf("got the endpoints and lookups of %+v", provider)
	}
	if provider.LastError.Endpoint != "introspection_endpoint" || provider.LastError.Error != "status 500" {
		t.Errorf("got the last error %+v", provider.LastError)
	}
}

func TestTheCacheIsShown(t *testing.T) {
	s := newIntrospector(t, respond(200, "application/json", `{"active":true,"client_id":"app"}`))
	p, _ := loadWith(t, s)
	if _, err := p.Verify(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	type segment struct {
		Entries int    `json:"entries"`
		Size    int    `json:"size"`
		Age     string `json:"age"`
	}
	var got struct {
		Positive segment        `json:"positive"`
		Negative segment        `json:"negative"`
		Shared   map[string]any `json:"shared"`
	}
	get(t, "/gluu/cache", &got)
	if want := (segment{1, 100_000, "10m0s"}); got.Positive != want {
		t.Errorf("got the positive segment %+v, want %+v", got.Positive, want)
	}
	if want := (segment{0, 10_000, "10s"}); got.Negative != want {
		t.Errorf("got the negative segment %+v, want %+v", got.Negative, want)
	}
	if got.Shared != nil {
		t.Errorf("got the shared cache %v, but none is configured", got.Shared)
	}
}
