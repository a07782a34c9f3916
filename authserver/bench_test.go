// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// What a request costs that is not for the server: every request to an API on
// the same site pays it.
func BenchmarkPassOn(b *testing.B) {
	server := start(b, testConfig(), b.TempDir())
	request := httptest.NewRequest(http.MethodGet, "/api/todos/42", nil)
	recorder := httptest.NewRecorder()
	next := nextFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	b.ReportAllocs()
	for b.Loop() {
		if err := server.ServeHTTP(recorder, request, next); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIntrospect(b *testing.B) {
	for _, client := range []string{"app", "jwt-app"} {
		b.Run(client, func(b *testing.B) {
			server := start(b, testConfig(), b.TempDir())
			form := url.Values{"token": {server.token(client)}}
			b.ReportAllocs()
			for b.Loop() {
				if a := server.post(introspectEndpoint, "gateway", form); a.body["active"] != true {
					b.Fatal(a.text)
				}
			}
		})
	}
}

// Issuing an opaque token writes it to disk; concurrent requests share a write.
func BenchmarkIssue(b *testing.B) {
	for _, client := range []string{"app", "jwt-app"} {
		b.Run(client, func(b *testing.B) {
			server := start(b, testConfig(), b.TempDir())
			form := url.Values{"grant_type": {"client_credentials"}}
			server.token(client)
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if a := server.post(tokenEndpoint, client, form); a.Code != http.StatusOK && a.Code != http.StatusTooManyRequests {
						b.Error(a.text)
					}
				}
			})
		})
	}
}
