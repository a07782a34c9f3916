// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/topdown"
)

// Trace collects the expressions of policies that failed in an evaluation. It slows
// the evaluation down, and is for people who ask why.
type Trace struct{ failed []string }

// maxFailed bounds what a trace collects.
const maxFailed = 50

// Option has an evaluation fill the trace. No rule is skipped by an index, so that
// each says what it lacks.
func (t *Trace) Option() Option {
	return func(q *topdown.Query) { q.WithQueryTracer(t).WithIndexing(false).WithEarlyExit(false) }
}

// Failed returns the expressions with file and line, in the order of the evaluation,
// each once.
func (t *Trace) Failed() []string { return t.failed }

// Enabled implements topdown.QueryTracer.
func (*Trace) Enabled() bool { return true }

// Config implements topdown.QueryTracer.
func (*Trace) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent implements topdown.QueryTracer.
func (t *Trace) TraceEvent(e topdown.Event) {
	if e.Op != topdown.FailOp || e.Location == nil || e.Location.File == "" || len(t.failed) == maxFailed {
		return
	}
	text := strings.Join(strings.Fields(string(e.Location.Text)), " ")
	if line := fmt.Sprintf("%s:%d: %s", e.Location.File, e.Location.Row, text); !slices.Contains(t.failed, line) {
		t.failed = append(t.failed, line)
	}
}

// Interface guard
var _ topdown.QueryTracer = (*Trace)(nil)
