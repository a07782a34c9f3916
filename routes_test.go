// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/routemap"
)

// The answer is that of the handlers which serve requests: groups, conditions,
// prefixes that are removed, named routes, and sites that are not meant.
func TestWhichHandlersTakeARequest(t *testing.T) {
	caddytest.StopAfter(t)
	site := caddytest.FreeAddress(t)
	_, port, _ := strings.Cut(site, ":")
	source := "{\n" + caddytest.Options(t.TempDir(), caddytest.FreeAddress(t)) + `
	gluu {
		provider {
			issuer https://op.example.com
			client_id gateway
			client_secret s3cret
			audience api
		}
	}
}
&(checked) {
	route { # without it Caddy 2.11.9 keeps the first handler alone
		gluu_oauth_auth
		gluu_oauth_pep {
			path /todos {
				GET scope todos:read
			}
		}
	}
}
http://api.localhost:` + port + ` {
	bind 127.0.0.1
	handle_path /v1/* {
		invoke checked
		@sub path /sub/*
		respond @sub "inner"
		reverse_proxy localhost:9000
	}
	handle /files/* {
		route {
			file_server {
				pass_thru
			}
			respond "after the files"
		}
	}
	handle {
		error 404
	}
}
http://other.localhost:` + port + ` {
	bind 127.0.0.1
	respond "other"
}
`
	if err := caddytest.Run(source, site); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ request, want, note string }{
		"a prefix that is removed":          {"GET http://api.localhost:PORT/v1/todos", "rewrite gluu_oauth_auth gluu_oauth_pep reverse_proxy", ""},
		"a condition behind it":             {"GET http://api.localhost:PORT/v1/sub/x", "rewrite gluu_oauth_auth gluu_oauth_pep static_response", ""},
		"files that may not be there":       {"GET http://api.localhost:PORT/files/x", "file_server static_response", ""},
		"the rest":                          {"GET http://api.localhost:PORT/elsewhere", "error", ""},
		"another site":                      {"POST http://other.localhost:PORT/v1/todos?q=1", "static_response", ""},
		"a host that no site has":           {"GET http://third.localhost:PORT/", "", "No route takes it: Caddy sends an empty 200."},
		"a port at which no server listens": {"GET https://api.localhost/", "", "No server listens for https at port 443."},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := caddytest.Admin(t, "GET", "/gluu/routes?"+url.Values{"request": {strings.Replace(c.request, "PORT", port, 1)}}.Encode(), "")
			var got struct {
				Servers []routemap.Server `json:"servers"`
				Taken   routemap.Taken    `json:"taken"`
			}
			if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
				t.Fatalf("got %d %s", status, body)
			}
			var lane []string
			for _, s := range got.Servers {
				for _, site := range s.Sites {
					lane = append(lane, taken(site.Route, got.Taken.Handlers)...)
				}
			}
			if strings.Join(lane, " ") != c.want || got.Taken.Note != c.note {
				t.Errorf("got %v, note %q, want %s, %q", lane, got.Taken.Note, c.want, c.note)
			}
			if strings.Contains(body, "s3cret") {
				t.Error("the answer has a secret")
			}
		})
	}
	for _, wrong := range []string{"", "GET", "GET /todos", "GET ftp://api.localhost/", "GE T http://api.localhost/", "GET http://api.localhost/ x"} {
		if status, body := caddytest.Admin(t, "GET", "/gluu/routes?"+url.Values{"request": {wrong}}.Encode(), ""); status != 400 || !strings.Contains(body, "write a method and an address") && !strings.Contains(body, "cannot send") {
			t.Errorf("%q: got %d %s", wrong, status, body)
		}
	}
}

// taken lists the handlers of a route that a request meets, in order.
func taken(r *routemap.Route, pointers []string) (names []string) {
	for _, h := range r.Handle {
		if slices.Contains(pointers, h.Pointer) && h.Role != routemap.Contains {
			names = append(names, h.Name)
		}
		for _, inner := range h.Routes {
			names = append(names, taken(inner, pointers)...)
		}
	}
	return names
}
