// SPDX-License-Identifier: Apache-2.0

package caddykong_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gluu/gateway"
	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// Through Caddy: many routes in one handler, a chain of handlers, and a request
// that no route takes.
func TestRoutes(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Header.Get("X-Route"), r.URL.RequestURI())
	}))
	defer upstream.Close()
	address := caddytest.FreeAddress(t)
	proxy := fmt.Sprintf(`{"handler":"reverse_proxy","upstreams":[{"dial":%q}]}`, upstream.Listener.Addr())
	name := `{"handler":"headers","request":{"set":{"X-Route":["{gluu.route.name}"]}}}`
	route := func(match, handlers string) string {
		return fmt.Sprintf(`{"match":[{"gluu_route":%s}],"handle":[%s,%s%s]}`, match, name, handlers, proxy)
	}
	load := func(routes ...string) error {
		return caddytest.Load(fmt.Appendf(nil, `{"admin":{"disabled":true,"config":{"persist":false}},"storage":{"module":"file_system","root":%q},"apps":{"http":{"servers":{"kong":{
			"listen":[%q],"automatic_https":{"disable":true},"routes":[{"handle":[{"handler":"gluu_routes","routes":[%s]},
			{"handler":"static_response","status_code":404,"body":"none"}]}]}}}}}`, t.TempDir(), address, strings.Join(routes, ",")), address)
	}
	err := load(
		route(`{"name":"A","paths":["/a"]}`, `{"handler":"gluu_upstream_path","strip_path":true,"base":"/base"},`),
		route(`{"name":"B","paths":["~/a/(\\d+)$"]}`, ""),
		route(`{"name":"C","paths":["/secure"],"protocols":["https"],"https_redirect_status_code":301}`, ""),
	)
	if err != nil {
		t.Fatal(err)
	}
	caddytest.StopAfter(t)
	for _, test := range []struct{ path, want string }{
		{"/a/x?y=/a", "200 A /base/x?y=/a"},
		{"/a/12", "200 B /a/12"},
		{"/x", "404 none"},
		{"/secure/x", "301 "},
	} {
		res, err := http.DefaultTransport.RoundTrip(httptest.NewRequestWithContext(t.Context(), "GET", "http://"+address+test.path, nil))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if got := fmt.Sprintf("%d %s", res.StatusCode, body); got != test.want {
			t.Errorf("%s: got %q, want %q", test.path, got, test.want)
		}
	}
	for _, test := range []struct{ route, want string }{
		{`{"match":[],"handle":[]}`, "route 1: write one set of matchers"},
		{`{"match":[{"gluu_route":{}},{"gluu_route":{}}],"handle":[]}`, "route 1: write one set of matchers"},
		{`{"match":[{"path":["/a"]}],"handle":[]}`, "path"},
		{`{"match":[{"gluu_route":{"name":"A"}}],"handle":[{"handler":"nothing"}]}`, `route "A": handler 1`},
		{`{"match":[{"gluu_route":{"name":"A","paths":["a"]}}],"handle":[]}`, `route "A"`},
	} {
		if err := load(test.route); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.route, err, test.want)
		}
	}
}
