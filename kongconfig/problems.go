// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// maxErrors is the number of errors that are reported at once.
const maxErrors = 50

// problems collects what is wrong with a file.
type problems struct {
	file     string
	errs     []problem
	warnings []problem
}

// problem is an error or a warning about a field of an entity.
type problem struct {
	severity      severity
	line          int
	entity, field string
	text          string
}

// severity orders warnings: what is about protection first.
type severity int

const (
	aboutProtection severity = iota
	aboutRouting
	aboutTheRest
)

// at is a place in the file that a problem is about.
type at struct {
	entity, field string
	line          int
}

func (p *problems) errorf(where at, format string, args ...any) {
	p.errs = append(p.errs, problem{line: where.line, entity: where.entity, field: where.field, text: fmt.Sprintf(format, args...)})
}

func (p *problems) warnf(s severity, where at, format string, args ...any) {
	p.warnings = append(p.warnings, problem{s, where.line, where.entity, where.field, fmt.Sprintf(format, args...)})
}

// err joins the errors, in the order of the file.
func (p *problems) err() error {
	if len(p.errs) == 0 {
		return nil
	}
	slices.SortFunc(p.errs, compareProblems)
	var lines []string
	for i, problem := range slices.Compact(p.errs) {
		if i == maxErrors {
			lines = append(lines, fmt.Sprintf("and %d more", len(p.errs)-maxErrors))
			break
		}
		lines = append(lines, problem.message(p.file))
	}
	return errors.New(strings.Join(lines, "\n"))
}

// compareProblems orders problems by severity and place, so that the same file
// gives the same list.
func compareProblems(a, b problem) int {
	return cmp.Or(cmp.Compare(a.severity, b.severity), cmp.Compare(a.line, b.line),
		cmp.Compare(a.entity, b.entity), cmp.Compare(a.field, b.field), cmp.Compare(a.text, b.text))
}

func (p problem) message(file string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s:%d: ", file, p.line)
	for _, part := range []string{p.entity, p.field} {
		if part != "" {
			text.WriteString(part + ": ")
		}
	}
	return text.String() + p.text
}

// list returns the warnings, the most important first.
func (p *problems) list() (list []caddyconfig.Warning) {
	slices.SortFunc(p.warnings, compareProblems)
	for _, w := range slices.Compact(p.warnings) {
		directive := strings.TrimSpace(w.entity + " " + w.field)
		list = append(list, caddyconfig.Warning{File: p.file, Line: w.line, Directive: directive, Message: w.text})
	}
	return list
}
