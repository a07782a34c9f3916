// SPDX-License-Identifier: Apache-2.0

package collected

import (
	"slices"
	"sync"
	"testing"
)

// Requests build the form and read it while handlers of other sites are still
// being provisioned.
func TestItemsUnderConcurrentUse(t *testing.T) {
	var c Items[int, int]
	count := func(items []int) int { return len(items) }
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				before := c.Get(count)
				c.Add(i)
				if after := c.Get(count); after <= before {
					t.Errorf("got %d items after %d and one more", after, before)
				}
			}
		})
	}
	wg.Wait()
	if got := c.Get(count); got != 800 {
		t.Errorf("got %d items, want 800", got)
	}
}

func BenchmarkGet(b *testing.B) {
	var c Items[string, []string]
	c.Add("b", "a")
	b.ReportAllocs()
	for b.Loop() {
		c.Get(sorted)
	}
}

func sorted(items []string) []string {
	slices.Sort(items)
	return items
}
