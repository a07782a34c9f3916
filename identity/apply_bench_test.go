// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"maps"
	"net/http"
	"testing"
)

// BenchmarkApply sets fourteen headers on a request that has six, and beside that what
// would be left to save: a map that need not grow, and slices that all requests share,
// which Caddy's header operations would write to.
func BenchmarkApply(b *testing.B) {
	set := new(HeaderSet)
	shared := http.Header{}
	for i := range 14 {
		name, value := fmt.Sprintf("X-Bench-Header-%d", i), fmt.Sprintf("value %d", i)
		set.names, set.values = append(set.names, name), append(set.values, value)
		shared[name] = []string{value}
	}
	request := http.Header{
		"Accept": {"*/*"}, "Accept-Encoding": {"gzip"}, "Authorization": {"Bearer token"},
		"User-Agent": {"bench"}, "X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"},
	}
	ways := []struct {
		name  string
		size  int
		apply func(http.Header)
	}{
		{"nothing", 0, func(http.Header) {}},
		{"as it is", 0, set.Apply},
		{"map of the right size", 20, set.Apply},
		{"shared slices", 0, func(h http.Header) { maps.Copy(h, shared) }},
		{"shared slices, map of the right size", 20, func(h http.Header) { maps.Copy(h, shared) }},
	}
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h := make(http.Header, way.size)
				maps.Copy(h, request)
				way.apply(h)
			}
		})
	}
}
