// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// ordinary are requests that are not streams, by who sends them.
func ordinary() map[string]*http.Request {
	requests := map[string]*http.Request{}
	for name, accept := range map[string]string{
		"program": "application/json, text/plain, */*",
		"browser": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header = http.Header{"Accept": {accept}, "Content-Type": {"application/json"}, "User-Agent": {"x"}, "Authorization": {"Bearer x"}}
		requests[name] = r
	}
	return requests
}

// What a request pays that is not a stream: 150 ns at most.
func BenchmarkOrdinaryRequest(b *testing.B) {
	for name, r := range ordinary() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if IsStream(r) {
					b.Fatal("taken for a stream")
				}
			}
		})
	}
}

func TestAnOrdinaryRequestAllocatesNothing(t *testing.T) {
	g := new(Guard)
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	for name, r := range ordinary() {
		var w http.ResponseWriter = httptest.NewRecorder()
		caller := Caller{Raw: "raw", ConsumerID: "c", Consumer: "todo-app"}
		if n := testing.AllocsPerRun(100, func() { _ = g.ServeHTTP(w, r, caller, next) }); n != 0 {
			t.Errorf("%s: %.0f allocations, want none", name, n)
		}
	}
}

// mostPerStream is what an open stream may take, in bytes: its entries in the lists
// of the register included, which grow ahead of what they hold.
const mostPerStream = 300

func TestAStreamIsSmall(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("counts memory, which measuring the coverage takes also")
	}
	const count = 10_000
	r := NewRegister()
	l := (*Config)(nil).limits(time.Hour)
	caller := expiring(time.Hour)
	request := requestInfo{place: place{"443", http.MethodGet, "api.example.com", true}, target: "/events", clientIP: "192.0.2.1"}
	caller.ConsumerID, caller.Consumer, caller.Provider = "c", "todo-app", "main"
	ending := endFunc(func(Reason) {})
	before := heapInUse()
	for range count {
		r.begin(EventStream, request, caller, &l, nil).arm(EventStream, ending)
	}
	each := (heapInUse() - before) / count
	runtime.KeepAlive(r)
	t.Logf("%d bytes a stream", each)
	if each > mostPerStream {
		t.Errorf("a stream takes %d bytes, want at most %d", each, mostPerStream)
	}
}

// heapInUse is what is reachable.
func heapInUse() int {
	runtime.GC()
	runtime.GC() // what the first has made unreachable, by finalizers
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc) //nolint:gosec // far below its limits
}

// What an open stream takes in memory, beside what a proxy takes for it.
func BenchmarkOpenStream(b *testing.B) {
	r := NewRegister()
	l := (*Config)(nil).limits(time.Hour)
	caller := expiring(time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		r.begin(EventStream, requestInfo{}, caller, &l, nil).arm(EventStream, endFunc(func(Reason) {}))
	}
}
