// SPDX-License-Identifier: Apache-2.0

// Package audit records the changes that people and programs make to a running
// gateway: who changed what, when and from where. Each is one line of the log, and
// the last ones are kept for the admin API and the pages to show.
//
// The log is the durable record: what is kept is of this process, in memory. The
// value of a secret is never part of a change.
//
//	audit.Recent.Add(audit.Change{By: "ann@example.com", From: audit.Pages, Change: "consumer saved", Subject: id})
package audit

import (
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// Where changes come from.
const (
	Pages         = "pages"
	AdminAPI      = "admin API"
	Configuration = "configuration" // loaded from a file, or by Caddy's own admin routes
)

// Change is one change as it is kept, shown and logged.
type Change struct {
	Number  uint64    `json:"number"` // counts the changes of this process, from 1
	Time    time.Time `json:"time"`
	By      string    `json:"by"`             // the person or program, as far as it is known
	Role    string    `json:"role,omitempty"` // of a person, on the pages
	From    string    `json:"from"`           // one of those above
	Address string    `json:"address"`        // the client's
	Change  string    `json:"change"`         // what was done, such as "consumer saved"
	Subject string    `json:"subject"`        // to what
	Detail  string    `json:"detail,omitempty"`
}

// Size is how many changes are kept.
const Size = 1000

// Recent are the changes of this process. They outlive a reload.
var Recent = NewRegister(Size, time.Now, func() *zap.Logger { return caddy.Log().Named("gluu.audit") })

// Register keeps the last changes. It may be used by several goroutines.
type Register struct {
	now    func() time.Time
	logger func() *zap.Logger // the one that is current

	mu    sync.Mutex
	added uint64
	ring  []Change
}

// NewRegister returns an empty register for so many changes.
func NewRegister(size int, now func() time.Time, logger func() *zap.Logger) *Register {
	return &Register{now: now, logger: logger, ring: make([]Change, size)}
}

// Add logs a change that was made, and keeps it. Its number and time are set here.
func (r *Register) Add(c Change) {
	for _, text := range []*string{&c.By, &c.Role, &c.From, &c.Address, &c.Change, &c.Subject, &c.Detail} {
		*text = bounded(*text)
	}
	r.mu.Lock()
	r.added++
	c.Number, c.Time = r.added, r.now().UTC()
	r.ring[(c.Number-1)%uint64(len(r.ring))] = c
	r.mu.Unlock()
	r.logger().Info("changed", zap.String("by", c.By), zap.String("role", c.Role), zap.String("from", c.From), zap.String("address", c.Address),
		zap.String("change", c.Change), zap.String("subject", c.Subject), zap.String("detail", c.Detail))
}

// List returns the newest changes before the one with a number, the newest first;
// 0 stands for all.
func (r *Register) List(before uint64, most int) []Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	newest := r.added
	if before > 0 {
		newest = min(newest, before-1)
	}
	oldest := max(int64(r.added)-int64(len(r.ring)), 0) + 1
	found := []Change{}
	for number := int64(newest); number >= oldest && len(found) < most; number-- {
		found = append(found, r.ring[(uint64(number)-1)%uint64(len(r.ring))])
	}
	return found
}

// maxText bounds each text of a change, in bytes.
const maxText = 256

// bounded cuts a text, and makes a copy so that no longer one is kept alive.
func bounded(text string) string {
	const more = "..."
	if len(text) > maxText {
		text = text[:maxText-len(more)] + more
	}
	return strings.Clone(strings.ToValidUTF8(text, "\ufffd"))
}
