// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"net/http"
	"runtime/debug"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/streams"
	"github.com/caddy-gluu/gateway/introspect"
)

// overview is what an operator sees first.
type overview struct {
	Missing   []introspect.Unready
	Providers []introspect.ProviderStatus
	Cache     introspect.CacheStatus
	Lookups   lookups
	Streams   int
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
		Streams:   len(streams.Open.List(func(streams.Info) bool { return true })),
	}
	for _, p := range o.Providers {
		o.Lookups.add(p.Lookups)
	}
	o.Gateway, o.Caddy = versions()
	return v.show(http.StatusOK, "overview", "Overview", o)
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

// versions returns those of this program's modules.
func versions() (gateway, server string) {
	simple, _ := caddy.Version()
	gateway = "(devel)"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return gateway, simple
	}
	const module = "github.com/caddy-gluu/gateway"
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path != module {
			continue
		}
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Version != "" {
			gateway = m.Version
		}
	}
	return gateway, simple
}
