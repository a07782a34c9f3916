// SPDX-License-Identifier: Apache-2.0

package streamjudge

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/routemap"
	"github.com/caddy-gluu/gateway/internal/streams"
)

// EndForbidden ends the open streams that the rules of the running configuration forbid.
// When ctx ends, another configuration is the running one, and no more are ended.
func EndForbidden(ctx context.Context, logger *zap.Logger) {
	streams.Open.EndForbidden((&judge{ctx: ctx, logger: logger, forbids: forbidsStream}).ends)
}

// judge goes through the streams once.
type judge struct {
	ctx      context.Context
	logger   *zap.Logger
	forbids  func(ctx context.Context, s streams.Admitted) bool
	panicked bool // and that was logged with its stack
}

// judgeTimeout bounds judging one stream: matchers may ask others.
const judgeTimeout = 5 * time.Second

// ends reports whether a stream must end. Matchers and handlers of other modules are
// asked, and no server is above them that would catch a panic. A stream that nothing can
// be said about ends: its client finds out with a new request.
func (j *judge) ends(s streams.Admitted) (ends bool) {
	if j.ctx.Err() != nil {
		return false // this configuration is not the running one any more
	}
	ctx, cancel := context.WithTimeout(j.ctx, judgeTimeout)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			j.log(s, r)
			ends = true
		}
	}()
	return j.forbids(ctx, s)
}

// log logs a panic. What it says may contain the request, with its token, so that only
// the type is logged, and the stack once.
func (j *judge) log(s streams.Admitted, r any) {
	fields := []zap.Field{zap.String("panic", fmt.Sprintf("%T", r)), zap.String("host", s.Host), zap.String("path", s.Path), zap.String("stream", s.ID)}
	if err, ok := r.(runtime.Error); ok {
		fields[0] = zap.NamedError("panic", err)
	}
	if !j.panicked {
		fields = append(fields, zap.ByteString("stack", debug.Stack()))
	}
	j.panicked = true
	j.logger.Error("panic while judging a stream by the new rules: the stream is ended", fields...)
}

// forbidsStream reports whether a handler of the running configuration that the
// stream's request would meet now refuses its caller.
func forbidsStream(ctx context.Context, s streams.Admitted) bool {
	taken, err := routemap.TakeReceived(ctx, routemap.Received{
		Method: s.Method, Host: s.Host, Target: s.Target, Header: s.Header(), ClientIP: s.ClientIP, Port: s.Port, IsSecure: s.IsSecure,
	})
	if err != nil {
		return false // nothing is known about it
	}
	caller := &explain.Caller{
		Provider: s.Provider, ClientID: s.ClientID, Subject: s.Subject, ExpiresAt: s.ExpiresAt, AdmittedAt: s.StartedAt,
		Consumer: s.Consumer, ConsumerID: s.ConsumerID, Anonymous: s.Token == nil && s.Session == "", Token: s.Token,
		LoggedIn: s.Session != "",
	}
	for i, pointer := range taken.Handlers {
		if refuses(ctx, routemap.Running(pointer), taken.Seen[i], s, caller) {
			return true
		}
	}
	return false
}

// refuses reports whether a handler refuses the caller of a stream, whose request it
// sees as this one.
func refuses(ctx context.Context, handler any, seen routemap.Line, s streams.Admitted, caller *explain.Caller) bool {
	switch h := handler.(type) {
	case explain.Gate:
		list := h.ExplainCaller(caller)
		return !list.DryRun && forbids(list.Refused)
	case explain.Enforcer:
		if s.Session != "" && s.Token == nil {
			return false // rules about a person ask the session
		}
		d := h.ExplainRequest(requestOf(ctx, seen, s), caller, false)
		if d.DryRun || d.Resource != nil && d.Resource.ObtainRPT {
			return false // the gateway would get the permission for the person
		}
		return forbids(d.Refused)
	}
	return false
}

// requestOf returns the request of a stream as a handler sees it, as far as it was kept.
func requestOf(ctx context.Context, seen routemap.Line, s streams.Admitted) *http.Request {
	r := &http.Request{Method: seen.Method, URL: &seen.URL, RequestURI: seen.URL.RequestURI(), Host: s.Host, Header: http.Header{}}
	if s.IsSecure {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	return r.WithContext(context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: s.ClientIP}))
}

// forbids reports whether a refusal is about the caller, and not about a gateway that
// cannot decide yet: a moment after a reload it may not know all that it needs.
func forbids(r *explain.Refusal) bool {
	return r != nil && r.Status < http.StatusInternalServerError
}
