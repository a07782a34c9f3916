// SPDX-License-Identifier: Apache-2.0

// Package docs_test compares the pages with the code that they describe.
package docs_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/authserver/kong"
	"github.com/caddy-gluu/gateway/caddyconsumer"
	"github.com/caddy-gluu/gateway/caddycors"
	"github.com/caddy-gluu/gateway/caddykong"
	"github.com/caddy-gluu/gateway/caddyoauth"
	"github.com/caddy-gluu/gateway/caddyoidc"
	"github.com/caddy-gluu/gateway/caddyopa"
	"github.com/caddy-gluu/gateway/caddyratelimit"
	"github.com/caddy-gluu/gateway/caddyui"
	"github.com/caddy-gluu/gateway/caddyuma"
	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/sessionpool"
	"github.com/caddy-gluu/gateway/introspect"
)

// Every JSON field of a module is on its page, as `name`.
func TestEveryOptionIsDocumented(t *testing.T) {
	for _, page := range []struct {
		file  string
		types []any
	}{
		{"app.md", []any{introspect.App{}, provider.Config{}, introspect.CacheConfig{}, sessionpool.Config{}, provider.Registration{}, consumer.Consumer{}, caddyopa.Engine{}, caddyopa.BundleConfig{}}},
		{"gluu_oauth_auth.md", []any{caddyoauth.OAuthAuth{}, headers.HeaderConfig{}, identity.TokenPlace{}}},
		{"gluu_oauth_pep.md", []any{caddyoauth.OAuthPEP{}}},
		{"gluu_openid_connect.md", []any{caddyoidc.OpenIDConnect{}, caddyoidc.AuthorizationParam{}}},
		{"gluu_opa_pep.md", []any{caddyopa.PEP{}}},
		{"gluu_uma_auth.md", []any{caddyuma.UMAAuth{}}},
		{"gluu_uma_pep.md", []any{caddyuma.UMAPEP{}}},
		{"headers.md", []any{headers.HeaderConfig{}}},
		{"gluu_jwks.md", []any{caddyoauth.JWKS{}}},
		{"gluu_resource_metadata.md", []any{caddyoauth.ResourceMetadata{}}},
		{"gluu_cors.md", []any{caddycors.CORS{}}},
		{"profile_kong.md", []any{kong.Profile{}}},
		{"gluu_acl.md", []any{caddyconsumer.ACL{}}},
		{"gluu_rate_limit.md", []any{caddyratelimit.RateLimit{}}},
		{"gluu_route.md", []any{caddykong.MatchRoute{}, caddykong.Routes{}, caddykong.Route{}}},
		{"gluu_ui.md", []any{caddyui.UI{}}},
		{"gluu_upstream_path.md", []any{caddykong.UpstreamPath{}}},
	} {
		content, err := os.ReadFile(page.file)
		if err != nil {
			t.Fatal(err)
		}
		for _, described := range page.types {
			for _, name := range fields(reflect.TypeOf(described)) {
				if text := string(content); !strings.Contains(text, "`"+name) && !strings.Contains(text, `"`+name+`"`) {
					t.Errorf("%s does not say what %s of %T is", page.file, name, described)
				}
			}
		}
	}
}

// fields returns the JSON names of a struct's fields, those of embedded
// structs included, but for a provider, which has a page of its own.
func fields(t reflect.Type) []string {
	var names []string
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && field.Type == reflect.TypeFor[provider.Config]():
		case field.Anonymous && field.Type.Kind() == reflect.Struct:
			names = append(names, fields(field.Type)...)
		case name != "" && name != "-":
			names = append(names, name)
		}
	}
	return names
}
