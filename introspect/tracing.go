// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Where Caddy's `tracing` is on, each call to an authorization server or to
// Redis is a span below that of the request that made it necessary. Caddy keeps its tracer
// provider to itself; a request's span leads to it. So what a request does not
// cause (discovery, registration, renewals) has no span, and where tracing is
// off nothing is done for it.

// traced is a transport whose calls are spans.
type traced struct {
	plain *http.Transport
	spans http.RoundTripper
}

func newTraced(plain *http.Transport) *traced {
	return &traced{plain, otelhttp.NewTransport(plain,
		otelhttp.WithSpanNameFormatter(spanName),
		// The authorization server may go on with the trace. Baggage stays
		// here: a client fills it, and it is none of that server's business.
		otelhttp.WithPropagators(propagation.TraceContext{}),
	)}
}

// RoundTrip implements http.RoundTripper.
func (t *traced) RoundTrip(r *http.Request) (*http.Response, error) {
	if !trace.SpanContextFromContext(r.Context()).IsValid() {
		return t.plain.RoundTrip(r)
	}
	return t.spans.RoundTrip(r)
}

// CloseIdleConnections is called by the method of that name of http.Client.
func (t *traced) CloseIdleConnections() { t.plain.CloseIdleConnections() }

type endpointKey struct{}

// namingSpan says what a call is for, if anybody will see it: an address alone
// does not tell an introspection from a revocation.
func namingSpan(ctx context.Context, endpoint string) context.Context {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	return context.WithValue(ctx, endpointKey{}, endpoint)
}

func spanName(_ string, r *http.Request) string {
	if endpoint, ok := r.Context().Value(endpointKey{}).(string); ok {
		return "gluu " + endpoint
	}
	return "gluu " + r.Method
}

// spanOf begins the span of a call that is none by HTTP. The call is over when
// the function is called that it returns.
func spanOf(ctx context.Context, call string) (context.Context, func(error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(error) {}
	}
	ctx, span := parent.TracerProvider().Tracer("github.com/caddy-gluu/gateway/introspect").
		Start(ctx, "gluu "+call, trace.WithSpanKind(trace.SpanKindClient))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// onBehalfOf returns a context that ends when ctx does, for work that belongs
// to nobody but is to be seen below the span of the request that began it.
func onBehalfOf(request, ctx context.Context) context.Context {
	if span := trace.SpanFromContext(request); span.SpanContext().IsValid() {
		return trace.ContextWithSpan(ctx, span)
	}
	return ctx
}
