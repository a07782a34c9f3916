// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// samplerOf takes samples of a registry with a clock that stands still.
func samplerOf(registry *prometheus.Registry) (*sampler, func(time.Duration)) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := &sampler{now: func() time.Time { return now }}
	s.begin(registry)
	return s, func(d time.Duration) {
		now = now.Add(d)
		s.take(registry)
	}
}

func chartNamed(t *testing.T, title string) int {
	t.Helper()
	for i, c := range charts {
		if c.Title == title {
			return i
		}
	}
	t.Fatalf("no chart is called %q", title)
	return -1
}

func TestSamplesAreWhatHappenedSinceTheLast(t *testing.T) {
	registry := prometheus.NewRegistry()
	granted := prometheus.NewCounter(prometheus.CounterOpts{Name: "gluu_total_client_granted"})
	lookups := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gluu_token_cache_lookups_total"}, []string{"provider", "result"})
	took := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gluu_introspection_duration_seconds"})
	breakers := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "gluu_breaker_state"}, []string{"endpoint"})
	registry.MustRegister(granted, lookups, took, breakers)
	granted.Add(1000) // before the pages were there
	s, advance := samplerOf(registry)

	granted.Add(30)
	lookups.WithLabelValues("a", "hit").Add(2)
	lookups.WithLabelValues("b", "negative_hit").Add(1)
	lookups.WithLabelValues("b", "miss").Add(1)
	took.Observe(0.010)
	took.Observe(0.030)
	breakers.WithLabelValues("x").Set(2)
	breakers.WithLabelValues("y").Set(1)
	advance(sampleInterval)
	advance(time.Second) // another page asks a moment later
	advance(sampleInterval)

	samples := s.list()
	if len(samples) != 2 {
		t.Fatalf("got %d samples, want 2", len(samples))
	}
	for title, want := range map[string][2]float64{
		"Granted": {2, 0}, "Tokens found in memory": {75, math.NaN()}, "An introspection takes": {20, math.NaN()}, "Circuit breakers open": {1, 1},
	} {
		for i := range want {
			got := samples[i].values[chartNamed(t, title)]
			if math.Abs(got-want[i]) > 1e-9 || math.IsNaN(got) != math.IsNaN(want[i]) {
				t.Errorf("%s, sample %d: got %v, want %v", title, i, got, want[i])
			}
		}
	}
}

func TestSamplesAreBounded(t *testing.T) {
	s, advance := samplerOf(prometheus.NewRegistry())
	for range samplesKept + 50 {
		advance(sampleInterval)
	}
	if n := len(s.list()); n != samplesKept {
		t.Errorf("got %d samples, want %d", n, samplesKept)
	}
	// A configuration that was replaced adds nothing.
	s.begin(prometheus.NewRegistry())
	before := s.list()[samplesKept-1].at
	advance(sampleInterval)
	if after := s.list()[samplesKept-1].at; after != before {
		t.Error("the registry of an old configuration is still sampled")
	}
}

func TestALineHasGapsWhereNothingWasMeasured(t *testing.T) {
	var samples []sample
	for _, v := range []float64{0, 10, math.NaN(), 5} {
		values := make([]float64, len(charts))
		values[0] = v
		samples = append(samples, sample{time.Unix(0, 0), values})
	}
	d := drawingsOf(samples)[0]
	if len(d.Lines) != 2 || d.Lines[0] != "236,39.0 237,1.0 " || d.Lines[1] != "239,20.0 " || d.Now != "5" || d.Most != "10" {
		t.Errorf("got %q, now %s, at most %s", d.Lines, d.Now, d.Most)
	}
}

func TestTheChartsSayHowToAskPrometheus(t *testing.T) {
	if len(charts) != 12 {
		t.Errorf("there are %d charts, want 12", len(charts))
	}
	u := newUI(t, runApp(t))
	status, page := get(t, u, "/metrics")
	if status != http.StatusOK || strings.Count(page, "<svg class=\"line\"") != 12 || strings.Count(page, "<desc ") != 12 || !strings.Contains(page, "sum(rate(gluu_client_refused[5m]))") {
		t.Errorf("got %d %s", status, page)
	}
}
