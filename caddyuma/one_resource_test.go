// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// What the server answers about one resource says nothing about the others: their
// tickets go on.
func TestAnswerAboutOneResourceIsNoneAboutTheServer(t *testing.T) {
	for _, test := range []struct {
		name string
		odd  func(w http.ResponseWriter)
	}{
		{"over a mebibyte", func(w http.ResponseWriter) {
			fmt.Fprintf(w, `{"ticket":"t","x":"%s"}`, strings.Repeat("x", 1<<20))
		}},
		{"500", func(w http.ResponseWriter) { w.WriteHeader(500) }},
		{"302", func(w http.ResponseWriter) { w.WriteHeader(302) }},
		{"401", func(w http.ResponseWriter) { w.WriteHeader(401) }},
		{"403", func(w http.ResponseWriter) { w.WriteHeader(403) }},
		{"no JSON", func(w http.ResponseWriter) { fmt.Fprint(w, "what") }},
		{"a connection that is closed", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, harness.UMAConfig{}, todos).registered("GET /todos", "POST /todos")
			s.server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				body, _ := io.ReadAll(r.Body)
				isOdd := strings.HasSuffix(r.URL.Path, "/permissions") && strings.Contains(string(body), `["todos:view"]`)
				if isOdd {
					test.odd(w)
				}
				return isOdd
			})
			tokens := s.server.Count("token")
			for range 20 {
				if a := s.send("GET", "/todos", ""); a.status != http.StatusForbidden {
					t.Fatalf("the odd resource: got %+v, want 403 with a warning", a)
				}
				s.ticket(s.send("POST", "/todos", ""))
			}
			if n := s.server.Count("token") - tokens; n > 1 {
				t.Errorf("%d protection API tokens were asked for because of one resource", n)
			}
		})
	}
}

// One description that cannot be read keeps no other resource from being found or
// registered.
func TestOddDescriptionStopsNoOtherResource(t *testing.T) {
	s := start(t, harness.UMAConfig{}, "path /unused {\nGET scope todos:view\n}")
	s.registered("GET /unused")
	s.server.PutResource(harness.UMAResource{ID: "odd", Name: "something else", Scopes: []string{"a"}})
	s.server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/resources/odd") {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
		if strings.HasSuffix(r.URL.Path, "/resources") && r.Method == http.MethodGet && strings.Contains(r.URL.RawQuery, "both") {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `["odd"]`) // the search of this one finds another
			return true
		}
		return false
	})
	s.load(todos)
	s.registered("GET /todos", "POST /todos")
	if a := s.send("GET", "/both", ""); a.status != http.StatusForbidden {
		t.Errorf("the resource that may be the odd one: got %+v, want 403", a)
	}
}

// A reload that changes the settings of the provider costs no request, although
// the server takes its time.
func TestChangedProviderCostsNoTicket(t *testing.T) {
	s := start(t, harness.UMAConfig{}, todos).registered("GET /todos")
	s.server.Intercept(func(http.ResponseWriter, *http.Request) bool {
		time.Sleep(200 * time.Millisecond)
		return false
	})
	done := make(chan struct{})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if a := s.send("GET", "/todos", ""); a.status != http.StatusUnauthorized && a.status != http.StatusTooManyRequests {
					t.Errorf("got %+v, want 401 with a ticket", a)
				}
			}
		})
	}
	s.loadWith(todos, "timeout 7s", "")
	time.Sleep(time.Second)
	close(done)
	all.Wait()
}

// A start costs no request either, if the server is there.
func TestFirstRequestsWaitForTheRegistration(t *testing.T) {
	s := start(t, harness.UMAConfig{}, "path /unused {\nGET scope todos:view\n}")
	s.server.Intercept(func(http.ResponseWriter, *http.Request) bool {
		time.Sleep(100 * time.Millisecond)
		return false
	})
	s.load(todos)
	for _, method := range []string{"GET", "POST"} {
		s.ticket(s.send(method, "/todos", ""))
	}
}
