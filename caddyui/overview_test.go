// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/decisions"
)

func TestTheChartOfTheLastHour(t *testing.T) {
	history := make([]decisions.Counts, 4*intervals(time.Minute)) // four minutes
	history[0].Refused = 1
	history[6].Refused, history[11].Refused = 500, 500
	history[len(history)-1].Refused = 250
	want := []bar{{X: 0, Y: 59, Height: 1}, {X: 10, Y: 2, Height: 58}, {X: 30, Y: 46, Height: 14}}
	if got := barsOf(history); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := barsOf(make([]decisions.Counts, 60)); len(got) != 0 {
		t.Errorf("an hour without refusals: got %v", got)
	}
}
