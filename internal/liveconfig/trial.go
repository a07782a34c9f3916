// SPDX-License-Identifier: Apache-2.0

package liveconfig

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"
)

// TrialTime is how long a configuration runs that no one confirms.
const TrialTime = time.Minute

// Pending is a configuration that waits to be confirmed.
type Pending struct {
	By       string
	Deadline time.Time

	// Serial orders configurations: what was loaded with this number or a lower one is
	// not the pending configuration, so no one confirms from there.
	Serial uint64

	// Former is the configuration that returns. Config is the pending one as Caddy
	// answers it, and ETag its ETag; "" if it could not be read.
	Former []byte
	Config []byte
	ETag   string

	// Restore loads the former configuration. Kept is called when the pending one is
	// confirmed, for example to write a file.
	Restore func(ctx context.Context, p *Pending) error
	Kept    func() error

	// Ended is told how it ended: nil if the former one is back.
	Ended func(p *Pending, err error)
}

// isRunning reports whether what runs is the pending configuration.
func (p *Pending) isRunning(now *Config) bool {
	if p.ETag != "" {
		return now.ETag == p.ETag
	}
	return bytes.Equal(now.JSON, p.Config)
}

// Trials has at most one pending configuration. It belongs to the process, so that its
// timer goes on whatever is loaded.
type Trials struct {
	now   func() time.Time
	after func(d time.Duration, f func()) (stop func() bool)

	mu        sync.Mutex
	pending   *Pending
	stop      func() bool
	reverting bool
}

// Trial is that of this process.
var Trial = NewTrials(time.Now, func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop })

// NewTrials returns trials with a clock.
func NewTrials(now func() time.Time, after func(d time.Duration, f func()) (stop func() bool)) *Trials {
	return &Trials{now: now, after: after}
}

// Reasons why a configuration cannot be tried or confirmed.
var (
	ErrPending    = errors.New("another configuration waits to be confirmed: confirm it, or let the former one return")
	ErrNonePends  = errors.New("no configuration waits to be confirmed: perhaps the time was over and the former one has returned")
	ErrOldConfirm = errors.New("this connection is one of the former configuration: open the page again and confirm there")
)

// Begin starts the time of a configuration, before it is loaded: so the former one
// returns even if loading it never ends.
func (t *Trials) Begin(p *Pending) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending != nil {
		return ErrPending
	}
	p.Deadline = t.now().Add(TrialTime)
	t.pending = p
	t.stop = t.after(TrialTime, func() { t.revert(p) })
	return nil
}

// Cancel forgets a configuration that was not loaded.
func (t *Trials) Cancel(p *Pending) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending == p && !t.reverting {
		t.stop()
		t.pending = nil
	}
}

// Loaded says which ETag the pending configuration has.
func (t *Trials) Loaded(p *Pending, etag string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.ETag = etag
}

// Current returns what waits to be confirmed; nil if nothing does.
func (t *Trials) Current() *Pending {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending == nil {
		return nil
	}
	copied := *t.pending
	return &copied
}

// Confirm keeps the pending configuration. Serial is that of the configuration that
// serves who confirms, and now is what runs: if that is one that someone else has loaded
// meanwhile, it is not what was seen to work, and the answer is ErrChanged.
func (t *Trials) Confirm(serial uint64, now *Config) (*Pending, error) {
	t.mu.Lock()
	p := t.pending
	switch {
	case p == nil || t.reverting:
		t.mu.Unlock()
		return nil, ErrNonePends
	case serial <= p.Serial:
		t.mu.Unlock()
		return nil, ErrOldConfirm
	case !p.isRunning(now):
		t.mu.Unlock()
		return nil, ErrChanged
	}
	t.stop()
	t.pending = nil
	t.mu.Unlock()
	if p.Kept != nil {
		return p, p.Kept()
	}
	return p, nil
}

// Return ends the trial at once. The former configuration is loaded when it returns.
func (t *Trials) Return() error {
	t.mu.Lock()
	p := t.pending
	if p == nil || t.reverting {
		t.mu.Unlock()
		return ErrNonePends
	}
	t.stop()
	t.mu.Unlock()
	return t.revert(p)
}

// revertTime bounds how long the former configuration takes to load.
const revertTime = time.Minute

// revert loads the former configuration. A later change by someone else is not undone.
func (t *Trials) revert(p *Pending) error {
	t.mu.Lock()
	if t.pending != p || t.reverting {
		t.mu.Unlock()
		return ErrNonePends
	}
	t.reverting = true
	copied := *p
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), revertTime)
	defer cancel()
	err := copied.Restore(ctx, &copied)
	t.mu.Lock()
	t.pending, t.reverting = nil, false
	t.mu.Unlock()
	if p.Ended != nil {
		p.Ended(&copied, err)
	}
	return err
}
