// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// A deadline that has passed ends no later evaluation: whatever is used again has not
// passed.
func TestADeadlineThatHasPassedIsNotUsedAgain(t *testing.T) {
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 300 {
				short := startDeadline(time.Duration(i%50) * time.Microsecond)
				for i%2 == 0 && !short.Cancelled() {
					runtime.Gosched()
				}
				short.stop()
				long := startDeadline(time.Hour)
				if long.Cancelled() {
					t.Error("a new deadline has passed already")
				}
				long.stop()
			}
		})
	}
	group.Wait()
}
