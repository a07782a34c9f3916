// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"
)

// What a request pays that is not a stream.
func BenchmarkOrdinaryRequest(b *testing.B) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for name, value := range map[string]string{
		"Accept": "application/json, text/plain, */*", "Content-Type": "application/json", "User-Agent": "x", "Authorization": "Bearer x",
	} {
		r.Header.Set(name, value)
	}
	b.ReportAllocs()
	for b.Loop() {
		if IsStream(r) {
			b.Fatal("taken for a stream")
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
