// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
)

// askAbout asks the token endpoint about something.
func askAbout(p *testProvider, ctx context.Context, q Question, ok Accept) error {
	q.Endpoint = "token_endpoint"
	req, err := http.NewRequest(http.MethodPost, "https://as.example/token", nil)
	if err != nil {
		return err
	}
	_, err = p.Ask(ctx, q, req, ok)
	return err
}

func stateOf(p *testProvider) string { return p.endpoints.breakers()["token_endpoint"] }

// What a server answers to one question, however often it is asked, says nothing
// about the others.
func TestBreakerMovesByEvidenceAboutTheServer(t *testing.T) {
	refuse := func(a *Answer) error {
		return BlameRequest(a, AcceptJSON(a))
	}
	cannotRead := func(*Answer) error { return &UnreadableError{errors.New("odd")} }
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		ok     Accept
		about  func(i int) string
		want   string
	}{
		{"answers that cannot be read", providertest.Respond(`{`), cannotRead, different, "closed"},
		{"answers that are too large", providertest.Respond(strings.Repeat("x", MaxAnswer+1)), AcceptStatus, different, "closed"},
		{"400 for each question", providertest.RespondWith(400, "", ""), refuse, different, "closed"},
		{"401 for each question", providertest.RespondWith(401, "", ""), refuse, different, "closed"},
		{"403 for each question", providertest.RespondWith(403, "", ""), refuse, different, "closed"},
		{"404 for each question", providertest.RespondWith(404, "", ""), refuse, different, "closed"},
		{"401 with invalid_client", providertest.RespondWith(401, "application/json", `{"error":"invalid_client"}`), refuse, different, "open"},
		{"400 with invalid_client", providertest.RespondWith(400, "application/json", `{"error":"invalid_client"}`), refuse, different, "open"},
		{"429 for each question", providertest.RespondWith(429, "", ""), refuse, different, "open"},
		{"408 for each question", providertest.RespondWith(408, "", ""), refuse, different, "open"},
		{"500 for each question", providertest.RespondWith(500, "", ""), refuse, different, "open"},
		{"500 with a huge body", providertest.RespondWith(500, "", strings.Repeat("x", MaxAnswer+1)), AcceptStatus, different, "open"},
		{"a redirect for each question", providertest.RespondWith(302, "", ""), refuse, different, "open"},
		{"500 for one question", providertest.RespondWith(500, "", ""), refuse, same, "closed"},
		{"a redirect for one question", providertest.RespondWith(302, "", ""), refuse, same, "closed"},
		{"500 for four questions", providertest.RespondWith(500, "", ""), refuse, func(i int) string { return fmt.Sprint(i % 4) }, "closed"},
		{"500 for what no client asks", providertest.RespondWith(500, "", ""), refuse, func(int) string { return "" }, "open"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := bubbleProvider(t, test.answer)
				for i := range 10 * BreakerFailures {
					if err := askAbout(p, t.Context(), Question{About: test.about(i)}, test.ok); err == nil {
						t.Fatal("no error, so the test tests nothing")
					}
					if stateOf(p) == "open" {
						break
					}
					time.Sleep(failureMemory)
				}
				if got := stateOf(p); got != test.want {
					t.Errorf("the breaker is %s, want %s", got, test.want)
				}
			})
		})
	}
}

func different(i int) string { return fmt.Sprint(i) }
func same(int) string        { return "same" }

// A question that failed is not asked again for a moment, however often a client
// repeats it.
func TestFailedQuestionIsAnsweredFromMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		p := bubbleProvider(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			w.WriteHeader(http.StatusInternalServerError)
		})
		for range 100 {
			if err := askAbout(p, t.Context(), Question{About: "a"}, AcceptStatus); reasonOf(t, err) != token.ProviderUnavailable || !HasFailed(err) {
				t.Fatalf("got %v, want the failure", err)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("%d requests within a second, want 1", n)
		}
		_ = askAbout(p, t.Context(), Question{About: "b"}, AcceptStatus)
		time.Sleep(failureMemory)
		_ = askAbout(p, t.Context(), Question{About: "a"}, AcceptStatus)
		if n := asked.Load(); n != 3 {
			t.Errorf("%d requests, want 3: another question, and the same after a second", n)
		}
	})
}

// Only a failure of the question itself is one that stale tokens may go by.
func TestHasFailed(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   bool
	}{
		{"500", providertest.RespondWith(500, "", ""), true},
		{"503", providertest.RespondWith(503, "", ""), true},
		{"no answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, true},
		{"429", providertest.RespondWith(429, "", ""), false},
		{"too large", providertest.Respond(strings.Repeat("x", MaxAnswer+1)), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := bubbleProvider(t, test.answer)
				if got := HasFailed(askAbout(p, t.Context(), Question{About: "a"}, AcceptStatus)); got != test.want {
					t.Errorf("got %t, want %t", got, test.want)
				}
			})
		})
	}
	t.Run("open breaker", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := bubbleProvider(t, providertest.RespondWith(500, "", ""))
			for i := range BreakerFailures {
				_ = askAbout(p, t.Context(), Question{About: different(i)}, AcceptStatus)
			}
			if err := askAbout(p, t.Context(), Question{About: "new"}, AcceptStatus); stateOf(p) != "open" || HasFailed(err) {
				t.Errorf("got %v while the breaker is %s", err, stateOf(p))
			}
			// Who insists has his own question asked, and for a second at most.
			p = connectTo(p, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
			begun := time.Now()
			err := askAbout(p, t.Context(), Question{About: "insisting", Insist: true}, AcceptStatus)
			if !HasFailed(err) || time.Since(begun) != insistTimeout {
				t.Errorf("got %v after %s", err, time.Since(begun))
			}
			begun = time.Now()
			if err = askAbout(p, t.Context(), Question{About: "insisting", Insist: true}, AcceptStatus); !HasFailed(err) || time.Since(begun) != 0 {
				t.Errorf("once more: got %v after %s, want the failure from memory", err, time.Since(begun))
			}
		})
	})
}

// Time in this process's own queue is not the server's.
func TestTimeInTheQueueIsNotTheServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers = 3600
		const latency = 400 * time.Millisecond
		var failed, tooBusy atomic.Int64
		p := bubbleProvider(t, func(w http.ResponseWriter, _ *http.Request) { time.Sleep(latency) })
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				switch err := askAbout(p, t.Context(), Question{About: different(i)}, AcceptStatus); {
				case err == nil:
				case errors.Is(err, errTooBusy):
					tooBusy.Add(1)
				default:
					failed.Add(1)
				}
			})
		}
		synctest.Wait()
		// Keys have places of their own.
		begun := time.Now()
		req, _ := http.NewRequest(http.MethodGet, "https://as.example/jwks", nil)
		if _, err := p.Do(t.Context(), "jwks_uri", req, AcceptStatus); err != nil || time.Since(begun) != latency {
			t.Errorf("keys: got %v after %s, want an answer after %s", err, time.Since(begun), latency)
		}
		all.Wait()
		if failed.Load() != 0 {
			t.Errorf("%d requests failed, of a server that answers all", failed.Load())
		}
		// 256 at a time, for as long as a request waits for its place.
		served := int64(maxInFlight) * (int64(defaultTimeout/latency) + 1)
		if want := max(0, callers-served); tooBusy.Load() != want {
			t.Errorf("%d requests found no place in time, want %d", tooBusy.Load(), want)
		}
		if got := stateOf(p); got != "closed" {
			t.Errorf("the breaker of a healthy server is %s", got)
		}
	})
}

// A caller with less time than the timeout finds out nothing about the server.
func TestImpatientCallersDoNotOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bubbleProvider(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		for i := range 2 * BreakerFailures {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := askAbout(p, ctx, Question{About: different(i)}, AcceptStatus); err == nil || HasFailed(err) {
				t.Errorf("got %v", err)
			}
			cancel()
		}
		if got := stateOf(p); got != "closed" {
			t.Errorf("the breaker is %s", got)
		}
	})
}
