// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/decisions"
)

// openTail serves the pages to an operator and opens the tail.
func openTail(t *testing.T, u *UI, query, lastID string) *http.Response {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served := request(http.MethodGet, "/", "operators", nil)
		served = served.WithContext(mergeContext(served.Context(), r.Context()))
		served.URL.Path, served.URL.RawQuery = r.URL.Path, r.URL.RawQuery
		served.Header = r.Header
		_ = u.ServeHTTP(w, served, nil)
	}))
	t.Cleanup(server.Close)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/tail?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// startTail opens the tail. The returned function reads until a line has a text.
func startTail(t *testing.T, u *UI, query, lastID string) (status int, read func(text string) string) {
	t.Helper()
	response := openTail(t, u, query, lastID)
	lines := bufio.NewScanner(response.Body)
	return response.StatusCode, func(text string) string {
		t.Helper()
		var all strings.Builder
		for lines.Scan() {
			all.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), text) {
				return all.String()
			}
		}
		t.Fatalf("the tail ended without %q: %s", text, all.String())
		return ""
	}
}

// merged has the values of one context and the end of another.
type merged struct {
	context.Context
	values context.Context
}

func (m merged) Value(key any) any { return m.values.Value(key) }

func mergeContext(values, ending context.Context) context.Context { return merged{ending, values} }

func TestTheTailShowsWhatHappens(t *testing.T) {
	u := newUI(t, runApp(t))
	status, read := startTail(t, u, "client=tailed", "")
	if status != http.StatusOK {
		t.Fatalf("got %d", status)
	}
	read(": open")
	decisions.Recent.Add(&decisions.Refused{RequestID: "tail-1", Path: "/other", ClientID: "another", Status: 403})
	decisions.Recent.Add(&decisions.Refused{RequestID: "tail-2", Path: "/<i>", ClientID: "tailed", Status: 403, Reason: "no_rule"})
	got := read("why?id=tail-2")
	if strings.Contains(got, "tail-1") || strings.Contains(got, "<i>") || !strings.Contains(got, "event: decision") {
		t.Errorf("got %s", got)
	}
}

func TestSec_S417_ATailResumesAndEndsWithItsConfiguration(t *testing.T) {
	u := newUI(t, runApp(t))
	ending, end := context.WithCancel(t.Context())
	u.tails = newTailLimiter(ending)
	decisions.Recent.Add(&decisions.Refused{RequestID: "resume-1", ClientID: "resumed"})
	last := decisions.Recent.List(decisions.Filter{ClientID: "resumed"}, 1)[0].Number
	decisions.Recent.Add(&decisions.Refused{RequestID: "resume-2", ClientID: "resumed"})
	_, read := startTail(t, u, "client=resumed", strconv.FormatUint(last, 10))
	if got := read("why?id=resume-2"); strings.Contains(got, "resume-1") {
		t.Errorf("got what was seen before: %s", got)
	}
	end()
	deadline := time.Now().Add(10 * time.Second)
	for open := 1; open > 0; {
		u.tails.mu.Lock()
		open = u.tails.total
		u.tails.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatal("the tail goes on when its configuration has ended")
		}
	}
}

func TestSec_S427_TailsAreBounded(t *testing.T) {
	l := newTailLimiter(t.Context())
	for i := range maxTailsOfASession + 1 {
		if got, want := l.begin("ann"), i < maxTailsOfASession; got != want {
			t.Errorf("tail %d of one session: got %v", i+1, got)
		}
	}
	others := 0
	for i := range maxTails {
		if l.begin("session " + strconv.Itoa(i)) {
			others++
		}
	}
	if others+maxTailsOfASession != maxTails {
		t.Errorf("got %d tails, want %d", others+maxTailsOfASession, maxTails)
	}
	l.end("ann")
	if !l.begin("ann") {
		t.Error("a place that became free is not given away")
	}
	u := newUI(t, runApp(t))
	u.tails = l
	if status, _ := startTail(t, u, "", ""); status != http.StatusTooManyRequests {
		t.Errorf("got %d, want 429", status)
	}
}
