// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/redistest"
)

// Load of the tail.
const (
	refusalsASecond = 5000
	tailsUnderLoad  = 4       // what a session may have
	heapGrowth      = 1 << 20 // what garbage collection may leave behind
)

// loadTime is how long the tail is loaded: GLUU_TAIL_LOAD, for example 1m, or 10 seconds.
func loadTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("GLUU_TAIL_LOAD")
	if text == "" {
		return 10 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// While 5,000 requests a second are refused, pages that follow them, one of which does not
// read, keep the heap flat.
func TestATailUnderLoadKeepsTheHeapFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT TESTED: the tail under load, left out by -short")
	}
	u := newUI(t, runApp(t))
	refuse := func(n int) {
		decisions.Recent.Add(&decisions.Refused{
			RequestID: fmt.Sprintf("load-%d", n), Method: "GET", Host: "api.example.com", Path: "/" + strings.Repeat("x", 100), Status: 403, Reason: "scope_missing",
			Rule: "/??", ClientID: "loaded", Required: "todos:read", Scopes: []string{"email", "profile"}, Enough: "todos:read",
		})
	}
	for n := range decisions.Size { // all that is ever remembered
		refuse(n)
	}
	var rows, missed atomic.Int64
	var newest [tailsUnderLoad]atomic.Uint64 // that each tail has shown
	for i := range tailsUnderLoad {
		response := openTail(t, u, "client=loaded", "")
		if i == 0 {
			continue // it does not read
		}
		go func() {
			for lines := bufio.NewScanner(response.Body); lines.Scan(); {
				id, isID := strings.CutPrefix(lines.Text(), "id: ")
				switch {
				case isID:
					number, _ := strconv.ParseUint(id, 10, 64)
					newest[i].Store(number)
				case lines.Text() == "event: decision":
					rows.Add(1)
				case lines.Text() == "event: missed":
					missed.Add(1)
				}
			}
		}()
	}
	// heapAtRest is what is in use when the tails have shown all. What they allocate
	// while a collection runs would count too, which is megabytes where it is slow.
	heapAtRest := func() uint64 {
		last := decisions.Recent.List(decisions.Filter{}, 1)[0].Number
		for i := 1; i < tailsUnderLoad; i++ {
			redistest.Eventually(t, "a tail shows the last refusal", func() bool { return newest[i].Load() == last })
		}
		return heap()
	}
	whole := loadTime(t)
	refused := refuseAtRate(refuse, whole/4) // buffers are grown then
	before := heapAtRest()
	refused += refuseAtRate(refuse, whole-whole/4)
	after := heapAtRest()
	t.Logf("%d refusals in %s: %d rows were read, %d times some were left out; heap %d KiB before, %d KiB after", refused, whole, rows.Load(), missed.Load(), before>>10, after>>10)
	if grown := int64(after) - int64(before); grown > heapGrowth {
		t.Errorf("the heap has grown by %d KiB", grown>>10)
	}
	if rows.Load() == 0 {
		t.Error("no tail has shown anything")
	}
}

// refuseAtRate refuses for a while, and returns how much.
func refuseAtRate(refuse func(n int), d time.Duration) (n int) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for start := time.Now(); time.Since(start) < d; <-ticker.C {
		for due := int(time.Since(start).Seconds() * refusalsASecond); n < due; n++ {
			refuse(n)
		}
	}
	return n
}

// heap is what is in use after a garbage collection.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
