// SPDX-License-Identifier: Apache-2.0

package caddycors_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gluu/gateway"
	"github.com/caddy-gluu/gateway/internal/caddytest"
)

const site = `{
	admin off
	auto_https off
	persist_config off
	storage file_system %[1]s
	gluu {
		provider {
			issuer https://as.invalid
			verify jwt
		}
	}
}
http://%[2]s {
	# In any order: the directives know theirs.
	reverse_proxy %[3]s
	gluu_oauth_auth /api/*
	gluu_cors {
		origins https://app.example.com
	}
	gluu_jwks
	gluu_resource_metadata {
		resource https://api.example.com/api
	}
}
http://other.test:%[4]s {
	gluu_cors {
		origins https://app.example.com
	}
	reverse_proxy %[3]s
}
`

// Through Caddy: the order of directives, and an upstream that has CORS headers
// of its own behind reverse_proxy.
func TestInFrontOfAuthentication(t *testing.T) {
	received := make(chan http.Header, 10)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received <- r.Header
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Vary", "Origin")
	}))
	defer upstream.Close()
	address := caddytest.FreeAddress(t)
	config, err := caddytest.Adapt(fmt.Sprintf(site, t.TempDir(), address, upstream.Listener.Addr(), strings.TrimPrefix(address, "127.0.0.1:")))
	if err != nil {
		t.Fatal(err)
	}
	if err := caddytest.Load(config, address); err != nil {
		t.Fatal(err)
	}
	caddytest.StopAfter(t)

	do := func(method, path string, header http.Header) *http.Response {
		t.Helper()
		r, err := http.NewRequest(method, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	const page = "https://app.example.com"
	allowed := func(res *http.Response) bool {
		return slices.Equal(res.Header["Access-Control-Allow-Origin"], []string{page}) && strings.Contains(strings.Join(res.Header["Vary"], ","), "Origin")
	}

	res := do(http.MethodOptions, "/api/x", http.Header{"Origin": {page}, "Access-Control-Request-Method": {"PUT"}, "Access-Control-Request-Headers": {"authorization"}})
	if res.StatusCode != http.StatusNoContent || !allowed(res) || res.Header.Get("Access-Control-Allow-Headers") != "authorization" {
		t.Errorf("preflight: %d %v", res.StatusCode, res.Header)
	}
	res = do(http.MethodPut, "/api/x", http.Header{"Origin": {page}})
	if res.StatusCode != http.StatusUnauthorized || !allowed(res) || res.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("without a token: %d %v", res.StatusCode, res.Header)
	}
	res = do(http.MethodOptions, "/api/x", http.Header{"Origin": {page}})
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("OPTIONS that is not a preflight: %d, want 401", res.StatusCode)
	}
	res = do(http.MethodGet, "/public", http.Header{"Origin": {page}, "X_consumer.ID": {"forged"}})
	if res.StatusCode != http.StatusOK || !allowed(res) || len(res.Header["Vary"]) != 1 {
		t.Errorf("public: %d %v", res.StatusCode, res.Header)
	}
	for name := range <-received {
		if strings.Contains(strings.ToLower(name), "consumer") {
			t.Errorf("a forged %s arrived on a public path", name)
		}
	}
	res = do(http.MethodGet, "/public", http.Header{"Origin": {"https://evil.example"}})
	if got := res.Header["Access-Control-Allow-Origin"]; res.StatusCode != http.StatusOK || got != nil {
		t.Errorf("another origin: %d %v", res.StatusCode, got)
	}

	// The gateway's own documents are for every web page, as without gluu_cors.
	for _, path := range []string{"/.well-known/jwks.json", "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/api"} {
		res = do(http.MethodGet, path, http.Header{"Origin": {"https://inspector.example"}})
		if got := res.Header["Access-Control-Allow-Origin"]; !slices.Equal(got, []string{"*"}) || res.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s from another origin: %d %v", path, res.StatusCode, res.Header)
		}
	}
	res = do(http.MethodOptions, "/.well-known/oauth-protected-resource/api", http.Header{
		"Origin": {"https://inspector.example"}, "Access-Control-Request-Method": {"GET"}, "Access-Control-Request-Headers": {"mcp-protocol-version"},
	})
	if res.StatusCode != http.StatusNoContent || res.Header.Get("Access-Control-Allow-Origin") != "*" || res.Header.Get("Access-Control-Allow-Headers") != "*" {
		t.Errorf("preflight for the metadata: %d %v", res.StatusCode, res.Header)
	}

	// Another site may have such a document of its own, with the rules of its own.
	r, err := http.NewRequest(http.MethodOptions, "http://"+address+"/.well-known/oauth-protected-resource", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "other.test"
	r.Header = http.Header{"Origin": {page}, "Access-Control-Request-Method": {"GET"}}
	if res, err = http.DefaultTransport.RoundTrip(r); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNoContent || !allowed(res) {
		t.Errorf("preflight for the document of another site: %d %v", res.StatusCode, res.Header)
	}
}
