// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/open-policy-agent/opa/v1/ast"
	opaserver "github.com/open-policy-agent/opa/v1/server"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/opaengine"
)

// recorder logs decisions in OPA's format, off the path of requests. What a client
// could use elsewhere is masked before an event is kept. If too many wait, further
// ones are dropped and counted: a log must neither fill the memory nor delay anyone.
type recorder struct {
	which   string
	share   float64
	path    string
	logger  *zap.Logger
	engine  *opaengine.Engine // nil for a server
	dropped prometheus.Counter

	queue chan event
	end   chan struct{}
	done  sync.WaitGroup
}

// event is one decision.
type event struct {
	id       string
	at       time.Time
	took     time.Duration
	caller   string
	revision string
	input    ast.Value // masked
	result   ast.Value
	err      error
}

// maxQueued is how many events wait at most.
const maxQueued = 10_000

// decisionsLogger names the logger of decisions.
type decisionsLogger struct{}

// CaddyModule returns the name under which decisions are logged.
func (decisionsLogger) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "gluu.opa.decisions"}
}

// newRecorder returns nil if there is nothing to record.
func newRecorder(ctx caddy.Context, p *PEP) *recorder {
	rec := &recorder{
		which: p.DecisionLog, share: p.DecisionLogShare, path: p.logTitle(),
		logger: ctx.Logger(decisionsLogger{}), dropped: p.metrics.dropped,
		queue: make(chan event, maxQueued), end: make(chan struct{}),
	}
	if e, ok := p.decider.(*embedded); ok && e.engine.LogsDecisions() {
		rec.engine = e.engine
	}
	if rec.engine == nil && (rec.which == "" || rec.which == logOff) {
		return nil
	}
	if rec.share == 0 {
		rec.share = 1
	}
	rec.done.Go(rec.run)
	return rec
}

// decided records a verdict.
func (rec *recorder) decided(q *question, v *verdict) {
	if rec == nil || !rec.wants(v.outcome == granted) {
		return
	}
	rec.add(q, q.answer.value, v.cause)
}

// failed records that there was no answer.
func (rec *recorder) failed(q *question, err error) {
	if rec == nil || !rec.wants(false) || asUnshown(err) != nil {
		return
	}
	rec.add(q, nil, err)
}

// wants reports whether a decision is to be recorded. OPA's own log takes all.
func (rec *recorder) wants(grant bool) bool {
	return rec.engine != nil || rec.isShared(grant)
}

func (rec *recorder) isShared(grant bool) bool {
	switch {
	case rec.which == "" || rec.which == logOff, grant && rec.which != logAll:
		return false
	case rec.share < 1:
		return rand.Float64() < rec.share
	}
	return true
}

func (rec *recorder) add(q *question, result ast.Value, err error) {
	e := event{
		id: q.decisionID(), at: q.started, took: q.answer.took, caller: clientIP(q.r), revision: q.answer.revision,
		input: mask(q.input), result: result, err: err,
	}
	select {
	case rec.queue <- e:
	default:
		rec.dropped.Inc()
	}
}

// run writes events until the handler is no longer used, and then those that wait.
func (rec *recorder) run() {
	for {
		select {
		case e := <-rec.queue:
			rec.write(e)
		case <-rec.end:
			for {
				select {
				case e := <-rec.queue:
					rec.write(e)
				default:
					return
				}
			}
		}
	}
}

// write writes one event as OPA does to its console.
func (rec *recorder) write(e event) {
	if rec.engine != nil {
		input, result := plain(e.input), plain(e.result)
		info := &opaserver.Info{
			DecisionID: e.id, RemoteAddr: e.caller, Path: rec.path, Timestamp: e.at, Input: &input, Results: &result, Error: e.err,
			Bundles: map[string]opaserver.BundleInfo{},
		}
		rec.engine.LogDecision(context.Background(), info)
	}
	if rec.which == "" || rec.which == logOff {
		return
	}
	fields := []zap.Field{
		zap.String("type", "openpolicyagent.org/decision_logs"),
		zap.String("decision_id", e.id),
		zap.String("path", rec.path),
		zap.String("requested_by", e.caller),
		zap.String("revision", e.revision),
		zap.Time("timestamp", e.at),
		zap.Dict("metrics", zap.Int64("timer_rego_query_eval_ns", e.took.Nanoseconds())),
		logged("input", e.input),
	}
	if e.result != nil {
		fields = append(fields, logged("result", e.result))
	}
	if e.err != nil {
		fields = append(fields, zap.Error(e.err))
	}
	rec.logger.Info("Decision Log", fields...)
}

func plain(value ast.Value) any {
	if value == nil {
		return nil
	}
	converted, err := ast.JSON(value)
	if err != nil {
		return err.Error()
	}
	return converted
}

// stop writes what waits.
func (rec *recorder) stop() {
	if rec == nil {
		return
	}
	close(rec.end)
	rec.done.Wait()
}
