// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// Guard ends the streams that come in through one handler.
type Guard struct {
	limits  limits
	logger  *zap.Logger
	metrics *metrics
}

// NewGuard returns the guard of a handler that is being provisioned.
// cacheMaxAge is how long the authorization server's answers are used.
func NewGuard(ctx caddy.Context, config *Config, cacheMaxAge time.Duration) (*Guard, error) {
	metrics, err := newMetrics(ctx.GetMetricsRegistry())
	if err != nil {
		return nil, err
	}
	return &Guard{limits: config.limits(cacheMaxAge), logger: ctx.Logger(), metrics: metrics}, nil
}

// protocolOf reports what a request may become a stream of, "" if it is a
// request like any other. It looks at the request alone: looking at every answer
// would cost every request.
func protocolOf(r *http.Request) Protocol {
	if len(r.Header["Upgrade"]) > 0 {
		return WebSocket
	}
	if r.Method == http.MethodConnect {
		return Other
	}
	if slices.ContainsFunc(r.Header["Accept"], hasEventStream) {
		return EventStream
	}
	if types := r.Header["Content-Type"]; len(types) == 1 {
		return callOf(types[0])
	}
	return ""
}

// callOf tells the media types of gRPC and gRPC-Web from all others.
func callOf(mediaType string) Protocol {
	const name, web = "application/grpc", "-web"
	if len(mediaType) < len(name) || !strings.EqualFold(mediaType[:len(name)], name) {
		return ""
	}
	switch rest := mediaType[len(name):]; {
	case rest == "" || rest[0] == '+' || rest[0] == ';' || rest[0] == ' ':
		return GRPC
	case len(rest) >= len(web) && strings.EqualFold(rest[:len(web)], web):
		return GRPCWeb
	}
	return ""
}

// hasEventStream reports whether a list of media types contains text/event-stream,
// whatever its case. It looks for the hyphen, which few types have: the lists of browsers
// are long, and most requests have one.
func hasEventStream(list string) bool {
	const name, hyphen = "text/event-stream", len("text/event")
	for from := 0; ; {
		i := strings.IndexByte(list[from:], '-')
		if i < 0 {
			return false
		}
		at := from + i - hyphen
		if at >= 0 && at+len(name) <= len(list) && strings.EqualFold(list[at:at+len(name)], name) {
			return true
		}
		from += i + 1
	}
}

// IsStream reports whether a request may become a stream.
func IsStream(r *http.Request) bool { return protocolOf(r) != "" }

// ServeHTTP passes a request on that may become a stream, and ends that in time.
func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request, caller Caller, next caddyhttp.Handler) error {
	if isTunnel(r) {
		return serveTunnel(w, r, func(w http.ResponseWriter, r *http.Request) error { return g.ServeHTTP(w, r, caller, next) })
	}
	protocol := protocolOf(r)
	if protocol == "" {
		return next.ServeHTTP(w, r)
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	stream := Open.begin(protocol, requestOf(r), caller, &g.limits, g)
	defer stream.close()
	r = r.WithContext(ctx)
	if protocol == WebSocket {
		return next.ServeHTTP(&hijackable{ResponseWriter: w, stream: stream, cancel: cancel}, r)
	}
	if protocol == EventStream && g.limits.event != "" {
		askForPlainText(r)
	}
	body := &bodyWriter{ResponseWriter: w, stream: stream, cancel: cancel, event: g.limits.event}
	if protocol == GRPC {
		body.track(&messages{}, GRPC)
	}
	return body.serve(r, next)
}

// askForPlainText has neither the upstream nor `encode` compress the answer, to which
// an event could not be added.
func askForPlainText(r *http.Request) {
	r.Header = r.Header.Clone()
	r.Header["Accept-Encoding"] = []string{"identity"}
}

// requestOf describes a request as the client has sent it.
func requestOf(r *http.Request) requestInfo {
	info := requestInfo{place: place{method: r.Method, host: r.Host, isSecure: r.TLS != nil}, target: r.URL.RequestURI()}
	info.clientIP, _ = caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	if info.clientIP == "" {
		info.clientIP, _, _ = net.SplitHostPort(r.RemoteAddr)
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		_, info.port, _ = net.SplitHostPort(local.String())
	}
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		info.target = original.URL.RequestURI()
	}
	return info
}

// report records that the gateway has ended a stream.
func (g *Guard) report(s *Stream, reason Reason) {
	info := s.info()
	g.metrics.ended.WithLabelValues(string(info.Protocol), string(reason)).Inc()
	if entry := g.logger.Check(zap.InfoLevel, "stream ended"); entry != nil {
		entry.Write(
			zap.String("reason", string(reason)), zap.String("protocol", string(info.Protocol)),
			zap.String("host", info.Host), zap.String("path", info.Path), zap.String("client_ip", info.ClientIP),
			zap.String("client_id", info.ClientID), zap.String("consumer", info.Consumer), zap.String("provider", info.Provider),
			zap.Duration("open_for", time.Since(info.StartedAt)))
	}
}
