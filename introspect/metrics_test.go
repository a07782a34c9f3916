// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
)

// scrape reads the running configuration's metrics of one provider.
func scrape(t *testing.T, provider string) map[string]float64 {
	t.Helper()
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "gluu_") {
			continue
		}
		for _, metric := range family.GetMetric() {
			name := strings.TrimPrefix(family.GetName(), "gluu_")
			ours := true
			for _, label := range metric.GetLabel() {
				if label.GetName() == "provider" {
					ours = label.GetValue() == provider
					continue
				}
				name += " " + label.GetValue()
			}
			if !ours {
				continue
			}
			switch {
			case metric.GetCounter() != nil:
				values[name] = metric.GetCounter().GetValue()
			case metric.GetGauge() != nil:
				values[name] = metric.GetGauge().GetValue()
			case metric.GetHistogram() != nil:
				values[name] = float64(metric.GetHistogram().GetSampleCount())
			}
		}
	}
	return values
}

func TestMetrics(t *testing.T) {
	server := providertest.NewServer(t)
	dir := t.TempDir()
	config := fmt.Sprintf(`{"providers": {"measured": %s}}`, providerJSON(introspecting(server)))
	app := mustLoad(t, dir, config)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	for range 3 {
		_, _ = verify(t, app, "measured", "good")
	}
	server.On("/introspect", providertest.Respond(`{"active":false}`))
	for range 4 {
		_, _ = verify(t, app, "measured", "bad")
	}
	server.On("/introspect", providertest.RespondWith(500, "text/plain", ""))
	for i := range provider.BreakerFailures {
		_, _ = verify(t, app, "measured", fmt.Sprint("unlucky-", i))
	}
	want := map[string]float64{
		"introspection_duration_seconds active":   1,
		"introspection_duration_seconds inactive": 1,
		"introspection_duration_seconds error":    provider.BreakerFailures,
		"token_cache_lookups_total hit":           2,
		"token_cache_lookups_total negative_hit":  3,
		"token_cache_lookups_total miss":          2 + provider.BreakerFailures,
		"token_cache_entries positive":            1,
		"token_cache_entries negative":            1,
		"breaker_state introspection_endpoint":    2,
	}
	check := func() {
		t.Helper()
		got := scrape(t, "measured")
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%s: got %v, want %v", name, got[name], value)
			}
		}
	}
	check()
	// A reload neither panics nor begins to count anew.
	mustLoad(t, dir, config)
	check()
}

// S-78: what clients send makes no series.
func TestSec_S78_SeriesAreBounded(t *testing.T) {
	server := providertest.NewServer(t)
	app := mustLoad(t, t.TempDir(), fmt.Sprintf(`{"providers": {"bounded": %s}}`, providerJSON(introspecting(server))))
	_, _ = verify(t, app, "bounded", "token")
	before := len(scrape(t, "bounded"))
	for i := range 1000 {
		_, _ = verify(t, app, "bounded", fmt.Sprint("token-", i))
	}
	if after := len(scrape(t, "bounded")); after != before {
		t.Errorf("%d series became %d", before, after)
	}
}

// The state of a breaker is gone with the last server of its name, also if a
// request outlasts that. Breakers of others stay.
func TestBreakersOfProvidersThatAreGone(t *testing.T) {
	const state = "breaker_state introspection_endpoint"
	server := providertest.NewServer(t)
	dir := t.TempDir()
	load := func(name, secret string) *App {
		config := introspecting(server)
		config.ClientSecret = secret
		return mustLoad(t, dir, fmt.Sprintf(`{"providers": {%q: %s}}`, name, providerJSON(config)))
	}
	gone := load("gone", "one")
	_, _ = verify(t, gone, "gone", "token")
	gone = load("gone", "two")
	if _, shown := scrape(t, "gone")[state]; !shown {
		t.Error("the namesake of a provider that is gone has lost its breaker")
	}
	load("left", "one")
	_, _ = verify(t, gone, "gone", "token of a request that outlasts its configuration")
	_, _ = verify(t, Running(), "left", "token")
	if _, shown := scrape(t, "gone")[state]; shown {
		t.Error("a provider that is gone still has a breaker")
	}
	if _, shown := scrape(t, "left")[state]; !shown {
		t.Error("the provider that there is has no breaker")
	}
}
