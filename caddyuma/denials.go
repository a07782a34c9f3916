// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-gluu/gateway/identity"
)

// denials remembers for a moment that a permission was refused: one person, one
// rule. No grant is ever remembered here.
type denials struct {
	cache *otter.Cache[denialKey, *denial]
}

// denialKey is a session, by its name in logs, and the key of a permission.
type denialKey struct{ session, permission string }

type denial struct {
	refusal identity.Refusal
	until   time.Time
}

const (
	// denialAge is how long a denial is remembered. A permission that is granted
	// meanwhile holds after that.
	denialAge = 10 * time.Second

	rememberedDenials = 50_000
)

func newDenials() (*denials, error) {
	cache, err := otter.New(&otter.Options[denialKey, *denial]{
		MaximumSize:      rememberedDenials,
		ExpiryCalculator: otter.ExpiryWriting[denialKey, *denial](denialAge),
	})
	if err != nil {
		return nil, fmt.Errorf("denied permissions: %w", err)
	}
	return &denials{cache}, nil
}

func (d *denials) keep(key denialKey, refusal identity.Refusal, now time.Time) {
	d.cache.Set(key, &denial{refusal, now.Add(denialAge)})
}

// recall returns a refusal that still holds, nil if there is none.
func (d *denials) recall(key denialKey, now time.Time) *identity.Refusal {
	kept, ok := d.cache.GetIfPresent(key)
	if !ok || !now.Before(kept.until) {
		return nil
	}
	return new(kept.refusal)
}

func (d *denials) close() {
	d.cache.StopAllGoroutines()
	d.cache.InvalidateAll()
}

// rptCounter counts requests for RPTs of one provider by what became of them.
type rptCounter struct{ obtained, denied, needInfo, submitted, failed, unavailable prometheus.Counter }

func newRPTCounter(ctx caddy.Context, provider string) (rptCounter, error) {
	vector := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gluu_uma_rpt_total",
		Help: "Requests for requesting party tokens on behalf of people, by provider and outcome (obtained, denied, need_info, submitted, failed, unavailable).",
	}, []string{"provider", "outcome"})
	if err := ctx.GetMetricsRegistry().Register(vector); err != nil {
		already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err)
		if !ok {
			return rptCounter{}, err
		}
		if vector, ok = already.ExistingCollector.(*prometheus.CounterVec); !ok {
			return rptCounter{}, errors.New("the metric gluu_uma_rpt_total is registered already with another type")
		}
	}
	counter := func(outcome string) prometheus.Counter { return vector.WithLabelValues(provider, outcome) }
	return rptCounter{
		obtained: counter("obtained"), denied: counter("denied"), needInfo: counter("need_info"),
		submitted: counter("submitted"), failed: counter("failed"), unavailable: counter("unavailable"),
	}, nil
}
