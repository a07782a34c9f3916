// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
)

const alertsFile = sources + "/examples/metrics/alerts.yml"

// alerts reads the rules as promtool does, and returns them by name.
func alerts(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(alertsFile, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil {
		t.FailNow()
	}
	rules := map[string]rulefmt.Rule{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			rules[rule.Alert] = rule
		}
	}
	return rules
}

// metricName is a metric of the gateway in an expression or a page.
var metricName = regexp.MustCompile(`\bgluu_[a-z_]+\b`)

// documented returns the metrics of docs/records.md.
func documented(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for line := range strings.Lines(string(read(t, sources+"/docs/records.md"))) {
		if cell, found := strings.CutPrefix(line, "| `gluu_"); found {
			name, _, _ := strings.Cut(cell, "`")
			names["gluu_"+name] = true
		}
	}
	return names
}

// checkNames reports metrics that the gateway does not have.
func checkNames(t *testing.T, where, expression string, known map[string]bool) {
	t.Helper()
	for _, name := range metricName.FindAllString(expression, -1) {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if !known[name] && !known[base] {
			t.Errorf("%s asks for %s, which the gateway does not have", where, name)
		}
	}
}

func TestAlertsAskForMetricsThatExist(t *testing.T) {
	known := documented(t)
	for name, rule := range alerts(t) {
		checkNames(t, name, rule.Expr, known)
		if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
			t.Errorf("%s has no severity, summary or description", name)
		}
	}
}

// TestAlertsFire evaluates each rule over samples of an hour and a half: in the
// one case it must find something, in the other nothing.
func TestAlertsFire(t *testing.T) {
	cases := map[string]struct{ bad, good string }{
		"GluuAuthorizationServerUnavailable": {`gluu_breaker_state{provider="p"} 2x90`, `gluu_breaker_state{provider="p"} 1x90`},
		"GluuCredentialsRefused": {`gluu_client_refused{reason="provider_unavailable",instance="a"} 0+1x90`,
			"gluu_client_refused{reason=\"provider_unavailable\",instance=\"a\"} 0+1x90\n gluu_breaker_state{instance=\"a\"} 2x90"},
		"GluuPepWithoutAuthentication": {`gluu_client_refused{reason="not_authenticated"} 0+1x90`, `gluu_client_refused{reason="no_token"} 0+1x90`},
		"GluuUnknownConsumers":         {`gluu_client_refused{reason="unknown_consumer"} 0+60x90`, `gluu_client_refused{reason="unknown_consumer"} 0+1x90`},
		"GluuTokenFlood":               {`gluu_client_refused{reason="token_limit"} 0+1x90`, `gluu_client_refused{reason="token_limit"} 7x90`},
		"GluuRefusalsRise":             {`gluu_client_refused 0+6x70 420+6000x20`, `gluu_client_refused 0+600x90`},
		"GluuRedisUnavailable":         {`gluu_shared_cache_up 0x90`, `gluu_shared_cache_up 1x90`},
		"GluuKeysCannotBeFetched": {`gluu_key_fetches_total{result="error"} 0+1x90`,
			"gluu_key_fetches_total{result=\"error\"} 0+1x90\n gluu_key_fetches_total{result=\"ok\"} 0+1x90"},
		"GluuIntrospectionSlow": {
			"gluu_introspection_duration_seconds_bucket{le=\"1\"} 0+1x90\n gluu_introspection_duration_seconds_bucket{le=\"5\"} 0+10x90\n gluu_introspection_duration_seconds_bucket{le=\"+Inf\"} 0+10x90",
			"gluu_introspection_duration_seconds_bucket{le=\"1\"} 0+10x90\n gluu_introspection_duration_seconds_bucket{le=\"5\"} 0+10x90\n gluu_introspection_duration_seconds_bucket{le=\"+Inf\"} 0+10x90"},
		"GluuSessionStoreUnavailable": {`gluu_session_lookups_total{result="away"} 0+1x90`, `gluu_session_lookups_total{result="miss"} 0+1x90`},
		"GluuPolicyBundleOld":         {`gluu_opa_policy_age_seconds 0+60x90`, `gluu_opa_policy_age_seconds 30x90`},
		"GluuDecisionsDropped":        {`gluu_opa_decisions_dropped 0+1x90`, `gluu_opa_decisions_dropped 5x90`},
	}
	for name, rule := range alerts(t) {
		t.Run(name, func(t *testing.T) {
			test, ok := cases[name]
			if !ok {
				t.Fatal("the alert has no samples here")
			}
			expression := strings.Join(strings.Fields(rule.Expr), " ")
			for samples, want := range map[string]int{test.bad: 1, test.good: 0} {
				engine := promqltest.NewTestEngine(t, false, 5*time.Minute, 100000)
				promqltest.RunTest(t, fmt.Sprintf("load 1m\n %s\n\neval instant at 80m count(%s) or vector(0)\n {} %d\n", samples, expression, want), engine)
			}
		})
	}
}

// TestTheDashboard reads every query in it.
func TestTheDashboard(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(sources, "examples", "metrics", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard any
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatal(err)
	}
	known, queries := documented(t), 0
	var walk func(any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, child := range node {
				walk(child)
			}
		case map[string]any:
			if expression, ok := node["expr"].(string); ok {
				queries++
				// Grafana replaces its variables first.
				expression = strings.NewReplacer("$__rate_interval", "5m", "$__interval", "1m", "$__range", "1h").Replace(expression)
				if _, err := parser.NewParser(parser.Options{}).ParseExpr(expression); err != nil {
					t.Errorf("%s: %v", expression, err)
				}
				checkNames(t, "the dashboard", expression, known)
			}
			for _, child := range node {
				walk(child)
			}
		}
	}
	walk(dashboard)
	if queries == 0 {
		t.Error("the dashboard has no query")
	}
}
