// SPDX-License-Identifier: Apache-2.0

// Package spans shows calls to other servers in traces. Where Caddy's `tracing`
// is on, each call is a span below that of the request that made it necessary.
//
// Caddy keeps its tracer provider to itself, but the span of a request leads to
// it. So what no request causes (discovery, registration, renewals) has no span,
// and where tracing is off, nothing is done for it:
//
//	client := &http.Client{Transport: spans.Transport(transport)}
//	req, err := http.NewRequestWithContext(spans.Named(ctx, "token_endpoint"), ...)
//
//	ctx, end := spans.Start(ctx, "redis get") // a call that is not HTTP
//	end(call(ctx))
package spans

import (
	"context"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Transport returns a transport whose calls are spans.
func Transport(plain *http.Transport) http.RoundTripper {
	return &transport{plain, otelhttp.NewTransport(plain,
		otelhttp.WithSpanNameFormatter(spanName),
		// The other server may continue the trace. Baggage stays here: a
		// client fills it, and it does not concern that server.
		otelhttp.WithPropagators(propagation.TraceContext{}),
	)}
}

type transport struct {
	plain *http.Transport
	spans http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !trace.SpanContextFromContext(r.Context()).IsValid() {
		return t.plain.RoundTrip(r)
	}
	return t.spans.RoundTrip(r)
}

// CloseIdleConnections is called by the method of that name of http.Client.
func (t *transport) CloseIdleConnections() { t.plain.CloseIdleConnections() }

type nameKey struct{}

// Named names the span of the HTTP call that the context is for, if it will
// have one: an address alone does not tell an introspection from a revocation.
func Named(ctx context.Context, endpoint string) context.Context {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	return context.WithValue(ctx, nameKey{}, endpoint)
}

func spanName(_ string, r *http.Request) string {
	if endpoint, ok := r.Context().Value(nameKey{}).(string); ok {
		return "gluu " + endpoint
	}
	return "gluu " + r.Method
}

// scope is the name of the spans' instrumentation.
const scope = "github.com/caddy-gluu/gateway"

// Start starts a span for a non-HTTP call; call the returned function to end
// it.
func Start(ctx context.Context, call string) (context.Context, func(error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(error) {}
	}
	ctx, span := parent.TracerProvider().Tracer(scope).
		Start(ctx, "gluu "+call, trace.WithSpanKind(trace.SpanKindClient))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// OnBehalfOf returns a context that ends when ctx does, for work that several
// requests wait for, but that is shown below the span of the request that
// started it.
func OnBehalfOf(request, ctx context.Context) context.Context {
	if span := trace.SpanFromContext(request); span.SpanContext().IsValid() {
		return trace.ContextWithSpan(ctx, span)
	}
	return ctx
}
