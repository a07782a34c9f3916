// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// The site of the pages is the only one: it answers for the gateway itself.
func TestRoutesAreLanes(t *testing.T) {
	u := newUI(t, runApp(t))
	status, page := get(t, u, "/routes")
	if status != http.StatusOK || !strings.Contains(page, `<code>gluu_ui</code></a>`) || strings.Contains(page, "unprotected") {
		t.Fatalf("got %d %s", status, page)
	}
	if status, page := get(t, u, "/routes?q=someones"); status != http.StatusOK || !strings.Contains(page, "No site has this") {
		t.Errorf("a search that finds nothing: got %d %s", status, page)
	}
	if status, page := get(t, u, "/routes?request=GET+/todos"); status != http.StatusBadRequest || !strings.Contains(page, "Write a method and an address") {
		t.Errorf("a request without a host: got %d %s", status, page)
	}
	if status, page := get(t, u, "/routes?request="+url.QueryEscape("GET http://nowhere.example:1/")); status != http.StatusOK || !strings.Contains(page, "No server listens for http at port 1.") {
		t.Errorf("a port without a server: got %d %s", status, page)
	}
}

// A handler has its settings with what they mean, its JSON and its commands.
func TestARouteShowsItsSettings(t *testing.T) {
	u := newUI(t, runApp(t))
	found, err := u.app.Routes()
	if err != nil {
		t.Fatal(err)
	}
	at := found.Servers[0].Sites[0].Pointer
	status, page := get(t, u, "/route?at="+url.QueryEscape(at))
	for _, want := range []string{"<code>local</code>", "Open the pages by a link", "&#34;handler&#34;: &#34;gluu_ui&#34;", "/config" + at, "If-Match"} {
		if status != http.StatusOK || !strings.Contains(page, want) {
			t.Errorf("got %d without %q: %s", status, want, page)
		}
	}
	for _, nowhere := range []string{"", "/apps", at + "/handle/9", "/apps/http/servers/../../"} {
		if status, _ := get(t, u, "/route?at="+url.QueryEscape(nowhere)); status != http.StatusNotFound && nowhere != at+"/handle/9" {
			t.Errorf("%q: got %d, want 404", nowhere, status)
		}
	}
}

// Each handler of the gateway has texts about its options.
func TestTheReferenceHasTexts(t *testing.T) {
	for _, handler := range []string{"gluu_oauth_auth", "gluu_oauth_pep", "gluu_uma_pep", "gluu_opa_pep", "gluu_openid_connect", "gluu_ui"} {
		if len(reference[handler]) < 5 {
			t.Errorf("%s has %d texts", handler, len(reference[handler]))
		}
	}
}
