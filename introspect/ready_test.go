// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"slices"
	"testing"
)

// TestAGatewayThatShutsDownIsNotReady: during shutdown_delay it serves, but a
// load balancer must not choose it.
func TestAGatewayThatShutsDownIsNotReady(t *testing.T) {
	app := mustLoad(t, t.TempDir(), `{}`)
	want := Unready{"shutdown", "the gateway is shutting down"}
	if slices.Contains(app.Unready(t.Context()), want) {
		t.Error("a running gateway says that it shuts down")
	}
	before := exiting
	t.Cleanup(func() { exiting = before })
	exiting = func() bool { return true }
	if got := app.Unready(t.Context()); !slices.Contains(got, want) {
		t.Errorf("got %v", got)
	}
}
