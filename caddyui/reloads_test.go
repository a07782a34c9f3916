// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"time"
)

// The page reloads the gateway that serves it, as often as someone likes.
func TestSec_S416_S417_AHundredReloadsFromThePage(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT TESTED: a hundred reloads from the page, left out by -short")
	}
	s := startEditSite(t)
	b := s.open()
	var before int
	var memory runtime.MemStats
	for i := range 100 {
		if i == 10 {
			settle(t)
			before = runtime.NumGoroutine()
			runtime.ReadMemStats(&memory)
		}
		b.load(fmt.Sprintf(`"body": %q`, s.answer()), fmt.Sprintf(`"body": "load %d"`, i))
		if status, page := b.confirm(); status != http.StatusSeeOther {
			t.Fatalf("load %d: got %d %s", i, status, page)
		}
		if got := s.answer(); got != fmt.Sprintf("load %d", i) {
			t.Fatalf("load %d: the site answers %q", i, got)
		}
	}
	settle(t)
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	if n := runtime.NumGoroutine(); n > before+20 {
		t.Errorf("%d goroutines, %d after ten loads", n, before)
	}
	if grown := int64(after.HeapAlloc) - int64(memory.HeapAlloc); grown > 20<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if n := len(histories.byDir); n == 0 {
		t.Error("there is no history")
	}
}

// settle waits until the former configurations have ended.
func settle(t *testing.T) {
	t.Helper()
	for last, deadline := runtime.NumGoroutine(), time.Now().Add(10*time.Second); time.Now().Before(deadline); {
		time.Sleep(300 * time.Millisecond)
		runtime.GC()
		now := runtime.NumGoroutine()
		if now == last {
			return
		}
		last = now
	}
}
