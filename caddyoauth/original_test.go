// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/fcgi"
	"strings"
	"testing"
)

// newFastCGI starts an upstream that answers with the environment that it gets.
func newFastCGI(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		_ = fcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = json.NewEncoder(w).Encode(fcgi.ProcessEnv(r))
		}))
	}()
	return l.Addr().String()
}

// The transport gives REQUEST_URI a second name, since package fcgi hides it, and
// adds every placeholder of the original request.
const fastCGI = `
	reverse_proxy {fastcgi} {
		transport fastcgi {
			root /srv
			split .php
			env X_ORIG_URI {http.request.orig_uri}
			env X_ORIG_PATH {http.request.orig_uri.path}
			env X_ORIG_DIR {http.request.orig_uri.path.dir}
			env X_ORIG_FIRST {http.request.orig_uri.path.0}
			env X_URI {http.request.uri}
			env X_METHOD {http.request.orig_method}
		}
	}`

// No copy of the path stays raw: an upstream that routes by REQUEST_URI, as most
// PHP frameworks do, sees what was decided on.
func TestSec_S06_TheOriginalRequestIsCanonical(t *testing.T) {
	address := newFastCGI(t)
	rules := "gluu_oauth_auth\n" + strings.ReplaceAll(publicRules, "%s", "")
	g := publicOnly(t, "handle_path /api/* {\n"+rules+strings.ReplaceAll(fastCGI, "{fastcgi}", address)+"\n}\n"+
		"handle /old/* {\nrewrite * /public/x\n"+rules+strings.ReplaceAll(fastCGI, "{fastcgi}", address)+"\n}\n"+
		"handle {\n"+rules+strings.ReplaceAll(fastCGI, "{fastcgi}", address)+"\n}")
	for _, test := range []struct {
		target string
		want   string // the original URI; "" if the request is refused
	}{
		{"/public/x", "/public/x"},
		{"/public/x?a=/../b", "/public/x?a=/../b"},
		{"//public/admin", "/public/admin"},
		{"/%70ublic//%78?y", "/public/x?y"},
		{"/public/a%2bb", "/public/a%2Bb"},
		{"/public/a^b", "/public/a%5Eb"},
		{"http://" + g.address + "/public/x?y", "/public/x?y"},
		{"http://" + g.address + "//public/x", "/public/x"},
		{"/api//public/x", "/api/public/x"},
		{"/old/x", "/old/x"},
		{"/old//%78", "/old/x"},
		{"/old/..%2fadmin", ""},
		{"/old/x;y", ""},
		{"/old/x%00", ""},
		{"/old/%2e%2e/admin", ""},
		{"/old/a%2fb^", ""},
	} {
		t.Run(test.target, func(t *testing.T) {
			got := g.get(test.target, "public")
			if test.want == "" {
				if got.status != 400 || g.lastReason() != "ambiguous_path" {
					t.Errorf("got %d %s, want it refused as an ambiguous path", got.status, got.body)
				}
				return
			}
			var env map[string]string
			if err := json.Unmarshal([]byte(got.body), &env); got.status != 200 || err != nil {
				t.Fatalf("got %d %s, %v", got.status, got.body, err)
			}
			path, _, _ := strings.Cut(test.want, "?")
			decoded, err := decodeOnce(path)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(decoded[1:], "/")
			for name, want := range map[string]string{
				"X_ORIG_URI": test.want, "X_ORIG_PATH": decoded, "X_ORIG_FIRST": first,
				"X_ORIG_DIR": decoded[:strings.LastIndexByte(decoded, '/')+1],
			} {
				if env[name] != want {
					t.Errorf("%s is %q, want %q", name, env[name], want)
				}
			}
			if strings.Contains(env["X_URI"], "//") || strings.Contains(env["DOCUMENT_URI"], "//") {
				t.Errorf("got %v", env)
			}
		})
	}
}

// REQUEST_URI itself, which the handlers before cannot hide.
func TestSec_S06_RequestURIIsCanonical(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		_ = fcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(r.RequestURI + "|" + r.URL.String()))
		}))
	}()
	g := publicOnly(t, "gluu_oauth_auth\n"+strings.ReplaceAll(publicRules, "%s", "")+"reverse_proxy "+l.Addr().String()+" {\ntransport fastcgi\n}")
	for target, want := range map[string]string{"//public/admin": "/public/admin", "/public//%61?b": "/public/a?b", "/public/%2b": "/public/%2B"} {
		if got := g.get(target, "public"); got.status != 200 || !strings.HasSuffix(got.body, want) || strings.Contains(got.body, "//public") {
			t.Errorf("%s: got %d and REQUEST_URI %s, want %s", target, got.status, got.body, want)
		}
	}
}

// A method that a framework upper-cases is not judged as another one.
func TestSec_S13_MethodsThatUpstreamsFold(t *testing.T) {
	g := start(t, simpleApp, `gluu_oauth_auth
	gluu_oauth_pep {
		path /items/? {
			DELETE scope admin
			FROB   scope admin
			?      scope read
		}
	}
	reverse_proxy {upstream}`)
	g.auth.issue("read", claims("client-a", "read"))
	for method, want := range map[string]int{
		"DELETE": 403, "delete": 400, "Delete": 400, "dELETE": 400, "frob": 400, "FROB": 403, "put": 400, "PUT": 200, "propfind": 400,
		"custom": 200, "CUSTOM": 200, "get": 400, "GET": 200, "hEAD": 400, "M-SEARCH": 200, "trace": 400,
	} {
		got := g.request(method, "/items/7", "read")
		if got.status != want {
			t.Errorf("%s: got %d, want %d", method, got.status, want)
		}
		if want == 400 && (got.code() != "invalid_request" || g.lastReason() != "malformed_request") {
			t.Errorf("%s: got %s for the reason %s, want invalid_request for malformed_request", method, got.body, g.lastReason())
		}
	}
}
