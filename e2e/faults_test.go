// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// The drill: an authorization server fails in every way it can while 200
// requests a second arrive, three of four with a cached token and the fourth
// with a new one. Cached tokens keep working as fast as before; new ones do not
// pass; no request takes longer than the configured timeout; and the gateway
// notices within the pause of its circuit breaker that the server has recovered.

const (
	drillTimeout  = 500 * time.Millisecond
	drillMargin   = 1500 * time.Millisecond // for a machine that is busy with other tests
	drillBefore   = 2 * time.Second
	drillFault    = 4 * time.Second
	breakerPause  = 10 * time.Second // docs/app.md
	drillInterval = time.Second / 200
)

type failing struct {
	name   string
	answer http.HandlerFunc // nil: it does not listen
}

func TestFaultDrill(t *testing.T) {
	t.Parallel()
	for _, lane := range []struct {
		name     string
		failings []failing
	}{
		{"connections", []failing{
			{"refused", nil},
			{"hanging", harness.Hang},
			{"slow", slowly(drillTimeout + 200*time.Millisecond)},
			{"closing", harness.CloseConnection},
		}},
		{"answers", []failing{
			{"500", harness.Answer(500, "application/json", `{"active": true}`)},
			{"garbage", harness.Answer(200, "application/json", `{"active": tr`)},
			{"endless", harness.Endless},
			{"redirecting", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			}},
		}},
	} {
		t.Run(lane.name, func(t *testing.T) {
			t.Parallel()
			stub := newStubServer(t)
			d := &drill{t: t, stub: stub, gateway: stub.gateway(t, drillTimeout.String()), client: &http.Client{
				Transport: &http.Transport{MaxIdleConnsPerHost: 400},
			}}
			defer d.client.CloseIdleConnections()
			for i := range knownTokens {
				if status, err := ask(d.client, d.gateway.Addr, known(i)); status != 200 {
					t.Fatalf("got %d (%v), want 200", status, err)
				}
			}
			for _, f := range lane.failings {
				d.run(f)
			}
		})
	}
}

const knownTokens = 50

func known(i int) string { return fmt.Sprintf("known-token-%04d", i%knownTokens) }

// drill is one gateway and its server.
type drill struct {
	t       *testing.T
	stub    *stubServer
	gateway *harness.Gateway
	client  *http.Client
	tokens  int // unknown ones so far
}

// sample is one answer.
type sample struct {
	known  bool
	status int
	took   time.Duration
	at     time.Time // of the answer
	err    error
}

func (d *drill) run(f failing) {
	d.t.Helper()
	before := d.load(drillBefore, nil)
	d.check(f.name+": before", before, 200)

	if f.answer == nil {
		d.stub.hangUp()
	} else {
		d.stub.fault(f.answer)
	}
	during := d.load(drillFault, nil)
	d.check(f.name+": during", during, 503)

	if f.answer == nil {
		d.stub.listen()
	} else {
		d.stub.fault(nil)
	}
	repaired := time.Now()
	var recovered time.Duration
	after := d.load(breakerPause+drillMargin, func(s sample) (done bool) {
		if !s.known && s.status == 200 && recovered == 0 {
			recovered = s.at.Sub(repaired)
		}
		return recovered != 0
	})
	d.check(f.name+": recovery", after, 200, 503)
	if recovered == 0 {
		d.t.Errorf("%s: the gateway did not notice within %s that the server has recovered", f.name, breakerPause+drillMargin)
	}
	d.t.Logf("%-12s known: %d requests, p99 before %s, during %s; unknown: %d requests, slowest %s; recovered after %s",
		f.name, count(during, true), p99(before, true), p99(during, true), count(during, false), slowest(during, false), recovered.Round(time.Millisecond))
}

// load sends requests at a steady rate, whether or not they are answered,
// until the time is over or an answer is what done waits for.
func (d *drill) load(length time.Duration, done func(sample) bool) []sample {
	d.t.Helper()
	var mu sync.Mutex
	var samples []sample
	found := make(chan struct{})
	var once sync.Once
	var all sync.WaitGroup
	ticker := time.NewTicker(drillInterval)
	defer ticker.Stop()
	end := time.After(length)
	for i := 0; ; i++ {
		isKnown, token := i%4 != 3, known(i)
		if !isKnown {
			d.tokens++
			token = fmt.Sprintf("unknown-token-%06d", d.tokens)
		}
		all.Go(func() {
			began := time.Now()
			status, err := ask(d.client, d.gateway.Addr, token)
			s := sample{isKnown, status, time.Since(began), time.Now(), err}
			mu.Lock()
			defer mu.Unlock()
			samples = append(samples, s)
			if done != nil && done(s) {
				once.Do(func() { close(found) })
			}
		})
		select {
		case <-ticker.C:
			continue
		case <-end:
		case <-found:
		}
		all.Wait()
		return samples
	}
}

func (d *drill) check(phase string, samples []sample, unknown ...int) {
	d.t.Helper()
	wrong := map[string]int{}
	for _, s := range samples {
		kind, want := "known", []int{200}
		if !s.known {
			kind, want = "unknown", unknown
		}
		switch {
		case s.err != nil:
			wrong[fmt.Sprintf("%s token: %v", kind, s.err)]++
		case !slices.Contains(want, s.status):
			wrong[fmt.Sprintf("%s token: status %d, want %d", kind, s.status, want)]++
		case s.took > drillTimeout+drillMargin:
			wrong[fmt.Sprintf("%s token: an answer after more than %s", kind, drillTimeout+drillMargin)]++
		}
	}
	for what, n := range wrong {
		d.t.Errorf("%s: %d of %d requests, %s", phase, n, len(samples), what)
	}
}

func durations(samples []sample, known bool) []time.Duration {
	var all []time.Duration
	for _, s := range samples {
		if s.known == known {
			all = append(all, s.took)
		}
	}
	slices.Sort(all)
	return all
}

func count(samples []sample, known bool) int { return len(durations(samples, known)) }

func p99(samples []sample, known bool) time.Duration {
	all := durations(samples, known)
	if len(all) == 0 {
		return 0
	}
	return all[len(all)*99/100].Round(10 * time.Microsecond)
}

func slowest(samples []sample, known bool) time.Duration {
	all := durations(samples, known)
	if len(all) == 0 {
		return 0
	}
	return all[len(all)-1].Round(time.Millisecond)
}
