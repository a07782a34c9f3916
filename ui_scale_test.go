// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/testenv"
)

// Bounds of a page, however much there is.
const (
	pageTime = 200 * time.Millisecond
	pageSize = 150 << 10
)

// With 100,000 consumers, 10,000 rules and all refusals that are remembered, each page
// is as quick and as small as ever.
func TestPagesStaySmallAndQuick(t *testing.T) {
	if testing.Short() {
		t.Skip("loads a large configuration")
	}
	caddytest.StopAfter(t)
	site := caddytest.FreeAddress(t)
	if err := caddytest.Load(largeConfig(t, site), site); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 100)
	for i := range decisions.Size {
		decisions.Recent.Add(&decisions.Refused{
			RequestID: fmt.Sprintf("scale-%d", i), Method: "GET", Host: "api.example.com", Path: "/" + long, Status: 403, Reason: "scope_missing", Rule: "/" + long,
			ClientID: long, Required: long, Scopes: []string{long}, Description: long,
		})
	}
	client, pages := openPages(t, site)
	for _, path := range []string{
		"", "routes", "routes?q=example", "routes?request=" + url.QueryEscape("GET http://"+site+"/"), "route?at=/apps/http/servers/srv0/routes/1",
		"route?at=/apps/http/servers/srv0/routes/1/handle/0&rule=r9999", "decisions", "decisions?q=nothing-has-this", "why?id=scale-9999", "playground", "consumers", "consumers?q=client-9999",
		"consumer?id=consumer-77777", "providers", "tokens", "sessions", "metrics", "streams", "changes",
	} {
		best := time.Hour
		size := 0
		for try := 0; try < 20 && (try < 3 || best > pageTime); try++ { // others use this machine too
			start := time.Now()
			response, err := client.Get(pages + path)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatalf("%s: got %s %v %.300s", path, response.Status, err, body)
			}
			best, size = min(best, time.Since(start)), len(body)
		}
		t.Logf("%-60s %8s %6d bytes", path, best.Round(100*time.Microsecond), size)
		if size > pageSize {
			t.Errorf("%q has %d bytes, more than %d", path, size, pageSize)
		}
		if best > pageTime && !testenv.RaceDetector {
			t.Errorf("%q took %s, more than %s", path, best, pageTime)
		}
	}
}

// openPages opens the pages by a link, as `caddy gluu ui` prints it.
func openPages(t *testing.T, site string) (client *http.Client, pages string) {
	t.Helper()
	_, body := caddytest.Admin(t, "POST", "/gluu/ui", "")
	var answer struct{ Links []struct{ URL string } }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer.Links) != 1 {
		t.Fatalf("got %s, want one link", body)
	}
	address, secret, _ := strings.Cut(answer.Links[0].URL, "#")
	client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.PostForm(address, url.Values{"secret": {secret}})
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	cookies := response.Cookies()
	if len(cookies) != 1 {
		t.Fatalf("got %s with %d cookies", response.Status, len(cookies))
	}
	client.Transport = withCookie{cookies[0]}
	return client, "http://" + site + "/"
}

type withCookie struct{ cookie *http.Cookie }

// RoundTrip implements http.RoundTripper.
func (c withCookie) RoundTrip(r *http.Request) (*http.Response, error) {
	r.AddCookie(c.cookie)
	return http.DefaultTransport.RoundTrip(r)
}

func largeConfig(t *testing.T, site string) []byte {
	t.Helper()
	type object = map[string]any
	var consumers, rules []object
	for i := range 100_000 {
		consumers = append(consumers, object{"username": fmt.Sprintf("consumer-%d", i), "custom_id": fmt.Sprintf("client-%d", i), "groups": []string{"partners"}})
	}
	for i := range 10_000 {
		rules = append(rules, object{"path": fmt.Sprintf("/r%d/?", i), "conditions": []object{{"httpMethods": []string{"GET"}, "scope_expression": object{"rule": object{"var": 0}, "data": []string{fmt.Sprintf("scope-%d", i)}}}}})
	}
	routes := []object{
		{"match": []object{{"host": []string{"127.0.0.1"}}}, "handle": []object{{"handler": "gluu_ui", "local": true}}, "terminal": true},
		{"match": []object{{"host": []string{"api.example.com"}}}, "handle": []object{{"handler": "gluu_oauth_pep", "oauth_scope_expression": rules}, {"handler": "reverse_proxy", "upstreams": []object{{"dial": "127.0.0.1:9"}}}}, "terminal": true},
	}
	for i := range 500 {
		routes = append(routes, object{"match": []object{{"host": []string{fmt.Sprintf("site-%d.example.com", i)}}}, "handle": []object{{"handler": "encode"}, {"handler": "reverse_proxy", "upstreams": []object{{"dial": "127.0.0.1:9"}}}}, "terminal": true})
	}
	config, err := json.Marshal(object{
		"admin": object{"disabled": true}, "logging": object{"logs": object{"default": object{"level": "ERROR"}}},
		"storage": object{"module": "file_system", "root": t.TempDir()},
		"apps": object{
			"gluu": object{"providers": object{"default": object{"issuer": "http://127.0.0.1:9", "client_id": "gateway", "client_secret": "secret"}}, "consumers": consumers},
			"http": object{"servers": object{"srv0": object{"listen": []string{site}, "routes": routes, "automatic_https": object{"disable": true}}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return config
}
