// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"net/http"
	"slices"
	"time"

	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/streams"
	"github.com/caddy-gluu/gateway/internal/version"
	"github.com/caddy-gluu/gateway/introspect"
)

// overview is what an operator sees first.
type overview struct {
	Minute    decisions.Counts // the last minute, and the one under way
	Hour      decisions.Counts
	Bars      []bar // the last hour, the oldest first
	Missing   []introspect.Unready
	Providers []introspect.ProviderStatus
	Cache     introspect.CacheStatus
	Lookups   lookups
	Streams   int
	Granted   uint64 // in the last minute
	Policies  []introspect.PolicyStatus
	Warnings  []introspect.Warning
	Open      int    // sites with content that is not protected
	Store     string // its engine
	Gateway   string // versions
	Caddy     string
}

// lookups are how tokens were found, in all.
type lookups struct{ Cached, Total uint64 }

// Share is the part of the look-ups that the cache answered, in per cent.
func (l lookups) Share() int {
	if l.Total == 0 {
		return 0
	}
	return int(l.Cached * 100 / l.Total)
}

func showOverview(v *visit) error {
	o := overview{
		Missing:   v.app.Unready(v.r.Context()),
		Providers: v.app.ProviderStatuses(),
		Cache:     v.app.CacheStatus(),
		Streams:   streams.Open.Len(),
		Granted:   v.app.Overview(v.r.Context()).Requests.Granted,
		Policies:  v.app.PolicyStatuses(),
		Warnings:  v.app.Warnings(),
		Open:      v.unprotectedSites(),
		Store:     v.app.StoreEngine(),
	}
	o.Minute, o.Hour = decisions.Recent.Last(intervals(time.Minute)), decisions.Recent.Last(intervals(time.Hour))
	o.Hour.Reasons = o.Hour.Reasons[:min(len(o.Hour.Reasons), topReasons)]
	o.Bars = barsOf(decisions.Recent.History())
	for _, p := range o.Providers {
		o.Lookups.add(p.Lookups)
	}
	built := version.Read()
	o.Gateway, o.Caddy = built.Gateway, built.Caddy
	return v.show(http.StatusOK, "overview", "Overview", o)
}

// unprotectedSites counts the sites on which a request may reach content without a
// decision. There is none as long as the routes are not known.
func (v *visit) unprotectedSites() (n int) {
	found, err := v.app.Routes()
	if err != nil {
		return 0
	}
	for _, server := range found.Servers {
		for _, site := range server.Sites {
			if site.Unprotected {
				n++
			}
		}
	}
	return n
}

// topReasons is how many reasons the overview names.
const topReasons = 5

func intervals(d time.Duration) int { return int(d / decisions.Interval) }

// bar is a minute of the chart, in its units.
type bar struct{ X, Y, Height int }

// The chart has 60 bars of 10 units, and is 60 units high.
const (
	barWidth    = 10
	chartHeight = 60
)

// barsOf adds up the refusals of each minute. The minute with the most is nearly as
// high as the chart.
func barsOf(history []decisions.Counts) (bars []bar) {
	perMinute := intervals(time.Minute)
	var refused []uint64
	for i, c := range history {
		if i%perMinute == 0 {
			refused = append(refused, 0)
		}
		refused[len(refused)-1] += c.Refused
	}
	most := slices.Max(append(refused, 1))
	for i, n := range refused {
		if height := scaled(n, most); height > 0 {
			bars = append(bars, bar{X: i * barWidth, Y: chartHeight - height, Height: height})
		}
	}
	return bars
}

// scaled is a part of the height. What happened at all is seen.
func scaled(n, most uint64) int {
	if n == 0 {
		return 0
	}
	return max(int(n*(chartHeight-2)/most), 1)
}

// add counts the look-ups of a provider. Each has an outcome; a hit is an answer
// from memory.
func (l *lookups) add(byOutcome map[string]uint64) {
	for outcome, n := range byOutcome {
		l.Total += n
		if outcome == "hit" || outcome == "negative_hit" {
			l.Cached += n
		}
	}
}

// lookupText is the outcome of a look-up for people.
func lookupText(outcome string) string {
	switch outcome {
	case "hit":
		return "verified, from memory"
	case "negative_hit":
		return "refused, from memory"
	case "stale":
		return "from memory because the server was unavailable"
	case "miss":
		return "verified anew"
	}
	return outcome
}
