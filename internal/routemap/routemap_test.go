// SPDX-License-Identifier: Apache-2.0

package routemap_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/routemap"
)

// server is a configuration of the HTTP app with one server and these routes.
func server(routes string) string {
	return `{"servers": {"srv0": {"listen": [":443"], "routes": ` + routes + `, "named_routes": {
		"checked": {"handle": [{"handler": "gluu_oauth_auth"}, {"handler": "gluu_oauth_pep"}]}, "loop": {"handle": [{"handler": "invoke", "name": "loop"}]}}}}}`
}

func mapOf(t *testing.T, config string) *routemap.Map {
	t.Helper()
	m, err := routemap.New(json.RawMessage(config)).Map()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// laneOf lists the handlers of a route in order, with what protects those that answer.
func laneOf(r *routemap.Route) (lane []string) {
	for _, h := range r.Handle {
		text := h.Name
		if h.Protection != "" {
			text += "=" + string(h.Protection)
		}
		lane = append(lane, text)
		for _, inner := range h.Routes {
			lane = append(lane, laneOf(inner)...)
		}
	}
	return lane
}

const (
	auth  = `{"handler": "gluu_oauth_auth"}`
	pep   = `{"handler": "gluu_oauth_pep"}`
	login = `{"handler": "gluu_openid_connect"}`
	proxy = `{"handler": "reverse_proxy", "upstreams": [{"dial": "localhost:9000"}]}`
)

func TestWhatProtectsAHandler(t *testing.T) {
	sub := func(routes string) string { return `{"handler": "subroute", "routes": [` + routes + `]}` }
	for name, c := range map[string]struct {
		handle string
		want   string
		open   bool
	}{
		"rules":                           {auth + "," + pep + "," + proxy, "gluu_oauth_auth gluu_oauth_pep reverse_proxy=rules", false},
		"nothing":                         {proxy, "reverse_proxy=none", true},
		"rules behind the upstream":       {proxy + "," + pep, "reverse_proxy=none gluu_oauth_pep", true},
		"a login alone":                   {login + "," + proxy, "gluu_openid_connect reverse_proxy=authentication", false},
		"a token that is optional":        {`{"handler": "gluu_oauth_auth", "optional": true}` + "," + proxy, "gluu_oauth_auth reverse_proxy=partly", true},
		"a dry run":                       {`{"handler": "gluu_oauth_pep", "dry_run": true}` + "," + proxy, "gluu_oauth_pep reverse_proxy=partly", true},
		"rules that leave out the rest":   {`{"handler": "gluu_oauth_pep", "deny_by_default": false}` + "," + proxy, "gluu_oauth_pep reverse_proxy=partly", true},
		"a redirect":                      {`{"handler": "static_response", "status_code": 302}`, "static_response", false},
		"a refusal, as text":              {`{"handler": "static_response", "status_code": "403"}`, "static_response", false},
		"a fixed answer":                  {`{"handler": "static_response", "body": "x"}`, "static_response=none", true},
		"a handler that no one knows":     {`{"handler": "someones"}`, "someones=none", true},
		"handlers of the gateway":         {`{"handler": "gluu_jwks"}`, "gluu_jwks", false},
		"a named route":                   {`{"handler": "invoke", "name": "checked"},` + proxy, "invoke gluu_oauth_auth gluu_oauth_pep reverse_proxy=rules", false},
		"rules under a condition":         {sub(`{"match": [{"path": ["/api/*"]}], "handle": [` + pep + `]}, {"handle": [` + proxy + `]}`), "subroute gluu_oauth_pep reverse_proxy=partly", true},
		"the upstream under the same one": {sub(`{"match": [{"path": ["/api/*"]}], "handle": [` + pep + "," + proxy + `]}, {"handle": [{"handler": "error"}]}`), "subroute gluu_oauth_pep reverse_proxy=rules error", false},
		"handle blocks": {
			sub(`{"group": "g", "match": [{"path": ["/api/*"]}], "handle": [` + pep + "," + proxy + `]}, {"group": "g", "handle": [` + proxy + `]}`),
			"subroute gluu_oauth_pep reverse_proxy=rules reverse_proxy=none", true,
		},
		"each handle block decides": {
			sub(`{"group": "g", "match": [{"path": ["/a/*"]}], "handle": [`+pep+`]}, {"group": "g", "handle": [`+pep+`]}`) + "," + proxy,
			"subroute gluu_oauth_pep gluu_oauth_pep reverse_proxy=rules", false,
		},
		"one handle block does not": {
			sub(`{"group": "g", "match": [{"path": ["/a/*"]}], "handle": [`+pep+`]}, {"group": "g", "handle": [{"handler": "encode"}]}`) + "," + proxy,
			"subroute gluu_oauth_pep encode reverse_proxy=partly", true,
		},
		"what answers ends its way": {
			sub(`{"match": [{"path": ["/public"]}], "handle": [{"handler": "error"}]}, {"handle": [`+pep+`]}`) + "," + proxy,
			"subroute error gluu_oauth_pep reverse_proxy=rules", false,
		},
		"files, or else the upstream": {`{"handler": "file_server", "pass_thru": true},` + pep + "," + proxy, "file_server=none gluu_oauth_pep reverse_proxy=rules", true},
	} {
		t.Run(name, func(t *testing.T) {
			site := mapOf(t, server(`[{"match": [{"host": ["api.example.com"]}], "handle": [`+c.handle+`], "terminal": true}]`)).Servers[0].Sites[0]
			if got := strings.Join(laneOf(site.Route), " "); got != c.want || site.Unprotected != c.open {
				t.Errorf("got %s, unprotected %t, want %s, %t", got, site.Unprotected, c.want, c.open)
			}
		})
	}
}

// A route of JSON that ends nothing protects those behind it.
func TestRoutesOfAServerFollowEachOther(t *testing.T) {
	sites := mapOf(t, server(`[{"handle": [`+auth+","+pep+`]}, {"match": [{"host": ["a.example"]}], "handle": [`+proxy+`]}]`)).Servers[0].Sites
	if got := sites[1].Handle[0].Protection; got != routemap.ByRules {
		t.Errorf("got %s, want rules", got)
	}
	sites = mapOf(t, server(`[{"match": [{"host": ["b.example"]}], "handle": [`+pep+`]}, {"match": [{"host": ["a.example"]}], "handle": [`+proxy+`]}]`)).Servers[0].Sites
	if got := sites[1].Handle[0].Protection; got != routemap.Partly {
		t.Errorf("the rules are those of another host: got %s, want partly", got)
	}
}

func TestWhatAMapSays(t *testing.T) {
	m := mapOf(t, server(`[{"match": [{"host": ["a.example", "b.example"], "path": ["/x/*"]}], "handle": [{"handler": "subroute", "routes": [
		{"match": [{"method": ["GET", "HEAD"], "not": [{"path": ["/y"]}]}, {"header": {"Authorization": ["hunter2"], "X-A": ["1"]}}], "handle": [`+proxy+`]}]}]}, {"handle": [{"handler": "invoke", "name": "loop"}]}]`))
	site := m.Servers[0].Sites[0]
	if fmt.Sprint(site.Hosts, site.Match) != "[a.example b.example] [path /x/*]" {
		t.Errorf("got %v %v", site.Hosts, site.Match)
	}
	inner := site.Handle[0].Routes[0]
	if want := []string{"method GET HEAD and not (path /y)", "header Authorization=(hidden) X-A=1"}; !slices.Equal(inner.Match, want) {
		t.Errorf("got %q, want %q", inner.Match, want)
	}
	at := "/apps/http/servers/srv0/routes/0/handle/0/routes/0/handle/0"
	if h := m.Handler(at); h == nil || h.Name != "reverse_proxy" || h.Summary != "localhost:9000" || m.Site(at) != site {
		t.Errorf("%s: got %+v", at, h)
	}
	if m.Handler("/apps") != nil || m.Site("/apps") != nil || m.Site("") != nil {
		t.Error("there is something at a pointer that leads nowhere")
	}
	if _, err := routemap.New(json.RawMessage(`{"servers": 1}`)).Map(); err == nil {
		t.Error("a configuration that is not one gives a map")
	}
}
