// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"net/http"
	"net/http/httptest"
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

// What an open stream takes in memory, beside what a proxy takes for it.
func BenchmarkOpenStream(b *testing.B) {
	r := NewRegister()
	l := (*Config)(nil).limits(time.Hour)
	caller := expiring(time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		r.begin(EventStream, requestInfo{}, caller, &l, nil).arm(EventStream, nil)
	}
}
