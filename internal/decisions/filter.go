// SPDX-License-Identifier: Apache-2.0

package decisions

import (
	"strings"
	"time"
)

// Filter selects refusals. What is empty selects all; several conditions must all
// hold.
type Filter struct {
	RequestID string
	Method    string
	Host      string
	Path      string // the path, or one that it begins with where it ends in *
	Reason    string
	Rule      string
	Handler   string
	ClientID  string
	Consumer  string
	Provider  string
	Operation string
	ClientIP  string
	Status    int
	Since     time.Time

	// DryRun selects those that passed all the same (true) or not (false).
	DryRun *bool

	// Text is part of any member, in any case of its letters.
	Text string

	// Before is a number: only older refusals are selected. It leads from one page of
	// a list to the next.
	Before uint64
}

// quick sorts out what is not wanted before it is read as a whole.
func (f *Filter) quick(r *record) bool {
	switch {
	case f.RequestID != "" && string(r.requestID()) != f.RequestID:
		return false
	case f.Status != 0 && int(r.status) != f.Status:
		return false
	case f.DryRun != nil && r.dryRun != *f.DryRun:
		return false
	}
	return f.Since.IsZero() || r.at >= f.Since.UnixNano()
}

// Wants reports whether a refusal is selected.
func (f *Filter) Wants(d *Decision) bool {
	for _, condition := range [...]struct{ wanted, got string }{
		{f.RequestID, d.RequestID}, {f.Method, d.Method}, {f.Reason, d.Reason}, {f.Rule, d.Rule},
		{f.Handler, d.Handler}, {f.ClientID, d.ClientID}, {f.Consumer, d.Consumer}, {f.Provider, d.Provider},
		{f.Operation, d.Operation}, {f.ClientIP, d.ClientIP},
	} {
		if condition.wanted != "" && condition.wanted != condition.got {
			return false
		}
	}
	switch {
	case f.Host != "" && !strings.EqualFold(f.Host, d.Host), f.Path != "" && !f.wantsPath(d.Path),
		f.Status != 0 && f.Status != d.Status, f.DryRun != nil && *f.DryRun != d.DryRun,
		f.Before != 0 && d.Number >= f.Before, d.Time.Before(f.Since):
		return false
	}
	return f.Text == "" || d.mentions(f.Text)
}

func (f *Filter) wantsPath(path string) bool {
	if prefix, ok := strings.CutSuffix(f.Path, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return path == f.Path
}

// mentions reports whether a text is part of one of the members.
func (d *Decision) mentions(text string) bool {
	text = strings.ToLower(text)
	for _, member := range d.texts() {
		if strings.Contains(strings.ToLower(*member), text) {
			return true
		}
	}
	return false
}
