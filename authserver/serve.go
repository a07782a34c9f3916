// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/zitadel/oidc/v3/pkg/op"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-gluu/gateway/internal/events"
)

// startTimeout bounds how long a request waits that came in while its
// configuration was still starting.
const startTimeout = 10 * time.Second

// silent is op's logger. What it would log is logged here, once, with a reason
// and without what the client sent.
var silent = slog.New(slog.DiscardHandler)

// ServeHTTP answers at the endpoints of the server and passes everything else
// on.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	endpoint, ok := s.endpointOf(r)
	if !ok {
		return next.ServeHTTP(w, r)
	}
	call := &call{endpoint: endpoint}
	answer := &answerWriter{ResponseWriter: w, issuer: s.issuer.name}
	if endpoint.isForm() {
		// RFC 6749 section 5.1; and an introspection is true for now only.
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Pragma", "no-cache")
	}
	if err := s.serve(answer, r, call); err != nil {
		op.WriteError(answer, r, err, silent)
	}
	if answer.status >= 400 {
		s.report(r.Context(), call, answer.status)
	}
	return nil
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, call *call) error {
	if err := s.awaitStart(r.Context(), call); err != nil {
		return err
	}
	prepared, err := call.prepare(w, r)
	if err != nil {
		return err
	}
	s.handler.ServeHTTP(w, prepared)
	return nil
}

// endpointOf returns which endpoint a request is for. Path and method must
// match exactly: an odd spelling of a path belongs to other handlers.
func (s *Server) endpointOf(r *http.Request) (endpoint, bool) {
	path := r.URL.EscapedPath()
	e, ok := s.routes[path]
	if !ok && s.issuer.path != "" {
		// Within handle_path the issuer's path has been stripped.
		original, is := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
		if is && original.URL != nil && original.URL.EscapedPath() == s.issuer.path+path {
			e, ok = s.routes[s.issuer.path+path]
		}
	}
	switch {
	case !ok:
		return "", false
	case e.isForm():
		return e, r.Method == http.MethodPost
	}
	return e, r.Method == http.MethodGet || r.Method == http.MethodHead
}

// awaitStart returns when the configuration has started. Caddy starts its
// servers in no particular order, and the first request may be faster.
func (s *Server) awaitStart(ctx context.Context, call *call) error {
	if err := s.awaitReady(ctx); err != nil {
		return call.unavailable(reasonStarting, err)
	}
	return nil
}

func (s *Server) awaitReady(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the start: %w", ctx.Err())
	}
}

// report counts and logs a refused request, and emits its event.
func (s *Server) report(ctx context.Context, call *call, status int) {
	if call.reason == "" {
		call.reason = reasonMalformed
		if status >= 500 {
			call.reason = reasonInternal
		}
	}
	s.protocol.metrics.refused.WithLabelValues(call.endpoint.label(), call.reason).Inc()

	level := zapcore.InfoLevel
	if status >= 500 {
		level = zapcore.ErrorLevel
	}
	entry := s.logger.Check(level, "request refused")
	// A client that left was not refused anything.
	emits := s.protocol.events.Enabled(events.Refused) && call.reason != reasonGone
	if entry == nil && !emits {
		return
	}
	fields := s.fieldsOf(ctx, call, status)
	if emits {
		encoder := zapcore.NewMapObjectEncoder()
		for _, field := range fields {
			field.AddTo(encoder)
		}
		s.protocol.events.Emit(events.Refused, encoder.Fields)
	}
	if entry == nil {
		return
	}
	if call.err != nil {
		fields = append(fields, zap.Error(call.err))
	}
	entry.Write(fields...)
}

// fieldsOf describes a refused request. The id of a client that does not exist
// is left out: it may be a secret that came into the wrong field.
func (s *Server) fieldsOf(ctx context.Context, call *call, status int) []zap.Field {
	fields := []zap.Field{
		zap.String("reason", call.reason),
		zap.String("endpoint", call.endpoint.label()),
		zap.Int("status", status),
	}
	if id := call.knownClient(s.protocol.clients); id != "" {
		fields = append(fields, zap.String("client_id", id))
	}
	if ip, ok := caddyhttp.GetVar(ctx, caddyhttp.ClientIPVarKey).(string); ok {
		fields = append(fields, zap.String("client_ip", ip))
	}
	return fields
}

// knownClient is the client that a request was made in the name of, if there
// is one of that name.
func (c *call) knownClient(clients map[string]*client) string {
	for _, sent := range c.credentials {
		if _, known := clients[sent.id]; known {
			return sent.id
		}
	}
	return ""
}

// answerWriter adds the headers that go with a status.
type answerWriter struct {
	http.ResponseWriter
	issuer string
	status int
}

// WriteHeader sends the status.
func (w *answerWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	switch status {
	case http.StatusUnauthorized:
		// RFC 6749 section 5.2.
		w.Header().Set("WWW-Authenticate", `Basic realm="`+w.issuer+`", charset="UTF-8"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "5")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
