// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A webApp is an application without a login of its own: pages with a form, a
// link that logs out, and a record of what it received.
type webApp struct {
	*httptest.Server

	mu       sync.Mutex
	received []appRequest
}

type appRequest struct {
	method, target, body, contentType, person, cookies string
}

func startWebApp(t *testing.T) *webApp {
	t.Helper()
	app := new(webApp)
	app.Server = httptest.NewServer(http.HandlerFunc(app.serve))
	t.Cleanup(app.Close)
	return app
}

// addr is its host:port.
func (a *webApp) addr() string { return strings.TrimPrefix(a.URL, "http://") }

var appPage = template.Must(template.New("app").Parse(`<!DOCTYPE html><html lang="en"><title>App</title>
<h1>{{.Method}} {{.URL.RequestURI}}</h1><p>for {{.Header.Get "X-Authenticated-Userid"}}</p>
<form method="post" action="/orders?list=%2B1&amp;a=b"><input name="item"><button id="send">Send</button></form>
<a id="out" href="/logout">Log out</a>`))

func (a *webApp) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	a.mu.Lock()
	a.received = append(a.received, appRequest{
		r.Method, r.RequestURI, string(body), r.Header.Get("Content-Type"), r.Header.Get("X-Authenticated-Userid"), r.Header.Get("Cookie"),
	})
	a.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_ = appPage.Execute(w, r)
}

// requests returns what it received for a path, whatever the query.
func (a *webApp) requests(path string) (found []appRequest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.received {
		if target, _, _ := strings.Cut(r.target, "?"); target == path {
			found = append(found, r)
		}
	}
	return found
}
