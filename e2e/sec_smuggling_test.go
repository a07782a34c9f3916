// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/fcgi"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// What the gateway removes from the headers, or sets there, must not arrive as a
// trailer either, whatever becomes of the credential.
func TestSec_TrailersCarryNoCredential(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]site{
		"hide":          {auth: "pass_credentials hide"},
		"phantom_token": {auth: "pass_credentials phantom_token"},
		"pass":          {},
		"anonymous":     {auth: "anonymous guest", pep: "deny_by_default false\npath /other {\nGET scope a\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := s.start(t)
			authorization := "Authorization: Bearer " + a.server.Token(t, todoApp, harness.Opaque, "todos:write") + "\r\n"
			if name == "anonymous" {
				authorization = ""
			}
			names := []string{"Authorization", "DPoP", "Cookie", "authorization", "Proxy-Authorization", "X-HTTP-Method-Override", "X-Consumer-ID"}
			for _, announced := range []bool{true, false} {
				head := "POST /todos HTTP/1.1\r\nHost: " + a.Addr + "\r\n" + authorization + "Transfer-Encoding: chunked\r\n"
				if announced {
					head += "Trailer: " + strings.Join(append(names, "X-Harmless"), ", ") + "\r\n"
				}
				raw := head + "\r\n1\r\nx\r\n0\r\n"
				for _, name := range names {
					raw += name + ": " + forged + "\r\n"
				}
				response, err := harness.SendRaw(t.Context(), a.Addr, []byte(raw+"X-Harmless: 1\r\n\r\n"))
				if err != nil {
					t.Fatal(err)
				}
				echo := response.Echo()
				if echo == nil {
					t.Fatalf("announced %t: got %s", announced, response)
				}
				if got := slices.Collect(maps.Keys(echo.Trailers)); len(got) > 1 || len(got) == 1 && got[0] != "X-Harmless" || announced && len(got) == 0 {
					t.Errorf("announced %t: the upstream received the trailers %q", announced, got)
				}
				if got := echo.Value("Trailer"); announced && !strings.EqualFold(got, "X-Harmless") {
					t.Errorf("the upstream was promised the trailers %q", got)
				}
			}
		})
	}
}

// Of all upgrades only websocket is passed on.
func TestSec_OnlyWebsocketUpgrades(t *testing.T) {
	t.Parallel()
	a := site{}.start(t)
	token := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
	for protocol, want := range map[string]string{
		"websocket": "websocket", "WebSocket": "WebSocket",
		"h2c": "", `"h2c"`: "", "h2c;q=1": "", "connect-udp": "", "connect-ip": "", "tcp": "", "websocket, h2c": "", "HTTP/2.0": "", "TLS/1.0": "",
	} {
		echo := a.passed(get("/todos", token,
			harness.Field{Name: "Connection", Value: "Upgrade, HTTP2-Settings"}, harness.Field{Name: "Upgrade", Value: protocol},
			harness.Field{Name: "HTTP2-Settings", Value: "AAMAAABkAARAAAAAAAIAAAAA"}))
		if got := echo.Value("Upgrade"); !strings.EqualFold(got, want) {
			t.Errorf("Upgrade: %s: the upstream received %q, want %q", protocol, got, want)
		}
		if got := echo.Value("HTTP2-Settings"); got != "" {
			t.Errorf("Upgrade: %s: the upstream received HTTP2-Settings %q", protocol, got)
		}
	}
}

// overrides ask for another method or path, in the spellings that frameworks
// take for the same.
func overrides() (fields []harness.Field) {
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL"} {
		for _, spelling := range spellings(name) {
			fields = append(fields, harness.Field{Name: spelling, Value: forged})
		}
	}
	return fields
}

// Headers that ask the upstream for another method or path than the one that was
// decided on do not arrive, also on the paths that the matcher of the PEP leaves
// out.
func TestSec_MethodAndPathOverrides(t *testing.T) {
	t.Parallel()
	matched := replacing("gluu_oauth_auth {", "gluu_oauth_auth /todos* {", "gluu_oauth_pep {", "gluu_oauth_pep /todos* {")
	for name, test := range map[string]struct {
		pep   string
		edit  func(string) string
		paths []string
		pass  bool
	}{
		"stripped by default": {"", replacing(), []string{"/todos"}, false},
		"behind a matcher":    {"", matched, []string{"/todos", "/open"}, false},
		"let through":         {"override_headers pass\n" + todoRules, replacing(), []string{"/todos"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := site{pep: test.pep}.startEdited(t, test.edit)
			token := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
			for _, path := range test.paths {
				for _, client := range a.Clients() {
					echo := a.passedOver(client, get(path, token, overrides()...))
					arrived := 0
					for _, field := range echo.Fields {
						if field.Value == forged {
							arrived++
						}
					}
					if test.pass != (arrived > 0) {
						t.Errorf("%s %s: %d of the headers arrived", client.Protocol(), path, arrived)
					}
				}
			}
		})
	}
}

// A matcher in front of a handler reads paths in its own way, and the upstream in
// another: what can be read in two ways is refused where the site begins.
func TestSec_MatchersReadPathsDifferently(t *testing.T) {
	t.Parallel()
	ambiguousPaths := []string{
		"/;/api/x", "/%5capi/x", `/\api/x`, "/..;/api/x", "/x/..;/api/x", "/x/../api/x", "/x/%2e%2e/api/x",
		"/%2fapi/x", "/x%2f..%2fapi/x", "/api;/x", "/%3b/api/x", "/x%00/api", "/%c0%afapi/x",
	}
	for name, test := range map[string]struct {
		site  string
		paths []string // refused
		open  []string // not
	}{
		"own matcher":         {"gluu_oauth_auth /api/*\nreverse_proxy {$UPSTREAM}", ambiguousPaths, []string{"/open", "//open", "/a%20b", "/caf%C3%A9"}},
		"own matcher, pep":    {"gluu_oauth_auth\ngluu_oauth_pep /api/* {\npath /api/?? {\nGET scope a\n}\n}\nreverse_proxy {$UPSTREAM}", ambiguousPaths, nil},
		"handle":              {"handle /api/* {\ngluu_oauth_auth\nreverse_proxy {$UPSTREAM}\n}\nhandle {\nreverse_proxy {$UPSTREAM}\n}", ambiguousPaths, []string{"/open"}},
		"handle of others":    {"handle /open* {\nreverse_proxy {$UPSTREAM}\n}\nhandle {\ngluu_oauth_auth\nreverse_proxy {$UPSTREAM}\n}", ambiguousPaths, []string{"/open", "/open/x"}},
		"route":               {"route /api/* {\ngluu_oauth_auth\n}\nreverse_proxy {$UPSTREAM}", ambiguousPaths, []string{"/open"}},
		"a named matcher":     {"@api {\nmethod GET\npath_regexp ^/api/\n}\ngluu_oauth_auth @api\nreverse_proxy {$UPSTREAM}", ambiguousPaths, []string{"/open"}},
		"not":                 {"@api not path /open*\ngluu_oauth_auth @api\nreverse_proxy {$UPSTREAM}", ambiguousPaths, []string{"/open"}},
		"an expression":       {"@api expression `{http.request.uri.path}.startsWith('/api')`\ngluu_oauth_auth @api\nreverse_proxy {$UPSTREAM}", ambiguousPaths, []string{"/open"}},
		"an earlier upstream": {"route {\nreverse_proxy /open* {$UPSTREAM}\ngluu_oauth_auth\nreverse_proxy {$UPSTREAM}\n}", ambiguousPaths, []string{"/open"}},
		"no matcher of paths": {"@post method POST\ngluu_oauth_auth @post\nreverse_proxy {$UPSTREAM}", nil, []string{"/;/api/x", "/a%2Fb"}},
		"keep":                {"gluu_oauth_auth /api/*\ngluu_oauth_pep /api/* {\nencoded_slashes keep\npath /api/?? {\nGET scope a\n}\n}\nreverse_proxy {$UPSTREAM}", []string{"/;/api/x", "/%2fapi/x", "/x%2f..%2fapi/x", "/%5capi/x"}, []string{"/a%2Fb", "/open"}},
		"allow":               {"gluu_oauth_auth /api/*\ngluu_oauth_pep /api/* {\nambiguous_paths allow\npath /api/?? {\nGET scope a\n}\n}\nreverse_proxy {$UPSTREAM}", nil, []string{"/;/api/x", "/a%2Fb"}},
	} {
		for _, host := range []string{"a host", "any host"} {
			t.Run(name+", "+host, func(t *testing.T) {
				t.Parallel()
				address := "{$SITE}"
				if host == "any host" {
					address = ":{$PORT}"
				}
				a := site{address: address}.startEdited(t, blockOf(test.site))
				for _, client := range a.Clients() {
					for _, path := range test.paths {
						if host == "any host" { // an earlier route of such a site cannot write a body
							a.unpassed(client, path)
							continue
						}
						a.refusedOver(client, harness.Request{Method: "GET", Target: path}, ambiguous)
					}
					for _, path := range test.open {
						a.passedOver(client, harness.Request{Method: "GET", Target: path})
					}
				}
			})
		}
	}
}

// blockOf replaces the directives of a site.
func blockOf(directives string) func(string) string {
	return func(caddyfile string) string {
		head, rest, _ := strings.Cut(caddyfile, "\tgluu_oauth_auth {")
		_, tail, _ := strings.Cut(rest, "reverse_proxy {$UPSTREAM}")
		return head + directives + tail
	}
}

// replacing replaces parts of a configuration.
func replacing(oldnew ...string) func(string) string { return strings.NewReplacer(oldnew...).Replace }

// startEdited starts the site with a changed configuration.
func (s site) startEdited(t *testing.T, edit func(caddyfile string) string) *api {
	t.Helper()
	s.server = sharedServer(t)
	a := &api{t: t, upstream: harness.StartUpstream(t), server: s.server}
	config := s.config(a.upstream.Addr, s.server.Issuer)
	config.Caddyfile = edit(config.Caddyfile)
	a.Gateway = harness.StartGateway(t, config)
	a.WaitReady("/", harness.Bearer("is-the-authorization-server-there"))
	return a
}

// unpassed checks that a request is refused with 400 and not passed on.
func (a *api) unpassed(client harness.Client, target string) {
	a.t.Helper()
	before := a.upstream.Count()
	response := a.SendOver(client, harness.Request{Method: "GET", Target: target})
	if response.Status != 400 || a.upstream.Count() != before {
		a.t.Errorf("%s %s: got %s, and the upstream received %d requests", client.Protocol(), target, response, a.upstream.Count()-before)
	}
}

// A space in the query, which HTTP/2 can carry, does not end the request line of
// the upstream.
func TestSec_SpaceInTheQuery(t *testing.T) {
	t.Parallel()
	a := site{}.start(t)
	token := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
	for target, want := range map[string]string{
		"/todos?q=a b":                          "/todos?q=a%20b",
		"/todos?q=x HTTP/1.1":                   "/todos?q=x%20HTTP/1.1",
		"/todos? ":                              "/todos?%20",
		"/todos?q=a%20b+c":                      "/todos?q=a%20b+c",
		"/todos?q= HTTP/1.0 ../admin HTTP/1.1 ": "/todos?q=%20HTTP/1.0%20../admin%20HTTP/1.1%20",
	} {
		if echo := a.passedOver(harness.HTTP2(a.Addr), get(target, token)); echo.Target != want || echo.Proto != "HTTP/1.1" {
			t.Errorf("%q: the upstream received %q %q, want %q", target, echo.Target, echo.Proto, want)
		}
	}
}

// An upstream that serves the error page of a refused request learns neither who
// asked nor with which credential.
func TestSec_HandleErrorsSeesNoIdentity(t *testing.T) {
	t.Parallel()
	upstream := harness.StartUpstream(t)
	s := site{app: "error_format caddy", auth: "header X-Claim introspect_data.client_id"}
	a := s.startEdited(t, replacing("reverse_proxy {$UPSTREAM}",
		"reverse_proxy {$UPSTREAM}\nhandle_errors {\nreverse_proxy "+upstream.Addr+" {\nheader_up X-Seen \"{http.auth.user.id}|{gluu.error.reason}\"\n}\n}"))
	token := a.server.Token(t, todoApp, harness.Opaque, "email")
	before := upstream.Count()
	a.Send(get("/todos", token, harness.Field{Name: "DPoP", Value: "x"}))
	a.Send(harness.Request{Method: "GET", Target: "/todos", Fields: []harness.Field{harness.Bearer("invalid-token-invalid-token")}})
	received := upstream.Received()[before:]
	if len(received) != 2 {
		t.Fatalf("the error page was asked for %d times, want 2", len(received))
	}
	// The caller of the second one was never known.
	for i, want := range []string{"|scope_missing", "{http.auth.user.id}|token_inactive"} {
		for _, name := range append(identityHeaders, "Authorization", "DPoP", "X-Claim") {
			if value := received[i].Value(name); value != "" {
				t.Errorf("request %d: the error page received %s: %s", i, name, value)
			}
		}
		if got := received[i].Value("X-Seen"); got != want {
			t.Errorf("request %d: the error page is for %q, want %q", i, got, want)
		}
	}
}

// To a FastCGI application REMOTE_USER means that someone has logged in.
func TestSec_FastCGIWithoutRemoteUserForAnonymousCallers(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		_ = fcgi.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, "[%s]", fcgi.ProcessEnv(r)["REMOTE_USER"])
		}))
	}()
	s := site{auth: "anonymous guest", pep: "deny_by_default false\npath /other {\nGET scope a\n}"}
	a := s.startEdited(t, replacing("reverse_proxy {$UPSTREAM}",
		"reverse_proxy "+listener.Addr().String()+" {\ntransport fastcgi\n}"))
	token := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
	for name, test := range map[string]struct {
		request harness.Request
		want    string
	}{
		"no token":      {harness.Request{Target: "/x"}, "[]"},
		"a valid token": {get("/x", token), "[todo-app]"},
	} {
		if response := a.Send(test.request); response.Body != test.want {
			t.Errorf("%s: got %s, want %s", name, response, test.want)
		}
	}
}
