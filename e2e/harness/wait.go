// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"testing"
	"time"
)

// Eventually calls check until it returns "". If that takes longer than within,
// it fails the test with the last problem.
func Eventually(t testing.TB, within time.Duration, check func() (problem string)) {
	t.Helper()
	if problem := eventually(within, check); problem != "" {
		t.Fatalf("still after %s: %s", within, problem)
	}
}

func eventually(within time.Duration, check func() string) string {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		problem := check()
		if problem == "" {
			return ""
		}
		select {
		case <-ticker.C:
		case <-deadline.C:
			return problem
		}
	}
}
