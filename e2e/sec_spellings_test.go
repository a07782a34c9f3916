// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// S-02: beside a character that should have been escaped, Go's EscapedPath forgets
// how the rest was spelled, and an encoded slash became one.
func TestSec_S02_EncodedSlashBesideIllegalCharacters(t *testing.T) {
	t.Parallel()
	a := adminSite().start(t)
	for _, illegal := range []string{"^", `"`, "#", "<", ">", "|", "{", "}", "`", "é"} {
		for _, target := range []string{"/public/a%2Fb", "/public%2fx", "/%2fadmin", "/public/..%2Fadmin"} {
			for _, client := range a.Clients() {
				if illegal == "#" && client.Protocol() == "HTTP/2" {
					continue // Go's own check refuses it
				}
				a.refusedOver(client, harness.Request{Method: "GET", Target: target + illegal}, ambiguous)
			}
		}
	}
}

// What is equivalent for every reader arrives in its canonical spelling, and all
// else as it was sent.
func TestSpellingUpstream(t *testing.T) {
	t.Parallel()
	a := site{auth: "optional", pep: "encoded_slashes keep\npath /files/?? {\nGET public\n}"}.start(t)
	for target, want := range map[string]string{
		"/files/a%2Bb+c":                "/files/a%2Bb+c",
		"/files/%26%3d%40%3a%2c%24%3F":  "/files/%26%3D%40%3A%2C%24%3F",
		"/files/!$&'()*+,=:@":           "/files/!$&'()*+,=:@",
		"/files/%21%27%28%29%2a":        "/files/%21%27%28%29%2A",
		"/files//%7e%61":                "/files/~a",
		"/files/a%20b%2Bc":              "/files/a%20b%2Bc",
		"/files/%2B^":                   "/files/%2B%5E",
		"/files/group%2fproject":        "/files/group%2Fproject",
		"/files/group%2Fproject^":       "/files/group%2Fproject%5E",
		"/files/%40scope%2Fname?a=%2f+": "/files/%40scope%2Fname?a=%2f+",
	} {
		for _, client := range a.Clients() {
			if echo := a.passedOver(client, harness.Request{Method: "GET", Target: target}); echo.Target != want {
				t.Errorf("%s %s: the upstream received %q, want %q", client.Protocol(), target, echo.Target, want)
			}
		}
	}
}

// S-02: a kept slash is data within one element, and nothing that could be read as
// another path is kept.
func TestSec_S02_KeptSlashes(t *testing.T) {
	t.Parallel()
	a := site{auth: "optional", pep: `
	encoded_slashes keep
	path /public/? {
		GET public
	}
	path /public/?/?? {
		GET scope admin
	}
	path /admin/?? {
		GET scope admin
	}`}.start(t)
	for _, target := range []string{
		"/public/..%2fadmin", "/public/%2e%2e%2Fadmin", "/public/a%2f..", "/public/a%2F..%2Fb", "/public/a%2f.%2fb", "/public/%2fadmin",
		"/public/a%2f", "/public/a%2f%2Fb", "/public/%2F", "/%2fadmin", "/public/..%2fadmin^", "/public/a%2fb;c", "/public/a%2f%00", `/public/a%2f\b`, "/public/a%2f..%5cb",
	} {
		for _, client := range a.Clients() {
			a.refusedOver(client, harness.Request{Method: "GET", Target: target}, ambiguous)
		}
	}
	for _, client := range a.Clients() {
		a.passedOver(client, harness.Request{Method: "GET", Target: "/public/a%2Fb"})
		a.refusedOver(client, harness.Request{Method: "GET", Target: "/public/a/b"}, noToken)
		a.refusedOver(client, harness.Request{Method: "GET", Target: "/admin/a%2Fb"}, noToken)
		a.refusedOver(client, harness.Request{Method: "GET", Target: "/admin%2Fa"}, noRule)
	}
}

// S-01: `ambiguous_paths allow` leaves nothing in a path that some programs do not
// see.
func TestSec_S01_TheCautiousReading(t *testing.T) {
	t.Parallel()
	a := site{auth: "optional", pep: "ambiguous_paths allow\ndeny_by_default false\npath /admin/?? {\n? scope admin\n}"}.start(t)
	for _, target := range []string{
		"/admin;x", "/admin;x=1/y", "/;x/admin", "/admin%00", "/%00admin", "/admin%ff", "/adm%ffin", "/public/..;x/admin", "/public/.%00./admin",
		"/public/..%3bx/admin", "/public/..%2fadmin", `/public\..\admin`, "/a/;/../admin", "/./admin;a/b",
	} {
		for _, client := range a.Clients() {
			a.refusedOver(client, harness.Request{Method: "GET", Target: target}, noToken)
		}
	}
	for target, want := range map[string]string{
		"/x;y=1/z": "/x/z", "/x%3By": "/x%3By", "/x%3by;z": "/x%3By", "/x%00y": "/xy", "/x%ffy": "/xy", "/x/../y": "/y", "/x%2fy": "/x/y",
	} {
		for _, client := range a.Clients() {
			if echo := a.passedOver(client, harness.Request{Method: "GET", Target: target}); echo.Target != want {
				t.Errorf("%s %s: the upstream received %q, want %q", client.Protocol(), target, echo.Target, want)
			}
		}
	}
}

// S-06: no copy of the path that an upstream may read stays as it was sent.
func TestSec_S06_NoRawCopyOfThePath(t *testing.T) {
	t.Parallel()
	s := site{auth: "optional", pep: "path /public/?? {\nGET public\n}"}
	s.before = "uri strip_prefix /v1\nrequest_header X-Orig-Uri {http.request.orig_uri}\nrequest_header X-Orig-Path {http.request.orig_uri.path}"
	a := s.start(t)
	for target, want := range map[string]string{
		"/v1/public/x?a=//b": "/v1/public/x?a=//b", "//v1//public//%78": "/v1/public/x", "/%761/public/x": "/v1/public/x", "/v1/public/a%2bb^": "/v1/public/a%2Bb%5E",
	} {
		for _, client := range a.Clients() {
			echo := a.passedOver(client, harness.Request{Method: "GET", Target: target})
			if got := strings.Join(echo.Values("X-Orig-Uri"), " "); got != want {
				t.Errorf("%s %s: {http.request.orig_uri} is %q, want %q", client.Protocol(), target, got, want)
			}
			path, _, _ := strings.Cut(strings.ReplaceAll(strings.ReplaceAll(want, "%2B", "+"), "%5E", "^"), "?")
			if got := strings.Join(echo.Values("X-Orig-Path"), " "); got != path {
				t.Errorf("%s %s: {http.request.orig_uri.path} is %q, want %q", client.Protocol(), target, got, path)
			}
		}
	}
	for _, target := range []string{"/v1/public/..%2fadmin", "/v1/public/x;y", "/v1%2fpublic/x"} {
		for _, client := range a.Clients() {
			a.refusedOver(client, harness.Request{Method: "GET", Target: target}, ambiguous)
		}
	}
}
