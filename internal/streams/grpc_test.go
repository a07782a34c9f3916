// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/token"
)

// The gRPC code of a token that is over is 16: with 7 a client would give up.
func TestSec_S513_AGRPCCallEndsUnauthenticated(t *testing.T) {
	for name, sent := range map[string][]byte{
		"between messages":            message(filled(10)),
		"before the upstream answers": nil,
	} {
		t.Run(name, func(t *testing.T) {
			metrics, err := newMetrics(prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			guard := &Guard{limits: (*Config)(nil).limits(time.Hour), logger: zap.NewNop(), metrics: metrics}
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = guard.ServeHTTP(w, r, expiring(time.Hour), caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
					if sent != nil {
						w.Header().Set("Content-Type", "application/grpc")
						_, _ = w.Write(sent)
						_ = http.NewResponseController(w).Flush()
					}
					<-r.Context().Done()
					return context.Cause(r.Context())
				}))
			}))
			server.EnableHTTP2 = true
			server.StartTLS()
			t.Cleanup(server.Close)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/todos.Todos/Watch", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/grpc+proto")
			revoke := func() {
				waitFor(t, "the call", func() bool { return len(Open.List(isOf("client"))) == 1 })
				Open.EndTokens(func(_ *token.Token, raw string) bool { return raw == "raw" })
			}
			if sent == nil {
				go revoke()
			}
			answer, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if sent != nil {
				revoke()
			}
			body, err := io.ReadAll(answer.Body)
			if err != nil || !bytes.Equal(body, sent) || answer.ProtoMajor != 2 {
				t.Errorf("got %x over HTTP/%d (%v), want %x", body, answer.ProtoMajor, err, sent)
			}
			if got := answer.Trailer.Get("Grpc-Status") + " " + answer.Trailer.Get("Grpc-Message"); got != "16 token_revoked" {
				t.Errorf("got the trailers %q", got)
			}
		})
	}
}

// Browsers cannot read trailers, so that gRPC-Web has them in the body, as a last message.
// In its text form, which is base64, messages cannot be told apart: it is cut.
func TestSec_S513_AGRPCWebCallEndsUnauthenticated(t *testing.T) {
	sent := message(filled(10))
	const trailers = "\x80\x00\x00\x00\x2cgrpc-status:16\r\ngrpc-message:token_revoked\r\n"
	ended := append(slices.Clip(sent), "\x80\x00\x00\x00\x0fgrpc-status:0\r\n"...)
	for name, test := range map[string]struct {
		mediaType string
		sent      []byte
		want      string
	}{
		"binary":         {"application/grpc-web", sent, string(sent) + trailers},
		"protobuf":       {"application/grpc-web+proto", sent, string(sent) + trailers},
		"over already":   {"application/grpc-web+proto", ended, string(ended)},
		"text of base64": {"application/grpc-web-text+proto", sent, "cut"},
	} {
		t.Run(name, func(t *testing.T) {
			metrics, err := newMetrics(prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			guard := &Guard{limits: (*Config)(nil).limits(time.Hour), logger: zap.NewNop(), metrics: metrics}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = guard.ServeHTTP(w, r, expiring(time.Hour), caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
					w.Header().Set("Content-Type", test.mediaType)
					_, _ = w.Write(test.sent)
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
					return context.Cause(r.Context())
				}))
			}))
			t.Cleanup(server.Close)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/todos.Todos/Watch", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", test.mediaType)
			answer, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			waitFor(t, "the call", func() bool { return len(Open.List(isOf("client"))) == 1 })
			Open.EndTokens(func(_ *token.Token, raw string) bool { return raw == "raw" })
			body, err := io.ReadAll(answer.Body)
			got := string(body)
			if err != nil {
				got = "cut"
			}
			if got != test.want {
				t.Errorf("got %q, %v; want %q", body, err, test.want)
			}
		})
	}
}
