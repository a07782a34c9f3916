// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/redistest"
	"github.com/caddy-gluu/gateway/internal/spans"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

func TestCallsAreSpansOfTheRequestThatNeedsThem(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("caddy")
	server, traceparents := newTracedServer(t)
	p := providerFor(t, introspecting(server), tokencache.Settings{})

	ctx, request := tracer.Start(context.Background(), "handler")
	for range 2 { // the second time it is in the cache
		if _, err := p.Verify(ctx, "opaque-token-0123456789"); err != nil {
			t.Fatal(err)
		}
	}
	request.End()

	ended := recorder.Ended()
	names := make([]string, len(ended))
	for i, span := range ended {
		names[i] = span.Name()
	}
	if want := []string{"gluu introspection_endpoint", "handler"}; !slices.Equal(names, want) {
		t.Fatalf("the spans are %q, want %q", names, want)
	}
	call := ended[0]
	if call.Parent().SpanID() != request.SpanContext().SpanID() || call.SpanKind() != trace.SpanKindClient {
		t.Errorf("the call's parent is %s and its kind %s, want the request %s and client",
			call.Parent().SpanID(), call.SpanKind(), request.SpanContext().SpanID())
	}
	for _, attribute := range call.Attributes() {
		if value := attribute.Value.String(); strings.Contains(value, "opaque-token") || strings.Contains(value, "s3cret") {
			t.Errorf("the span says %s=%s", attribute.Key, value)
		}
	}
	if want := call.SpanContext().SpanID().String(); !strings.Contains(traceparents()[0], want) {
		t.Errorf("the authorization server received the traceparent %q, want the span %s in it", traceparents()[0], want)
	}
}

func TestCallsWithoutTracingHaveNoSpan(t *testing.T) {
	server, traceparents := newTracedServer(t)
	p := providerFor(t, introspecting(server), tokencache.Settings{})
	if _, err := p.Verify(context.Background(), "opaque-token-0123456789"); err != nil {
		t.Fatal(err)
	}
	if got := traceparents(); len(got) != 1 || got[0] != "" {
		t.Errorf("calls with the traceparents %q, want one without", got)
	}
	ctx := context.Background()
	if got := spans.Named(ctx, "introspection_endpoint"); got != ctx {
		t.Error("a request that is not traced pays for the name of a span")
	}
}

// The fetch of keys belongs to no request, but the one that began it shows it.
func TestKeyFetchIsASpanOfTheRequestThatBeganIt(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("caddy")
	server, _ := newTracedServer(t)
	issuer := newTokenIssuer(t, server.URL, "k1")
	server.On("/jwks", issuer.serveKeys)
	p := providerFor(t, provider.Config{Issuer: server.URL, Verify: provider.VerifyJWT, JWKSURI: server.URL + "/jwks"}, tokencache.Settings{})

	ctx, request := tracer.Start(context.Background(), "handler")
	if _, err := p.Verify(ctx, issuer.sign(t, time.Now().Add(time.Hour), nil)); err != nil {
		t.Fatal(err)
	}
	request.End()
	for _, span := range recorder.Ended() {
		if span.Name() == "gluu jwks_uri" && span.Parent().SpanID() == request.SpanContext().SpanID() {
			return
		}
	}
	t.Errorf("no span of the fetch among %v", recorder.Ended())
}

// Calls to Redis for which a request waits are shown too, also when they fail.
func TestRedisCallsAreSpans(t *testing.T) {
	redis := redistest.Start(t)
	server, _ := newTracedServer(t)
	a, b := sharing(t, redis, server, 1000), sharing(t, redis, server, 2000)
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("caddy")
	var seen int
	verify := func(p *testProvider, want ...string) {
		t.Helper()
		ctx, request := tracer.Start(context.Background(), "handler")
		if _, err := p.Verify(ctx, "opaque-token-0123456789"); err != nil {
			t.Fatal(err)
		}
		request.End()
		var names []string
		for _, span := range recorder.Ended()[seen:] {
			name := span.Name()
			if span.Status().Code == codes.Error {
				name += " failed"
			}
			if names = append(names, name); name != "handler" && span.Parent().SpanID() != request.SpanContext().SpanID() {
				t.Errorf("%s: its parent is not the request", name)
			}
		}
		seen += len(names)
		if !slices.Equal(names, append(want, "handler")) {
			t.Errorf("the spans are %q, want %q", names, want)
		}
	}
	verify(a, "gluu redis get", "gluu introspection_endpoint", "gluu redis set")
	verify(a) // it is in the cache of the process
	verify(b, "gluu redis get")

	c := sharing(t, redis, server, 3000)
	defer redis.Hang()()
	verify(c, "gluu redis get failed", "gluu introspection_endpoint")
}

// newTracedServer is an authorization server to which every token is active,
// and the traceparents of the calls to it.
func newTracedServer(t *testing.T) (server *providertest.Server, traceparents func() []string) {
	var mu sync.Mutex
	var parents []string
	server = providertest.NewServer(t)
	server.On("/introspect", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		parents = append(parents, r.Header.Get("Traceparent"))
		mu.Unlock()
		providertest.Respond(providertest.Active(""))(w, r)
	})
	return server, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(parents)
	}
}
