// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// The charts are of the last hour.
const (
	sampleInterval = 15 * time.Second
	samplesKept    = 240
)

// sampler keeps what the metrics of this process said in the last hour. It outlives a
// reload, which begins with a registry of its own.
type sampler struct {
	now func() time.Time

	mu      sync.Mutex
	source  prometheus.Gatherer // of the configuration that was loaded last
	before  map[string]float64  // totals at the last sample; nil: there was none
	taken   time.Time
	samples []sample // the oldest first
}

// sample is what each chart shows at a time, NaN where there was nothing to measure.
type sample struct {
	at     time.Time
	values []float64
}

// metricSamples are those of this process.
var metricSamples = &sampler{now: time.Now}

// run takes samples while a configuration is the running one.
func (s *sampler) run(ctx context.Context, source prometheus.Gatherer) {
	s.begin(source)
	ticker := time.NewTicker(sampleInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.take(source)
		case <-ctx.Done():
			return
		}
	}
}

// begin takes the first reading of a source, from which the next one differs. Pages
// of the same configuration have the same source.
func (s *sampler) begin(source prometheus.Gatherer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.source != source {
		s.source, s.before = source, totalsOf(source)
		s.taken = s.now()
	}
}

// take adds a sample, unless a later configuration or another page has done so.
func (s *sampler) take(source prometheus.Gatherer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	passed := now.Sub(s.taken)
	if s.source != source || passed < sampleInterval/2 {
		return
	}
	totals := totalsOf(source)
	delta := make(map[string]float64, len(totals))
	for name, total := range totals {
		delta[name] = total
		if before := s.before[name]; before <= total {
			delta[name] = total - before
		}
	}
	values := make([]float64, len(charts))
	for i, c := range charts {
		values[i] = c.value(reading{totals, delta, passed.Seconds()})
	}
	if len(s.samples) == samplesKept {
		s.samples = slices.Delete(s.samples, 0, 1)
	}
	s.samples = append(s.samples, sample{now, values})
	s.before, s.taken = totals, now
}

// list returns the samples, the oldest first.
func (s *sampler) list() []sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.samples)
}

// reading is what a chart makes its value of.
type reading struct {
	totals, delta map[string]float64
	seconds       float64
}

// rate is how much a total grew in a second.
func (r reading) rate(name string) float64 { return r.delta[name] / r.seconds }

// share is a part of a whole in per cent, NaN if there is nothing.
func share(part, whole float64) float64 {
	if whole == 0 {
		return math.NaN()
	}
	return 100 * part / whole
}

// mean is the mean of a histogram since the last sample in milliseconds, NaN if there
// was nothing.
func (r reading) mean(name string) float64 {
	if r.delta[name+":count"] == 0 {
		return math.NaN()
	}
	return 1000 * r.delta[name+":sum"] / r.delta[name+":count"]
}

// totalsOf adds up what a registry has, over all labels but those that a chart tells
// apart. What cannot be gathered is left out.
func totalsOf(source prometheus.Gatherer) map[string]float64 {
	totals := map[string]float64{}
	families, _ := source.Gather() // what could be gathered is returned with the error
	for _, family := range families {
		name := family.GetName()
		for _, m := range family.GetMetric() {
			switch {
			case m.GetHistogram() != nil:
				totals[name+":sum"] += m.GetHistogram().GetSampleSum()
				totals[name+":count"] += float64(m.GetHistogram().GetSampleCount())
			case name == "gluu_breaker_state":
				if m.GetGauge().GetValue() > 1 {
					totals[name+":open"]++
				}
			default:
				value := m.GetCounter().GetValue() + m.GetGauge().GetValue()
				totals[name] += value
				if label := labelOf(m, "result", "segment"); label != "" {
					totals[name+":"+label] += value
				}
			}
		}
	}
	return totals
}

func labelOf(m *dto.Metric, names ...string) string {
	for _, label := range m.GetLabel() {
		if slices.Contains(names, label.GetName()) {
			return label.GetValue()
		}
	}
	return ""
}
