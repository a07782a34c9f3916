// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/topdown"
)

// deadline ends an evaluation that takes too long. Deadlines are used again: one with a
// timer of its own for each decision would be four allocations of a hundred.
type deadline struct {
	passed atomic.Bool
	timer  *time.Timer
}

var deadlines = sync.Pool{New: func() any {
	d := new(deadline)
	d.timer = time.AfterFunc(time.Hour, d.Cancel)
	d.timer.Stop()
	return d
}}

// startDeadline returns one that passes after the limit. The caller must stop it when
// nothing looks at it any more.
func startDeadline(limit time.Duration) *deadline {
	d := deadlines.Get().(*deadline)
	d.timer.Reset(limit)
	return d
}

// stop lets the deadline be used again, unless it has passed or is about to.
func (d *deadline) stop() {
	if d.timer.Stop() {
		deadlines.Put(d)
	}
}

// Cancel implements topdown.Cancel.
func (d *deadline) Cancel() { d.passed.Store(true) }

// Cancelled implements topdown.Cancel.
func (d *deadline) Cancelled() bool { return d.passed.Load() }

// Interface guard
var _ topdown.Cancel = (*deadline)(nil)
