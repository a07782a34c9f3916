// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// chart is one of the charts: what it shows, and how Prometheus is asked for the same.
type chart struct {
	Title, Unit, Query string
	value              func(r reading) float64
}

// charts are in the order in which one looks at them.
var charts = []chart{
	{"Granted", "a second", "sum(rate(gluu_total_client_granted[5m]))", func(r reading) float64 { return r.rate("gluu_total_client_granted") }},
	{"Refused", "a second", "sum(rate(gluu_client_refused[5m]))", func(r reading) float64 { return r.rate("gluu_client_refused") }},
	{"Rate limited", "a second", "sum(rate(gluu_rate_limited_requests_total[5m]))", func(r reading) float64 { return r.rate("gluu_rate_limited_requests_total") }},
	{"Tokens found in memory", "%", `100 * sum(rate(gluu_token_cache_lookups_total{result=~"hit|negative_hit"}[5m])) / sum(rate(gluu_token_cache_lookups_total[5m]))`, func(r reading) float64 {
		return share(r.delta["gluu_token_cache_lookups_total:hit"]+r.delta["gluu_token_cache_lookups_total:negative_hit"], r.delta["gluu_token_cache_lookups_total"])
	}},
	{"Tokens in memory", "", `sum(gluu_token_cache_entries{segment="positive"})`, func(r reading) float64 { return r.totals["gluu_token_cache_entries:positive"] }},
	{"Introspections", "a second", "sum(rate(gluu_introspection_duration_seconds_count[5m]))", func(r reading) float64 { return r.rate("gluu_introspection_duration_seconds:count") }},
	{"An introspection takes", "ms", "1000 * sum(rate(gluu_introspection_duration_seconds_sum[5m])) / sum(rate(gluu_introspection_duration_seconds_count[5m]))", func(r reading) float64 { return r.mean("gluu_introspection_duration_seconds") }},
	{"Circuit breakers open", "", "count(gluu_breaker_state == 2) or vector(0)", func(r reading) float64 { return r.totals["gluu_breaker_state:open"] }},
	{"Keys that could not be fetched", "a second", `sum(rate(gluu_key_fetches_total{result="error"}[5m]))`, func(r reading) float64 { return r.rate("gluu_key_fetches_total:error") }},
	{"Sessions in memory", "", "sum(gluu_sessions)", func(r reading) float64 { return r.totals["gluu_sessions"] }},
	{"Open streams", "", "sum(gluu_streams_open)", func(r reading) float64 { return r.totals["gluu_streams_open"] }},
	{"A decision of OPA takes", "ms", "1000 * sum(rate(gluu_opa_evaluation_seconds_sum[5m])) / sum(rate(gluu_opa_evaluation_seconds_count[5m]))", func(r reading) float64 { return r.mean("gluu_opa_evaluation_seconds") }},
}

// drawing is a chart with its line.
type drawing struct {
	chart
	ID     string
	Now    string // the newest value
	Most   string // the top of the chart
	Lines  []string
	Points []point
}

// point is a value of the table beneath a chart.
type point struct {
	Time  time.Time
	Value string
}

// The line is drawn in these units.
const (
	lineWidth  = samplesKept - 1
	lineHeight = 40
)

// tableStep is how many samples there are from one row of a table to the next: five
// minutes.
const tableStep = int(5 * time.Minute / sampleInterval)

func showMetrics(v *visit) error {
	return v.show(http.StatusOK, "metrics", "Metrics", drawingsOf(metricSamples.list()))
}

func drawingsOf(samples []sample) []drawing {
	list := make([]drawing, len(charts))
	for i, c := range charts {
		d := drawing{chart: c, ID: "chart-" + strconv.Itoa(i), Now: "–", Most: "–"}
		d.draw(samples, i)
		list[i] = d
	}
	return list
}

// draw draws the values of a chart, the newest one at the right edge. Where nothing
// was measured, the line has a gap.
func (d *drawing) draw(samples []sample, chart int) {
	most := 0.0
	for _, s := range samples {
		if v := s.values[chart]; !math.IsNaN(v) {
			most = max(most, v)
		}
	}
	if most > 0 {
		d.Most = figure(most)
	}
	var line strings.Builder
	finish := func() {
		if line.Len() > 0 {
			d.Lines = append(d.Lines, line.String())
			line.Reset()
		}
	}
	for i, s := range samples {
		v := s.values[chart]
		if fromEnd := len(samples) - 1 - i; fromEnd%tableStep == 0 {
			d.Points = append(d.Points, point{s.at, figure(v)})
		}
		if math.IsNaN(v) {
			finish()
			continue
		}
		y := float64(lineHeight - 1)
		if most > 0 {
			y -= v / most * (lineHeight - 2)
		}
		fmt.Fprintf(&line, "%d,%.1f ", lineWidth-(len(samples)-1-i), y)
	}
	finish()
	if n := len(samples); n > 0 {
		d.Now = figure(samples[n-1].values[chart])
	}
}

// figure writes a value with as many digits as one reads.
func figure(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v >= 100 || v == math.Trunc(v):
		return groupDigits(int(math.Round(v)))
	case v >= 1:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}
